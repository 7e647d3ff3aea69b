#include "planner_test.h"

#include "wires/fit.h"

#include <errno.h>

static void test_exact_line_is_found(void **state)
{
    (void)state;
    hm_fit_t fit = {0};
    hm_link_t link;
    for (double bytes = 1 << 16; bytes <= 1 << 29; bytes *= 2)
        assert_int_equal(fit_add(&fit, bytes, 0.497 + bytes * 5.29e-7, 1), 0);
    assert_int_equal(fit_solve(&fit, &link), 0);
    assert_float_equal(link.alpha_ms, 0.497, 1e-9);
    assert_float_equal(link.beta_ms, 5.29e-7, 1e-15);
    assert_true(link.r2 > 0.999999999 && link.r2 <= 1);
    assert_int_equal(link.samples, 14);
}

/* The textbook sums on the same noisy samples. */
static void test_noisy_line_matches_the_normal_equations(void **state)
{
    (void)state;
    double n = 0, x = 0, y = 0, xx = 0, xy = 0, yy = 0;
    hm_fit_t fit = {0};
    hm_link_t link;
    srand(3);
    for (int i = 0; i < 200; i++) {
        double bytes = rand() % 1000, ms = 2 + 0.01 * bytes + (rand() % 1000) * 1e-3;
        assert_int_equal(fit_add(&fit, bytes, ms, 1), 0);
        n++, x += bytes, y += ms, xx += bytes * bytes, xy += bytes * ms, yy += ms * ms;
    }
    double beta = (n * xy - x * y) / (n * xx - x * x), alpha = (y - beta * x) / n;
    double r = (n * xy - x * y) / sqrt((n * xx - x * x) * (n * yy - y * y));
    assert_int_equal(fit_solve(&fit, &link), 0);
    assert_float_equal(link.beta_ms, beta, 1e-12);
    assert_float_equal(link.alpha_ms, alpha, 1e-9);
    assert_float_equal(link.r2, r * r, 1e-9);
}

static void test_negative_intercept_and_slope_are_held_at_zero(void **state)
{
    (void)state;
    hm_link_t link;
    hm_fit_t steep = {0}, falling = {0};
    fit_add(&steep, 10, 1, 1);
    fit_add(&steep, 20, 3, 1);
    assert_int_equal(fit_solve(&steep, &link), 0);
    assert_float_equal(link.alpha_ms, 0, 0);
    assert_float_equal(link.beta_ms, (10 * 1 + 20 * 3) / 500.0, 1e-12); /* least squares through the origin */
    fit_add(&falling, 10, 3, 1);
    fit_add(&falling, 20, 1, 1);
    assert_int_equal(fit_solve(&falling, &link), 0);
    assert_float_equal(link.alpha_ms, 2, 1e-12);
    assert_float_equal(link.beta_ms, 0, 0);
}

static void test_one_size_is_no_line(void **state)
{
    (void)state;
    hm_fit_t fit = {0};
    hm_link_t link = {.alpha_ms = 7};
    assert_int_equal(fit_solve(&fit, &link), -ENODATA);
    for (int i = 0; i < 5; i++) fit_add(&fit, 1e6, 1 + 0.01 * i, 1);
    assert_int_equal(fit_solve(&fit, &link), -ENODATA);
    assert_float_equal(link.alpha_ms, 7, 0);
}

static void test_bad_samples_are_refused_and_change_nothing(void **state)
{
    (void)state;
    hm_fit_t fit = {0}, before;
    fit_add(&fit, 100, 1, 1);
    before = fit;
    assert_int_equal(fit_add(&fit, NAN, 1, 1), -EINVAL);
    assert_int_equal(fit_add(&fit, 1, INFINITY, 1), -EINVAL);
    assert_int_equal(fit_add(&fit, -1, 1, 1), -EINVAL);
    assert_int_equal(fit_add(&fit, 1, -1, 1), -EINVAL);
    assert_int_equal(fit_add(&fit, 1, 1, 0), -EINVAL);
    assert_int_equal(fit_add(&fit, 1, 1, INFINITY), -EINVAL);
    assert_memory_equal(&fit, &before, sizeof(fit));
}

