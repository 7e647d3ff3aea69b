/* bench_arrange [--count]: how long a whole arrangement of 256 experts at 4 levels takes on one core, proposed by 4096
 * tokens and confirmed by as many. The goal is a median of 20 ms. See bench.h. */
#include "bench.h"
#include "experts/arrange.h"
#include "planner_test.h"

#define RANKS 32
#define EXPERTS 256
#define TOP_K 8
#define TOKENS 4096
#define ROUNDS 25
/* With GCC 12 and 16 exchanges from each start 90 to 150 million. */
#define INSTRUCTIONS_MOST 200000000

typedef struct call {
    hm_topo_t *topo;
    hm_placement_t now;
    hm_routes_t routes, held;
    int rank[EXPERTS];
    int rc;
} call_t;

static void choose(void *argument)
{
    call_t *call = argument;
    hm_arrangement_kind_t taken;
    hm_arrangement_t result[HM_ARRANGEMENTS];
    hm_arrange_options_t options = HM_ARRANGE_DEFAULTS;
    options.depth = 4;
    options.row_bytes = 7168;
    call->rc = arrange_choose(call->topo, profile_builtin("a6000-4x8"), &call->now, &call->routes, &call->held,
                              &options, call->rank, &taken, result);
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void case_run(const char *routing, int count)
{
    double ms[ROUNDS];
    int rounds = count ? 1 : ROUNDS;
    test_batch_t batch;
    call_t call = {.topo = test_topo("4,2,2,2", RANKS)};
    test_batch_create(&batch, call.topo, routing, EXPERTS, TOP_K, 2 * TOKENS / RANKS, 1);
    call.now = batch.placement;
    call.routes = (hm_routes_t){batch.ids, TOKENS, TOP_K};
    call.held = (hm_routes_t){batch.ids + TOKENS * TOP_K, TOKENS, TOP_K};
    for (int i = 0; i < rounds; i++) {
        double start = bench_now_ms();
        bench_counted(choose, &call);
        ms[i] = bench_now_ms() - start;
        assert_int_equal(call.rc, 0);
    }
    if (count)
        bench_case_end(routing, INSTRUCTIONS_MOST, rounds);
    else {
        qsort(ms, (size_t)rounds, sizeof(ms[0]), by_value);
        printf("%s: fastest %.2f ms, median %.2f ms, slowest %.2f ms\n", routing, ms[0], ms[rounds / 2],
               ms[rounds - 1]);
    }
    test_batch_destroy(&batch);
    topo_destroy(call.topo);
}

int main(int argc, char **argv)
{
    static const char *const routings[] = {"uniform", "zipf:0.8", "zipf:1.2", "gate:8:4"};
    int count = bench_arguments(argc, argv);
    for (size_t i = 0; i < sizeof(routings) / sizeof(routings[0]); i++) case_run(routings[i], count);
    return 0;
}
