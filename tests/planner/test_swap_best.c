/* The bounds that make a choice fast must not hide a better pair. How fast it is: bench_swap.c, instructions.sh. */
#include "swap_reference.h"

/* All 32640 pairs of 256 experts at 4 levels, scored one by one. */
static void test_nothing_better_is_passed_over(void **state)
{
    (void)state;
    static const char *const routings[] = {"uniform", "zipf:0.5", "zipf:1.2", "zipf:3", "group:8:4"};
    for (size_t i = 0; i < sizeof(routings) / sizeof(routings[0]); i++)
        for (int objective = HM_SWAP_MAX; objective <= HM_SWAP_LOG_SUM_EXP; objective++) {
            hm_topo_t *topo = test_topo("4,2,2,2", 32);
            hm_swap_options_t options = HM_SWAP_DEFAULTS;
            test_batch_t batch;
            hm_swap_stats_t *stats;
            hm_swap_t *swap;
            hm_swap_choice_t choice;
            options.objective = (hm_swap_objective_t)objective;
            test_batch_create(&batch, topo, routings[i], 256, 8, 128, 1);
            assert_int_equal(swap_stats_create(topo, &batch.placement, &stats), 0);
            assert_int_equal(swap_stats_add(stats, batch.ids, 32 * 128, 8, 1), 0);
            assert_int_equal(
                swap_create(topo, profile_builtin("a6000-4x8"), &batch.placement, 7168, 4, &options, &swap), 0);
            swap_choose(swap, stats, &choice);
            test_best_t best = test_best(swap, stats, &options, 256);
            assert_int_equal(choice.a, best.a);
            assert_int_equal(choice.b, best.b);
            assert_true(choice.after_ms == best.after_ms);
            swap_destroy(swap);
            swap_stats_destroy(stats);
            test_batch_destroy(&batch);
            topo_destroy(topo);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_better_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