/* A shaper's allowance: 2 ms whatever the size, until 500 kB have passed. */
static void timings_bent(hm_timing_t timing[6])
{
    for (int i = 0; i < 6; i++) {
        double bytes = (double)(256 << 10) * (1 << i), held = bytes - 5e5;
        timing[i] = (hm_timing_t){bytes, 2 + (held > 0 ? held * 1e-5 : 0), 1 + i % 3};
    }
}

static void test_bend_is_found(void **state)
{
    (void)state;
    hm_timing_t timing[6];
    hm_link_t link = {.alpha_ms = 7};
    timings_bent(timing);
    assert_int_equal(fit_bend(timing, 6, &link), 0);
    assert_float_equal(link.alpha_ms, 2, 1e-9);
    assert_float_equal(link.beta_ms, 1e-5, 1e-14);
    assert_float_equal(link.free_bytes, 5e5, 1e-3);
    assert_true(link.r2 > 0.999999);
    assert_int_equal(link.samples, 6);
    assert_float_equal(link_ms(&link, 4e5), 2, 1e-9);
    assert_float_equal(link_ms(&link, 6e5), 3, 1e-6);
}

/* From 3 MB on each byte takes half as long again. */
static void test_crowding_is_found(void **state)
{
    (void)state;
    hm_timing_t timing[6];
    hm_link_t link;
    timings_bent(timing);
    for (int i = 0; i < 6; i++)
        if (timing[i].bytes > 3e6) timing[i].ms += (timing[i].bytes - 3e6) * 0.5e-5;
    assert_int_equal(fit_bend(timing, 6, &link), 0);
    assert_float_equal(link.beta_ms, 1e-5, 1e-12);
    assert_float_equal(link.turn_bytes, 3e6, 1);
    assert_float_equal(link.turn_ms, 0.5e-5, 1e-12);
    assert_float_equal(link_ms(&link, 4e6), 2 + 35 + 5, 1e-4);
}

/* Eight nodes over a shaper that lets bursts through: steep from 0.5 MB on, flatter from 2 MB. Without a turn downwards
 * the largest size came out 15 % too slow. */
static void test_bytes_that_get_cheaper_are_found(void **state)
{
    (void)state;
    static const double ms[7] = {1.03, 1.80, 6.85, 21.1, 36.07, 68.0, 132.5};
    hm_timing_t timing[7];
    hm_link_t link;
    for (int i = 0; i < 7; i++) timing[i] = (hm_timing_t){(double)(256 << 10) * (1 << i), ms[i], 1};
    assert_int_equal(fit_bend(timing, 7, &link), 0);
    assert_true(link.turn_ms < 0 && link.turn_ms > -link.beta_ms);
    for (int i = 2; i < 7; i++)
        assert_float_equal(link_ms(&link, timing[i].bytes), ms[i], (i < 4 ? 0.12 : 0.01) * ms[i]);
}

static void test_straight_timings_stay_straight(void **state)
{
    (void)state;
    hm_timing_t timing[6];
    hm_link_t bent, straight;
    for (int i = 0; i < 5; i++) timing[i] = (hm_timing_t){1e6 * (i + 1), 1 + 3.0 * (i + 1), 1};
    assert_int_equal(fit_bend(timing, 5, &bent), 0);
    assert_int_equal(fit_straight(timing, 5, &straight), 0);
    assert_float_equal(bent.alpha_ms, 1, 1e-6);
    assert_float_equal(bent.free_bytes, 0, 0);
    assert_float_equal(bent.beta_ms, 3e-6, 1e-11);
    assert_float_equal(straight.beta_ms, 3e-6, 1e-11);
    timings_bent(timing);
    assert_int_equal(fit_straight(timing, 5, &straight), 0);
    assert_float_equal(straight.free_bytes, 0, 0);
}

