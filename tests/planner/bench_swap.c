/* bench_swap [--count]: how long it takes to score all pairs of 256 experts at 4 levels on one core, for a new
 * placement and for one that no exchange makes better. The goal is a median of 1 ms. See bench.h. */
#include "bench.h"
#include "swap_reference.h"

#define LAYERS 25
#define RANKS 32
#define EXPERTS 256
#define TOP_K 8

/* Choices, and tokens of a rank: drawing and settling them takes long when instructions are counted. */
typedef struct effort {
    int count; /* instructions instead of time */
    int layers, tokens;
} effort_t;

typedef struct choice_call {
    hm_swap_t *swap;
    const hm_swap_stats_t *stats;
    hm_swap_choice_t choice;
} choice_call_t;

static void choose(void *argument)
{
    choice_call_t *call = argument;
    swap_choose(call->swap, call->stats, &call->choice);
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Exchanges the best pair until there is none. */
static void settle(hm_swap_t *swap, hm_swap_stats_t *stats, const test_batch_t *batch, size_t tokens)
{
    hm_swap_choice_t choice;
    for (int i = 0; i < 1000; i++) {
        swap_choose(swap, stats, &choice);
        if (choice.a < 0) return;
        assert_int_equal(swap_stats_swap(stats, batch->ids, tokens, TOP_K, choice.a, choice.b), 0);
    }
    fail_msg("exchanges without end");
}

static void case_say(const char *routing, hm_swap_objective_t objective, int settled, const effort_t *effort,
                     double *ms)
{
    /* With GCC 12 4.1, 5.6 and 6.7 million. */
    static const long most[] = {
        [HM_SWAP_MAX] = 5500000, [HM_SWAP_SMOOTH_MAX] = 7500000, [HM_SWAP_LOG_SUM_EXP] = 9500000};
    char name[64];
    snprintf(name, sizeof(name), "%s%s, objective %d", routing, settled ? ", settled" : "", (int)objective);
    if (effort->count) {
        bench_case_end(name, most[objective], effort->layers);
        return;
    }
    qsort(ms, (size_t)effort->layers, sizeof(ms[0]), by_value);
    printf("%s: fastest %.3f ms, median %.3f ms, slowest %.3f ms\n", name, ms[0], ms[effort->layers / 2],
           ms[effort->layers - 1]);
}

static void case_run(const char *routing, hm_swap_objective_t objective, int settled, const effort_t *effort)
{
    double ms[LAYERS];
    hm_topo_t *topo = test_topo("4,2,2,2", RANKS);
    hm_swap_options_t options = HM_SWAP_DEFAULTS;
    test_batch_t batch;
    hm_swap_stats_t *stats;
    hm_swap_t *swap;
    size_t tokens = (size_t)RANKS * (size_t)effort->tokens;
    options.objective = objective;
    test_batch_create(&batch, topo, routing, EXPERTS, TOP_K, effort->tokens, 1);
    assert_int_equal(swap_stats_create(topo, &batch.placement, &stats), 0);
    assert_int_equal(swap_stats_add(stats, batch.ids, tokens, TOP_K, 1), 0);
    assert_int_equal(swap_create(topo, profile_builtin("a6000-4x8"), &batch.placement, 7168, 4, &options, &swap), 0);
    if (settled) settle(swap, stats, &batch, tokens);
    choice_call_t call = {.swap = swap, .stats = stats};
    for (int i = 0; i < effort->layers; i++) {
        double start = bench_now_ms();
        bench_counted(choose, &call);
        ms[i] = bench_now_ms() - start;
        if (!settled) swap_stats_swap(stats, batch.ids, tokens, TOP_K, i, EXPERTS - 1 - i); /* another layer */
    }
    case_say(routing, objective, settled, effort, ms);
    swap_destroy(swap);
    swap_stats_destroy(stats);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

int main(int argc, char **argv)
{
    static const char *const routings[] = {"uniform", "group:8:4", "zipf:0.5", "zipf:1.2", "zipf:3"};
    effort_t effort = {.layers = LAYERS, .tokens = 512};
    size_t count = sizeof(routings) / sizeof(routings[0]);
    if (bench_arguments(argc, argv)) {
        effort = (effort_t){.count = 1, .layers = 3, .tokens = 64};
        count = 2;
    }
    for (size_t i = 0; i < count; i++)
        for (int objective = HM_SWAP_MAX; objective <= HM_SWAP_LOG_SUM_EXP; objective++)
            for (int settled = 0; settled < 2; settled++)
                case_run(routings[i], (hm_swap_objective_t)objective, settled, &effort);
    return 0;
}
