/* Scoring all pairs of 256 experts at 4 levels must take no more than a millisecond on one core, for a new placement
 * and for one that no exchange makes better. The core may be shared, so it is the thread's own time, the median of many
 * layers. */
#define _POSIX_C_SOURCE 199309L
#include "swap_reference.h"

#include <time.h>

#define LAYERS 25
#define LIMIT_MS 1.0
/* Instrumented and unoptimised builds are slower; the test then still shows that no pair count blew up. */
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define INSTRUMENTED
#endif
#endif
#if defined(INSTRUMENTED) || defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define SLACK 20
#else
#define SLACK 1
#endif

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Exchanges the best pair until there is none. */
static void settle(hm_swap_t *swap, hm_swap_stats_t *stats, const test_batch_t *batch)
{
    hm_swap_choice_t choice;
    for (int i = 0; i < 1000; i++) {
        swap_choose(swap, stats, &choice);
        if (choice.a < 0) return;
        assert_int_equal(swap_stats_swap(stats, batch->ids, 32 * 512, 8, choice.a, choice.b), 0);
    }
    fail_msg("exchanges without end");
}

static double median_ms(const char *routing, hm_swap_objective_t objective, int settled)
{
    hm_topo_t *topo = test_topo("4,2,2,2", 32);
    hm_swap_options_t options = HM_SWAP_DEFAULTS;
    test_batch_t batch;
    hm_swap_stats_t *stats;
    hm_swap_t *swap;
    hm_swap_choice_t choice;
    double ms[LAYERS];
    options.objective = objective;
    test_batch_create(&batch, topo, routing, 256, 8, 512, 1);
    assert_int_equal(swap_stats_create(topo, &batch.placement, &stats), 0);
    assert_int_equal(swap_stats_add(stats, batch.ids, 32 * 512, 8, 1), 0);
    assert_int_equal(swap_create(topo, profile_builtin("a6000-4x8"), &batch.placement, 7168, 4, &options, &swap), 0);
    if (settled) settle(swap, stats, &batch);
    for (int i = 0; i < LAYERS; i++) {
        double start = now_ms();
        swap_choose(swap, stats, &choice);
        ms[i] = now_ms() - start;
        if (!settled) swap_stats_swap(stats, batch.ids, 32 * 512, 8, i, 255 - i); /* another layer */
    }
    qsort(ms, LAYERS, sizeof(ms[0]), by_value);
    print_message("%s%s, objective %d: fastest %.3f ms, median %.3f ms, slowest %.3f ms\n", routing,
                  settled ? ", settled" : "", (int)objective, ms[0], ms[LAYERS / 2], ms[LAYERS - 1]);
    swap_destroy(swap);
    swap_stats_destroy(stats);
    test_batch_destroy(&batch);
    topo_destroy(topo);
    return ms[LAYERS / 2];
}

/* Again where it took too long: what else the processor runs may double it for a while, slow code is slow each time. */
static void check_time(const char *routing, hm_swap_objective_t objective, int settled)
{
    for (int i = 0; i < 5; i++)
        if (median_ms(routing, objective, settled) < LIMIT_MS * SLACK) return;
    fail_msg("%s, objective %d: more than %g ms", routing, (int)objective, LIMIT_MS * SLACK);
}

static void test_scoring_time(void **state)
{
    (void)state;
    static const char *const routings[] = {"uniform", "zipf:0.5", "zipf:1.2", "zipf:3", "group:8:4"};
    for (size_t i = 0; i < sizeof(routings) / sizeof(routings[0]); i++)
        for (int objective = HM_SWAP_MAX; objective <= HM_SWAP_LOG_SUM_EXP; objective++)
            for (int settled = 0; settled < 2; settled++)
                check_time(routings[i], (hm_swap_objective_t)objective, settled);
}

/* The bounds that make it fast must not hide a better pair: all 32640 pairs scored one by one. */
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
        cmocka_unit_test(test_scoring_time),
        cmocka_unit_test(test_nothing_better_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
