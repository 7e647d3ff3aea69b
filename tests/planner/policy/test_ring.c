/* Medians that single values cannot move. */
#include "policy_test.h"

#include "policy/ring.h"

static hm_ring_t ring_of(const double *value, int count)
{
    hm_ring_t ring = {.kept = 0};
    for (int i = 0; i < count; i++) ring_add(&ring, value[i]);
    return ring;
}

static void nothing_is_known_of_an_empty_ring(void **context)
{
    (void)context;
    hm_ring_t ring = {.kept = 0};
    assert_float_equal(ring_middle(&ring), 0, 0);
    assert_float_equal(ring_variance(&ring), .04, 1e-12);
}

static void the_median_is_taken(void **context)
{
    (void)context;
    hm_ring_t odd = ring_of((double[]){5, 1, 3}, 3), even = ring_of((double[]){5, 1, 3, 2}, 4);
    assert_float_equal(ring_middle(&odd), 3, 0);
    assert_float_equal(ring_middle(&even), 2.5, 0);
}

/* The first call of a depth makes connections; hiccups only make calls slower. */
static void of_two_the_lesser_counts(void **context)
{
    (void)context;
    hm_ring_t ring = ring_of((double[]){900, 12}, 2);
    assert_float_equal(ring_middle(&ring), 12, 0);
}

static void old_values_go(void **context)
{
    (void)context;
    hm_ring_t ring = {.kept = 0};
    for (int i = 0; i < 40; i++) ring_add(&ring, 7);
    for (int i = 0; i < HM_RING / 2; i++) ring_add(&ring, 1);
    assert_float_equal(ring_middle(&ring), 7, 0);
    ring_add(&ring, 1);
    assert_float_equal(ring_middle(&ring), 1, 0);
    assert_int_equal(ring.kept, HM_RING);
}

/* 0.1 off on either side: MAD 0.1, mixed with what is believed before. */
static void spread_is_measured_without_outliers(void **context)
{
    (void)context;
    hm_ring_t ring = {.kept = 0}, outlier;
    for (int i = 0; i < HM_RING; i++) ring_add(&ring, i % 3 == 0 ? 1 : i % 3 == 1 ? .9 : 1.1);
    double sd = 1.4826 * .1, expected = (4 * .04 + HM_RING * sd * sd) / (4 + HM_RING);
    assert_float_equal(ring_variance(&ring), expected, 1e-6);
    outlier = ring;
    ring_add(&outlier, 1000);
    assert_float_equal(ring_variance(&outlier), expected, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_of_an_empty_ring),
        cmocka_unit_test(the_median_is_taken),
        cmocka_unit_test(of_two_the_lesser_counts),
        cmocka_unit_test(old_values_go),
        cmocka_unit_test(spread_is_measured_without_outliers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