static void test_one_stalled_size_does_not_bend_the_link(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        hm_timing_t timing[6];
        hm_link_t link;
        timings_bent(timing);
        for (int j = 0; j < 6; j++) timing[j].weight = 1;
        timing[i].ms *= 1.7;
        assert_int_equal(fit_bend(timing, 6, &link), 0);
        for (double bytes = 2e6; bytes < 3e7; bytes *= 2)
            assert_float_equal(link_ms(&link, bytes) / (2 + (bytes - 5e5) * 1e-5), 1, 0.06);
    }
}

/* A share below 0 would make a profile that no reader takes. */
static void test_share_explained_is_never_negative(void **state)
{
    (void)state;
    hm_timing_t timing[6];
    hm_link_t link;
    for (int i = 0; i < 6; i++) timing[i] = (hm_timing_t){1e6 * (i + 1), i == 2 ? 10 : 1, 1};
    assert_int_equal(fit_straight(timing, 6, &link), 0);
    assert_float_equal(link_ms(&link, 3e6), 1, 0.1); /* the stalled one is all that varies */
    assert_true(link.r2 >= 0 && link.r2 <= 1);
    assert_int_equal(fit_bend(timing, 6, &link), 0);
    assert_true(link.r2 >= 0 && link.r2 <= 1);
}

static void test_bad_timings_change_nothing(void **state)
{
    (void)state;
    hm_timing_t timing[2] = {{1e6, 1, 1}, {1e6, 2, 1}};
    hm_link_t link = {.alpha_ms = 7};
    assert_int_equal(fit_bend(timing, 0, &link), -ENODATA);
    assert_int_equal(fit_bend(timing, 1, &link), -ENODATA);
    assert_int_equal(fit_bend(timing, 2, &link), -ENODATA);
    timing[1].bytes = 2e6;
    timing[1].ms = 0;
    assert_int_equal(fit_bend(timing, 2, &link), -EINVAL);
    timing[1].ms = NAN;
    assert_int_equal(fit_straight(timing, 2, &link), -EINVAL);
    timing[1] = (hm_timing_t){2e6, 2, 0};
    assert_int_equal(fit_straight(timing, 2, &link), -EINVAL);
    assert_float_equal(link.alpha_ms, 7, 0);
}

static void test_same_samples_give_the_same_bits(void **state)
{
    (void)state;
    hm_fit_t one = {0}, two = {0};
    hm_link_t first = {.alpha_ms = 0.1, .beta_ms = 1e-8}, second = first;
    for (int i = 1; i < 1000; i++) {
        fit_add(&one, i * 1000.0, i * 0.37, 1.0 / i);
        fit_add(&two, i * 1000.0, i * 0.37, 1.0 / i);
    }
    assert_int_equal(fit_solve(&one, &first), 0);
    assert_int_equal(fit_solve(&two, &second), 0);
    assert_memory_equal(&one, &two, sizeof(one));
    assert_memory_equal(&first.alpha_ms, &second.alpha_ms, 3 * sizeof(double));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bend_is_found),
        cmocka_unit_test(test_crowding_is_found),
        cmocka_unit_test(test_bytes_that_get_cheaper_are_found),
        cmocka_unit_test(test_straight_timings_stay_straight),
        cmocka_unit_test(test_one_stalled_size_does_not_bend_the_link),
        cmocka_unit_test(test_share_explained_is_never_negative),
        cmocka_unit_test(test_bad_timings_change_nothing),
        cmocka_unit_test(test_exact_line_is_found),
        cmocka_unit_test(test_noisy_line_matches_the_normal_equations),
        cmocka_unit_test(test_negative_intercept_and_slope_are_held_at_zero),
        cmocka_unit_test(test_one_size_is_no_line),
        cmocka_unit_test(test_bad_samples_are_refused_and_change_nothing),
        cmocka_unit_test(test_same_samples_give_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
