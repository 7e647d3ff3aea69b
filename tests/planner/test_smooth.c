#include "planner_test.h"

#include "experts/smooth.h"

static void near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want) + 1e-300)) fail_msg("got %.17g, want %.17g", got, want);
}

static void test_powers_and_roots_match_libm(void **state)
{
    (void)state;
    for (int gamma = 1; gamma <= HM_SMOOTH_MAX_GAMMA; gamma++)
        for (double x = 1e-18; x < 1e9; x *= 1.37) {
            near(smooth_root(x, gamma), pow(x, 1.0 / gamma), 1e-14);
            near(smooth_power(x, gamma), pow(x, gamma), 1e-13);
        }
    assert_float_equal(smooth_root(0, 10), 0, 0);
}

static void test_exp_and_log_match_libm(void **state)
{
    (void)state;
    for (double x = -650; x < 650; x += 0.7131) near(smooth_exp(x), exp(x), 1e-13);
    assert_float_equal(smooth_exp(-1e6), 0, 0);
    for (double x = 1e-200; x < 1e200; x *= 3.21) near(smooth_log(x), log(x), 1e-13);
    assert_float_equal(smooth_log(1), 0, 1e-16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_powers_and_roots_match_libm),
        cmocka_unit_test(test_exp_and_log_match_libm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
