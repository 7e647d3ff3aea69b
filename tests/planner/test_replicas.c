/* How many copies of each expert: against SwiftMoE's Algorithm 1 as its text has it, and what copies cost and bring. */
#include "planner_test.h"

#include "../splitmix.h"

#include "experts/loads.h"
#include "replicas/replicas.h"

#include <errno.h>

#define EXPERTS_MOST 300

/* Algorithm 1, line by line; numpy's argmax and argmin take the first of equals. */
static void reference(const uint64_t *popularity, int experts, int n, int s, int *count)
{
    static double goal[EXPERTS_MOST], diff[EXPERTS_MOST];
    double sum = 0;
    long placed = 0;
    for (int e = 0; e < experts; e++) sum += (double)popularity[e];
    for (int e = 0; e < experts; e++) {
        goal[e] = sum > 0 ? (double)popularity[e] / sum * n * s : 1.0 / experts * n * s;
        count[e] = (int)floor(fmax(goal[e], 1));
        diff[e] = count[e] - goal[e];
        placed += count[e];
    }
    while (placed > (long)n * s) {
        int i = 0;
        for (int e = 1; e < experts; e++)
            if (diff[e] > diff[i]) i = e;
        if (count[i] > 1) {
            count[i] -= 1;
            placed -= 1;
        }
        diff[i] -= 1;
    }
    while (placed < (long)n * s) {
        int i = 0;
        for (int e = 1; e < experts; e++)
            if (diff[e] < diff[i]) i = e;
        count[i] += 1;
        diff[i] += 1;
        placed += 1;
    }
}

/* Few tokens make ties, steep ones many experts below one copy, and some experts get nothing. */
static void loads_draw(uint64_t *loads, int experts, uint64_t *state)
{
    uint64_t kind = splitmix_next(state) % 4, most = 1 + splitmix_next(state) % (kind == 0 ? 8 : 100000);
    for (int e = 0; e < experts; e++) {
        uint64_t load = splitmix_next(state) % (most + 1);
        if (kind == 2) load = load * load / (1 + splitmix_next(state) % (most + 1));
        if (kind == 3 && splitmix_next(state) % 3 != 0) load = 0;
        loads[e] = load;
    }
}

static void test_counts_equal_algorithm_1_on_100000_loads(void **state)
{
    (void)state;
    static uint64_t loads[EXPERTS_MOST];
    static int count[EXPERTS_MOST], want[EXPERTS_MOST];
    static double work[EXPERTS_MOST];
    uint64_t random = 1;
    for (int i = 0; i < 100000; i++) {
        int large = i % 100 == 0, experts = 1 + (int)(splitmix_next(&random) % (large ? EXPERTS_MOST : 24));
        int ranks = 1 + (int)(splitmix_next(&random) % (large ? 1024 : 16));
        int slots = (experts + ranks - 1) / ranks + (int)(splitmix_next(&random) % 4);
        long placed = 0;
        loads_draw(loads, experts, &random);
        reference(loads, experts, ranks, slots, want);
        assert_int_equal(replicas_count(loads, experts, ranks, slots, count, work), 0);
        for (int e = 0; e < experts; e++) {
            assert_int_equal(count[e], want[e]);
            assert_true(count[e] >= 1);
            placed += count[e];
        }
        assert_int_equal(placed, (long)ranks * slots);
    }
}

static void test_slots_follow_counts_rank_by_rank(void **state)
{
    (void)state;
    const uint64_t loads[4] = {5, 1, 1, 1};
    const int order[4] = {2, 0, 3, 1};
    int count[4], slot[8];
    double work[4];
    assert_int_equal(replicas_count(loads, 4, 4, 2, count, work), 0);
    const int want[4] = {5, 1, 1, 1}, laid[8] = {0, 0, 0, 0, 0, 1, 2, 3}, ordered[8] = {2, 0, 0, 0, 0, 0, 3, 1};
    assert_memory_equal(count, want, sizeof(want));
    replicas_place(NULL, count, 4, slot);
    assert_memory_equal(slot, laid, sizeof(laid));
    replicas_place(order, count, 4, slot);
    assert_memory_equal(slot, ordered, sizeof(ordered));
}

static void test_too_few_slots_are_refused(void **state)
{
    (void)state;
    const uint64_t loads[3] = {1, 2, 3};
    int count[3] = {7, 7, 7};
    double work[3];
    assert_int_equal(replicas_count(loads, 3, 2, 1, count, work), -EINVAL);
    assert_int_equal(replicas_count(loads, 0, 2, 1, count, work), -EINVAL);
    assert_int_equal(replicas_count(loads, 3, 0, 4, count, work), -EINVAL);
    assert_int_equal(replicas_count(loads, 3, 4, -1, count, work), -EINVAL);
    assert_int_equal(count[0], 7);
}

/* The paper's example: 2,048 ranks of 2 slots, 64 experts, 64 GB/s to the host and 400 Gb/s between nodes. */
static void test_decoupling_costs_what_the_paper_says(void **state)
{
    (void)state;
    hm_replicas_phase_t phase = {
        .experts = 64, .ranks = 2048, .slots = 2, .bytes = 3.375e9, .host_ms = 1 / 64e6, .network_ms = 1 / 50e6};
    double own = replicas_phase_static(&phase), apart = replicas_phase_decoupled(&phase);
    assert_float_equal(100 * replicas_phase_extra(&phase), 1.52, 0.005);
    assert_float_equal((apart - own) / own, replicas_phase_extra(&phase), 1e-12);
    /* E / N of X at the host's speed, (sN - E) / N of X at the network's. */
    assert_float_equal(own, 64.0 / 2048 * 3375 / 64 + (4096.0 - 64) / 2048 * 3375 / 50, 1e-9);
    phase.host_ms = 0;
    assert_float_equal(100 * replicas_phase_extra(&phase), 1.54, 0.005);
}

