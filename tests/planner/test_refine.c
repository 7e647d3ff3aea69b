#include "planner_test.h"

#include "call/refine.h"

static void test_sizes_are_classes_of_four(void **state)
{
    (void)state;
    assert_int_equal(refine_size(0), 0);
    assert_int_equal(refine_size(999999), 0);
    assert_int_equal(refine_size(1e6), 1);
    assert_int_equal(refine_size(3.9e6), 1);
    assert_int_equal(refine_size(4e6), 2);
    assert_int_equal(refine_size(1e15), HM_REFINE_SIZES - 1);
}

/* The first call makes connections, and a single slow one is chance. */
static void test_the_median_of_later_calls_counts(void **state)
{
    (void)state;
    static const double took[] = {900, 12, 500, 13, 12, 1};
    hm_refine_t refine = {0};
    for (int i = 0; i < 6; i++) {
        if (i <= HM_REFINE_LEAST) assert_float_equal(refine_factor(&refine, 2, 1), 1, 0);
        if (i == HM_REFINE_LEAST + 1) assert_float_equal(refine_factor(&refine, 2, 1), 1.3, 1e-12); /* 1.2, 50, 1.3 */
        refine_add(&refine, 2, 1, 10, took[i]);
    }
    assert_float_equal(refine_factor(&refine, 2, 1), 1.2, 1e-12);
    assert_float_equal(refine_factor(&refine, 1, 1), 1, 0); /* other sizes err in other ways */
    refine_add(&refine, 2, 1, 10, 14);                      /* an even number: the mean of the two in the middle */
    assert_float_equal(refine_factor(&refine, 2, 1), 1.25, 1e-12);
}

static void test_old_calls_are_forgotten(void **state)
{
    (void)state;
    hm_refine_t refine = {0};
    for (int i = 0; i < 40; i++) refine_add(&refine, 0, 2, 10, 20);
    assert_float_equal(refine_factor(&refine, 0, 2), 2, 0);
    for (int i = 0; i < HM_REFINE_KEPT; i++) refine_add(&refine, 0, 2, 10, 5);
    assert_float_equal(refine_factor(&refine, 0, 2), 0.5, 0);
}

static void take(hm_refine_t *refine, int size, int depth, double predicted_ms, double measured_ms)
{
    for (int i = 0; i < 5; i++) {
        refine_add(refine, size, depth, predicted_ms, measured_ms);
        assert_int_equal(refine_take(refine, size, depth), 0);
    }
}

static void test_untried_depths_err_like_the_last_one(void **state)
{
    (void)state;
    hm_refine_t refine = {0};
    take(&refine, 3, 2, 10, 15);
    assert_float_equal(refine_factor(&refine, 3, 0), 1.5, 0);
    assert_float_equal(refine_factor(&refine, 3, 1), 1.5, 0);
    take(&refine, 3, 1, 10, 30);
    assert_float_equal(refine_factor(&refine, 3, 0), 3, 0);
    assert_float_equal(refine_factor(&refine, 3, 2), 1.5, 0);
    for (int i = 0; i < 5; i++) refine_add(&refine, 3, 0, 10, 20); /* tried, not chosen */
    assert_float_equal(refine_factor(&refine, 3, 0), 2, 0);
    assert_float_equal(refine_factor(&refine, 3, 3), 3, 0);
}

static int trials(hm_refine_t *refine, int size, int depth, int calls)
{
    int count = 0;
    for (int i = 0; i < calls; i++) count += refine_take(refine, size, depth);
    return count;
}

