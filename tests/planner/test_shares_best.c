/* Chosen divisions against all there are, and against Fiddler's on the recorded trace. */
#include "shares_cases.h"

#include "experts/loads.h"

/* Every expert to every side, the hottest first, which is the best order for the GPU (test_shares.c). */
typedef struct brute {
    const shares_case_t *drawn;
    const bool *held;
    int order[CASE_EXPERTS_MOST];
    double best;
} brute_t;

static void brute_go(brute_t *all, int at, int resident, double cpu, double link, double gpu)
{
    const hm_shares_cost_t *cost = &all->drawn->cost;
    while (at < all->drawn->experts && all->held != NULL && all->held[all->order[at]]) at++;
    if (cpu >= all->best || gpu >= all->best) return;
    if (at == all->drawn->experts || all->drawn->loads[all->order[at]] == 0) {
        all->best = cpu > gpu ? cpu : gpu;
        return;
    }
    double n = (double)all->drawn->loads[all->order[at]];
    double here = cost->gpu_alpha_ms + cost->gpu_beta_ms * n, arrived = link + cost->stream_ms;
    brute_go(all, at + 1, resident, cpu + cost->cpu_alpha_ms + cost->cpu_beta_ms * n, link, gpu);
    brute_go(all, at + 1, resident, cpu, arrived, (arrived > gpu ? arrived : gpu) + here);
    if (resident > 0) brute_go(all, at + 1, resident - 1, cpu, link, gpu + here);
}

/* Residents first on the GPU: their time is its start. Where they are chosen, one that is streamed is never hotter. */
static double brute_force(const shares_case_t *drawn, const bool *held)
{
    int work[CASE_EXPERTS_MOST];
    brute_t all = {.drawn = drawn, .held = held, .best = INFINITY};
    double gpu = 0;
    loads_order(drawn->loads, drawn->experts, all.order, work);
    for (int e = 0; e < drawn->experts && held != NULL; e++)
        if (held[e] && drawn->loads[e] > 0)
            gpu += drawn->cost.gpu_alpha_ms + drawn->cost.gpu_beta_ms * (double)drawn->loads[e];
    brute_go(&all, 0, held == NULL ? drawn->resident : 0, 0, 0, gpu);
    return all.best;
}

/* Returns the worst of so many cases, as a share of the best time; checks that none is better than the best. */
static double cases_worst(int cases, int least, int most, uint64_t seed)
{
    double worst = 0;
    for (int i = 0; i < cases; i++) {
        shares_case_t drawn;
        hm_shares_t *shares;
        hm_share_t share[CASE_EXPERTS_MOST];
        int experts = least + (int)(splitmix_next(&seed) % (uint64_t)(most - least + 1));
        case_draw(&drawn, experts, &seed);
        assert_int_equal(shares_create(experts, &shares), 0);
        for (int fixed = 0; fixed < 2; fixed++) {
            const bool *held = fixed ? drawn.held : NULL;
            double ours = shares_choose(shares, &drawn.cost, drawn.loads, drawn.resident, held, share).makespan_ms;
            double best = brute_force(&drawn, held);
            assert_true(ours >= best * (1 - 1e-9));
            if (best > 0 && ours / best - 1 > worst) worst = ours / best - 1;
        }
        shares_destroy(shares);
    }
    print_message("%d cases of %d to %d experts: worst %.4f %% above the best\n", cases, least, most, 100 * worst);
    return worst;
}

static void test_up_to_12_experts_are_within_a_thousandth_of_the_best(void **state)
{
    (void)state;
    assert_true(cases_worst(1000, 1, 12, 4) <= HM_SHARES_CLOSE + 1e-9);
}

static void test_more_experts_are_within_2_percent(void **state)
{
    (void)state;
    assert_true(cases_worst(200, 13, 16, 5) <= 0.02);
}

/* Machines: ms of a CPU expert and token, of a GPU expert and token, of a transfer. The first three are of experts of
 * 9.4 MB (Qwen3-30B-A3B in bf16) over PCIe 3, 4 and 5 with CPUs of 40, 60 and 200 GB/s; the last is Fiddler's own. */
static const struct {
    const char *name;
    hm_shares_cost_t cost;
} machines[] = {
    {"PCIe 3", {0.24, 0.04, 0.02, 0.0005, 0.78}},
    {"PCIe 4", {0.16, 0.02, 0.015, 0.0002, 0.38}},
    {"PCIe 5", {0.05, 0.005, 0.01, 0.0001, 0.19}},
    {"Fiddler's", {0, 7, 0, 0, 70}},
};

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Residents by the first half of the layer's tokens; the second half in batches. Returns the median speedup. */
static double trace_speedup(const hm_trace_t *trace, const hm_shares_cost_t *cost, int resident, size_t batch)
{
    static double gain[8 * 2 * 512];
    size_t count = 0;
    hm_shares_t *shares;
    hm_share_t share[128];
    assert_int_equal(shares_create(trace->experts, &shares), 0);
    for (int layer = 0; layer < trace->layers; layer++) {
        uint64_t before[128] = {0};
        int order[128], work[128];
        bool held[128] = {false};
        for (int r = 0; r < trace->ranks; r++) loads_add(trace_source(trace, r, layer), 512, 8, before);
        loads_order(before, 128, order, work);
        for (int i = 0; i < resident; i++) held[order[i]] = true;
        for (int r = 0; r < trace->ranks; r++)
            for (size_t at = 512; at + batch <= 1024; at += batch) {
                uint64_t loads[128] = {0};
                loads_add(trace_source(trace, r, layer) + at * 8, batch, 8, loads);
                double theirs = shares_fiddler(shares, cost, loads, 0, held, share).makespan_ms;
                double ours = shares_choose(shares, cost, loads, 0, held, share).makespan_ms;
                assert_true(ours <= theirs * (1 + 1e-12));
                gain[count++] = theirs / ours;
            }
    }
    shares_destroy(shares);
    qsort(gain, count, sizeof(gain[0]), by_value);
    return gain[count / 2];
}

static void test_faster_than_fiddler_on_the_trace(void **state)
{
    (void)state;
    static const int residents[] = {32, 48, 64};
    static const size_t batches[] = {1, 8, 32, 128, 512};
    static double gain[2][256];
    size_t count[2] = {0, 0};
    hm_trace_t trace = test_trace_read();
    for (size_t m = 0; m < sizeof(machines) / sizeof(machines[0]); m++)
        for (size_t r = 0; r < 3; r++) {
            print_message("%-10s %d of 128 resident:", machines[m].name, residents[r]);
            for (size_t b = 0; b < 5; b++) {
                double speedup = trace_speedup(&trace, &machines[m].cost, residents[r], batches[b]);
                print_message("  %zu tokens %.2fx", batches[b], speedup);
                size_t prefill = batches[b] >= 128;
                gain[prefill][count[prefill]++] = speedup;
            }
            print_message("\n");
        }
    for (int prefill = 0; prefill < 2; prefill++) {
        qsort(gain[prefill], count[prefill], sizeof(double), by_value);
        print_message("%s: median %.2fx\n", prefill ? "prefill" : "decode", gain[prefill][count[prefill] / 2]);
        assert_true(gain[prefill][count[prefill] / 2] >= 1.25);
    }
    trace_free(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up_to_12_experts_are_within_a_thousandth_of_the_best),
        cmocka_unit_test(test_more_experts_are_within_2_percent),
        cmocka_unit_test(test_faster_than_fiddler_on_the_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