static void test_what_does_not_fit_is_dropped(void **state)
{
    (void)state;
    const uint64_t loads[4] = {50, 10, 10, 10};
    const int even[4] = {2, 2, 2, 2}, fitting[4] = {5, 1, 1, 1};
    uint64_t capacity = replicas_capacity(1, loads_sum(loads, 4), 4, 2);
    assert_int_equal(capacity, 10);
    assert_int_equal(replicas_dropped(loads, even, 4, capacity), 30);
    assert_int_equal(replicas_dropped(loads, fitting, 4, capacity), 0);
    assert_int_equal(replicas_capacity(1, 81, 4, 2), 11);
    assert_int_equal(replicas_capacity(1.25, 80, 4, 2), 13);
    assert_int_equal(replicas_capacity(0, 80, 4, 2), 0);
}

static void test_the_heaviest_rank(void **state)
{
    (void)state;
    const uint64_t loads[4] = {50, 10, 10, 10};
    const int even[4] = {2, 2, 2, 2}, laid[8] = {0, 0, 1, 1, 2, 2, 3, 3};
    const int fitting[4] = {5, 1, 1, 1}, copies[8] = {0, 0, 0, 0, 0, 1, 2, 3};
    assert_float_equal(replicas_heaviest(loads, even, laid, 4, 2), 50, 0);
    assert_float_equal(replicas_heaviest(loads, fitting, copies, 4, 2), 20, 0);
}

/* Tokens that equal copies, copies by the loads before and copies by the loads themselves drop. */
static void dropped_count(const uint64_t *before, const uint64_t *after, uint64_t dropped[3])
{
    int count[128];
    double work[128];
    uint64_t capacity = replicas_capacity(1, loads_sum(after, 128), 8, 64);
    for (int e = 0; e < 128; e++) count[e] = 4;
    dropped[0] = replicas_dropped(after, count, 128, capacity);
    assert_int_equal(replicas_count(before, 128, 8, 64, count, work), 0);
    dropped[1] = replicas_dropped(after, count, 128, capacity);
    assert_int_equal(replicas_count(after, 128, 8, 64, count, work), 0);
    dropped[2] = replicas_dropped(after, count, 128, capacity);
    print_message("dropped of %lu: equal copies %lu, by forecast %lu, by the loads %lu\n",
                  (unsigned long)loads_sum(after, 128), (unsigned long)dropped[0], (unsigned long)dropped[1],
                  (unsigned long)dropped[2]);
}

/* Loads that stay skewed are a good forecast. Those of the recorded trace follow its texts, and are none: a plan must
 * not promise there what only the batch's own loads would bring. */
static void test_the_last_loads_forecast_the_next(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("8", 8);
    hm_trace_t trace = test_trace_read();
    test_batch_t batch;
    uint64_t before[128] = {0}, after[128] = {0}, dropped[3];
    test_batch_create(&batch, topo, "zipf:0.8", 128, 8, 1024, 1);
    loads_add(batch.ids, 4096, 8, before);
    loads_add(batch.ids + 4096 * 8, 4096, 8, after);
    dropped_count(before, after, dropped);
    assert_true(3 * dropped[1] < dropped[0] && dropped[2] <= dropped[1]);
    memset(before, 0, sizeof(before));
    memset(after, 0, sizeof(after));
    for (int r = 0; r < trace.ranks; r++) {
        loads_add(trace_source(&trace, r, 0), 512, 8, before);
        loads_add(trace_source(&trace, r, 0) + 512 * 8, 512, 8, after);
    }
    dropped_count(before, after, dropped);
    assert_true(dropped[1] >= dropped[0] && 3 * dropped[2] < dropped[0]);
    trace_free(&trace);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_loads_are_put_in_order(void **state)
{
    (void)state;
    static uint64_t loads[5000];
    static int order[5000], work[5000];
    uint64_t random = 3;
    for (int e = 0; e < 5000; e++) loads[e] = splitmix_next(&random) % 1000;
    loads_order(loads, 5000, order, work);
    static int seen[5000];
    for (int i = 0; i < 5000; i++) seen[order[i]]++;
    for (int i = 0; i < 5000; i++) assert_int_equal(seen[i], 1);
    for (int i = 1; i < 5000; i++) {
        uint64_t left = loads[order[i - 1]], right = loads[order[i]];
        assert_true(left > right || (left == right && order[i - 1] < order[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_equal_algorithm_1_on_100000_loads),
        cmocka_unit_test(test_slots_follow_counts_rank_by_rank),
        cmocka_unit_test(test_too_few_slots_are_refused),
        cmocka_unit_test(test_decoupling_costs_what_the_paper_says),
        cmocka_unit_test(test_what_does_not_fit_is_dropped),
        cmocka_unit_test(test_the_heaviest_rank),
        cmocka_unit_test(test_the_last_loads_forecast_the_next),
        cmocka_unit_test(test_loads_are_put_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
