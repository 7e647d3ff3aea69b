/* What calls took decides in the end, whatever the profile said: the two together, call by call. */
#include "planner_test.h"

#include "call/plan.h"
#include "call/refine.h"

#define CALLS 2000
#define HICCUP 1000 /* the call from which on the first of `slow` take eight times as long */

/* Calls as table_plan and timing_learn make them, planned with one profile on a cluster that takes the times of
 * another. Returns how many went deep, of the last as many as count from `from` on. */
static int calls_run(const hm_topo_t *topo, const hm_profile_t *prior, const hm_profile_t *truth, int top_k, int slow,
                     int from)
{
    hm_plan_t plan, took;
    hm_refine_t refine = {0};
    test_batch_t batch;
    double *memory = malloc(plan_memory(topo->ranks) * sizeof(*memory)), factor[HM_MAX_LEVELS + 1], bytes = 0;
    hm_plan_options_t options = {.force_depth = -1, .most_slices = 1, .own_beside = true}, real = options;
    int deep = 0;
    assert_non_null(memory);
    test_batch_create(&batch, topo, "uniform", 128, top_k, 4096, 1);
    plan_choose(topo, truth, &batch.table, &real, memory, &took);
    for (int i = 0; i < topo->ranks * topo->ranks; i++) bytes += batch.raw[i] * (double)batch.table.row_bytes;
    int size = refine_size(bytes / topo->ranks);
    for (int call = 0; call < CALLS; call++) {
        for (int d = 0; d <= topo->levels; d++) factor[d] = refine_factor(&refine, size, d);
        options.factor = factor;
        plan_choose(topo, prior, &batch.table, &options, memory, &plan);
        int depth = refine_take(&refine, size, plan.depth) ? 0 : plan.depth;
        double times = call >= HICCUP && call < HICCUP + slow ? 8 : 1;
        refine_add(&refine, size, depth, plan.model_ms[depth], times * took.predicted_ms[depth]);
        deep += depth > 0 && call >= from;
    }
    test_batch_destroy(&batch);
    free(memory);
    return deep;
}

/* Sockets that are as fast as InfiniBand (GPUs that reach the card by themselves), taken for usual ones. */
static void calls_that_are_slower_replaced_are_left_alone_in_the_end(void **state)
{
    (void)state;
    const hm_wire_t guessed[HM_MAX_LEVELS + 1] = {0, HM_WIRE_TCP, HM_WIRE_NVLINK};
    const hm_wire_t real[HM_MAX_LEVELS + 1] = {0, HM_WIRE_NET, HM_WIRE_NVLINK};
    hm_topo_t *topo = test_topo("2,8", 16);
    hm_profile_t prior, truth;
    profile_prior(topo, guessed, NULL, &prior);
    profile_prior(topo, real, NULL, &truth);
    int deep = calls_run(topo, &prior, &truth, 2, 0, 0), late = calls_run(topo, &prior, &truth, 2, 0, CALLS / 2);
    assert_in_range(deep - late, 4 * HM_REFINE_TRIAL, CALLS / 2);
    /* Tried again for a few calls after every HM_REFINE_TRIAL that are looked at, which are few of those left alone. */
    assert_in_range(late, 1, CALLS / 2 * 6 / (HM_REFINE_TRIAL + 6));
    topo_destroy(topo);
}

/* Where it is right, few calls pay for knowing that. */
static void calls_that_are_faster_replaced_stay_replaced(void **state)
{
    (void)state;
    const hm_wire_t wire[HM_MAX_LEVELS + 1] = {0, HM_WIRE_TCP, HM_WIRE_NVLINK};
    hm_topo_t *topo = test_topo("2,8", 16);
    hm_profile_t profile;
    profile_prior(topo, wire, NULL, &profile);
    assert_in_range(calls_run(topo, &profile, &profile, 8, 0, 0), CALLS - 16, CALLS - 4);
    topo_destroy(topo);
}

/* Such as a checkpoint that goes over the same cards: plain calls are slow then as well, but few are made. */
static void short_slowness_does_not_end_replacing(void **state)
{
    (void)state;
    const hm_wire_t wire[HM_MAX_LEVELS + 1] = {0, HM_WIRE_TCP, HM_WIRE_NVLINK};
    hm_topo_t *topo = test_topo("2,8", 16);
    hm_profile_t profile;
    profile_prior(topo, wire, NULL, &profile);
    for (int top_k = 4; top_k <= 8; top_k += 4)
        for (int slow = 1; slow < 15; slow++)
            assert_in_range(calls_run(topo, &profile, &profile, top_k, slow, CALLS - 500), 480, 500);
    topo_destroy(topo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_that_are_slower_replaced_are_left_alone_in_the_end),
        cmocka_unit_test(calls_that_are_faster_replaced_stay_replaced),
        cmocka_unit_test(short_slowness_does_not_end_replacing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