/* Few of those that go deep, once what that takes is known; none of those that are left alone anyway. */
static void test_some_calls_are_left_alone_to_learn_what_that_takes(void **state)
{
    (void)state;
    hm_refine_t refine = {0};
    assert_int_equal(trials(&refine, 2, 1, 1000), 0);
    for (int i = 0; i < 5; i++) refine_add(&refine, 2, 1, 10, 12);
    assert_int_equal(trials(&refine, 2, 1, HM_REFINE_TRIAL - 1), 0);
    assert_int_equal(trials(&refine, 2, 1, 1), 1);
    assert_int_equal(trials(&refine, 2, 1, 4 * HM_REFINE_TRIAL), 4);
    assert_int_equal(trials(&refine, 3, 1, 1000), 0);
    for (int i = 0; i < 5; i++) refine_add(&refine, 2, 0, 10, 9);
    refine.since[2][1] = 0;
    assert_int_equal(trials(&refine, 2, 1, 4 * HM_REFINE_CHECK), 4);
    assert_int_equal(trials(&refine, 2, 0, 1000), 0);
}

/* What they took may have been a bad moment's; the depth in use and depth 0 are measured all the time. */
static void test_other_depths_are_forgotten_now_and_then(void **state)
{
    (void)state;
    hm_refine_t refine = {0};
    for (int d = 0; d < 3; d++)
        for (int i = 0; i < 5; i++) refine_add(&refine, 1, d, 10, 10 * (d + 1));
    assert_int_equal(trials(&refine, 1, 2, HM_REFINE_CHECK - 1), 0);
    assert_float_equal(refine_factor(&refine, 1, 1), 2, 0);
    assert_int_equal(trials(&refine, 1, 2, 1), 1);
    assert_float_equal(refine_factor(&refine, 1, 1), 3, 0);
    assert_float_equal(refine_factor(&refine, 1, 0), 1, 0);
    assert_int_equal(trials(&refine, 1, 0, HM_REFINE_TRIAL - 1), 0);
    assert_float_equal(refine_factor(&refine, 1, 2), 3, 0);
    assert_int_equal(trials(&refine, 1, 0, 1), 0);
    assert_float_equal(refine_factor(&refine, 1, 2), 1, 0);
}

/* Dispatch and combine are of one size: a look at combine, which stays alone, must not undo what dispatch taught. */
static void test_calls_left_alone_do_not_count_for_those_that_go_deep(void **state)
{
    (void)state;
    hm_refine_t refine = {0};
    for (int d = 0; d < 3; d += 2)
        for (int i = 0; i < 5; i++) refine_add(&refine, 1, d, 10, 10 * (d + 1));
    for (int look = 1; look < HM_REFINE_TRIAL; look++) {
        assert_int_equal(trials(&refine, 1, 2, HM_REFINE_CHECK / HM_REFINE_TRIAL), 0);
        assert_int_equal(trials(&refine, 1, 0, 1), 0);
        assert_float_equal(refine_factor(&refine, 1, 2), 3, 0);
    }
}

static void test_broken_times_change_nothing(void **state)
{
    (void)state;
    hm_refine_t refine = {0};
    for (int i = 0; i < 9; i++) {
        refine_add(&refine, 0, 1, 0, 5);
        refine_add(&refine, 0, 1, 5, 0);
        refine_add(&refine, 0, 1, NAN, 5);
        refine_add(&refine, 0, 1, 5, -1);
    }
    assert_float_equal(refine_factor(&refine, 0, 1), 1, 0);
    for (int i = 0; i < 9; i++) refine_add(&refine, 0, 1, 1e-9, 1e9);
    assert_float_equal(refine_factor(&refine, 0, 1), 256, 0);
    for (int i = 0; i < 9; i++) refine_add(&refine, 0, 1, 1e9, 1e-9);
    assert_float_equal(refine_factor(&refine, 0, 1), 1.0 / 256, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_classes_of_four),
        cmocka_unit_test(test_the_median_of_later_calls_counts),
        cmocka_unit_test(test_old_calls_are_forgotten),
        cmocka_unit_test(test_untried_depths_err_like_the_last_one),
        cmocka_unit_test(test_some_calls_are_left_alone_to_learn_what_that_takes),
        cmocka_unit_test(test_other_depths_are_forgotten_now_and_then),
        cmocka_unit_test(test_calls_left_alone_do_not_count_for_those_that_go_deep),
        cmocka_unit_test(test_broken_times_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
