/* bench_swap [LAYERS [TOKENS [ROUTING...]]]: how long it takes to score all pairs of 256 experts at 4 levels on one
 * core, for a new placement and for one that no exchange makes better. The goal is a median of 1 ms. One line a case:
 * the fastest, median and slowest of LAYERS choices (25) among TOKENS tokens a rank (512), in ms of the thread's own
 * time. swap_instructions.sh counts the instructions of choose_timed. */
#define _POSIX_C_SOURCE 199309L
#include "swap_reference.h"

#include <time.h>

#define LAYERS_MAX 1000
#define RANKS 32
#define EXPERTS 256
#define TOP_K 8

/* callgrind knows them by name, so they are never inlined. */
void choose_timed(hm_swap_t *swap, const hm_swap_stats_t *stats, hm_swap_choice_t *choice);
void case_end(void);

__attribute__((noinline)) void choose_timed(hm_swap_t *swap, const hm_swap_stats_t *stats, hm_swap_choice_t *choice)
{
    swap_choose(swap, stats, choice);
    __asm__ volatile(""); /* so that the call is no jump, which would end this function too early for callgrind */
}

__attribute__((noinline)) void case_end(void)
{
    __asm__ volatile("");
}

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

static void layers_time(hm_swap_t *swap, hm_swap_stats_t *stats, const test_batch_t *batch, size_t tokens, int settled,
                        int layers, double *ms)
{
    hm_swap_choice_t choice;
    if (settled) settle(swap, stats, batch, tokens);
    for (int i = 0; i < layers; i++) {
        double start = now_ms();
        choose_timed(swap, stats, &choice);
        ms[i] = now_ms() - start;
        int a = i % (EXPERTS / 2); /* another layer */
        if (!settled) swap_stats_swap(stats, batch->ids, tokens, TOP_K, a, EXPERTS - 1 - a);
    }
    case_end();
}

static void case_run(const char *routing, hm_swap_objective_t objective, int settled, int layers, int tokens)
{
    static double ms[LAYERS_MAX];
    hm_topo_t *topo = test_topo("4,2,2,2", RANKS);
    hm_swap_options_t options = HM_SWAP_DEFAULTS;
    test_batch_t batch;
    hm_swap_stats_t *stats;
    hm_swap_t *swap;
    size_t all = (size_t)RANKS * (size_t)tokens;
    options.objective = objective;
    test_batch_create(&batch, topo, routing, EXPERTS, TOP_K, tokens, 1);
    assert_int_equal(swap_stats_create(topo, &batch.placement, &stats), 0);
    assert_int_equal(swap_stats_add(stats, batch.ids, all, TOP_K, 1), 0);
    assert_int_equal(swap_create(topo, profile_builtin("a6000-4x8"), &batch.placement, 7168, 4, &options, &swap), 0);
    layers_time(swap, stats, &batch, all, settled, layers, ms);
    qsort(ms, (size_t)layers, sizeof(ms[0]), by_value);
    printf("%s%s, objective %d: fastest %.3f ms, median %.3f ms, slowest %.3f ms\n", routing, settled ? ", settled" : "",
           (int)objective, ms[0], ms[layers / 2], ms[layers - 1]);
    swap_destroy(swap);
    swap_stats_destroy(stats);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"uniform", "zipf:0.5", "zipf:1.2", "zipf:3", "group:8:4"};
    const char *const *routing = argc > 3 ? (const char *const *)argv + 3 : all;
    int routings = argc > 3 ? argc - 3 : (int)(sizeof(all) / sizeof(all[0]));
    int layers = argc > 1 ? atoi(argv[1]) : 25, tokens = argc > 2 ? atoi(argv[2]) : 512;
    if (layers < 1 || layers > LAYERS_MAX || tokens < 1) {
        fprintf(stderr, "bench_swap: expected layers from 1 to %d and a number of tokens\n", LAYERS_MAX);
        return 2;
    }
    for (int i = 0; i < routings; i++)
        for (int objective = HM_SWAP_MAX; objective <= HM_SWAP_LOG_SUM_EXP; objective++)
            for (int settled = 0; settled < 2; settled++)
                case_run(routing[i], (hm_swap_objective_t)objective, settled, layers, tokens);
    return 0;
}
