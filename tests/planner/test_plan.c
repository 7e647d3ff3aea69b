/* The planner's answer for a table: least predicted time, forced depths, no profile, and the same bits every time. */
#include "planner_test.h"

#include "call/cost.h"
#include "call/plan.h"

static hm_plan_t plan_of(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table, int force)
{
    hm_plan_t plan;
    double *memory = malloc(plan_memory(topo->ranks) * sizeof(*memory));
    assert_non_null(memory);
    /* What lies in the memory before must not matter. */
    memset(memory, 0xff, plan_memory(topo->ranks) * sizeof(*memory));
    hm_plan_options_t options = {.force_depth = force, .most_slices = 1};
    plan_choose(topo, profile, table, &options, memory, &plan);
    free(memory);
    return plan;
}

static void test_slow_nodes_are_crossed_once_and_fast_ones_left_alone(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,8", 32);
    hm_wire_t slow[HM_MAX_LEVELS + 1] = {0, HM_WIRE_TCP, HM_WIRE_NVLINK};
    hm_profile_t profile;
    test_batch_t repeated, single;
    test_batch_create(&repeated, topo, "uniform", 128, 8, 2048, 3);
    test_batch_create(&single, topo, "uniform", 128, 1, 2048, 3);
    profile_prior(topo, slow, NULL, &profile);
    hm_plan_t plan = plan_of(topo, &profile, &repeated.table, -1);
    assert_int_equal(plan.depth, 2);
    assert_true(plan.predicted_ms[2] < plan.predicted_ms[1] && plan.predicted_ms[1] < plan.predicted_ms[0]);
    assert_true(isnan(plan.predicted_ms[3]));
    plan = plan_of(topo, &profile, &single.table, -1); /* one expert each: no row goes twice anywhere */
    assert_int_equal(plan.depth, 0);
    test_batch_destroy(&single);
    test_batch_destroy(&repeated);
    topo_destroy(topo);
}

static void test_dear_agreements_leave_calls_alone(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,8", 32);
    hm_profile_t profile = *profile_builtin("a6000-4x8");
    test_batch_t batch;
    test_batch_create(&batch, topo, "uniform", 128, 8, 512, 3);
    hm_plan_t before = plan_of(topo, &profile, &batch.table, -1);
    assert_true(before.depth > 0);
    profile.agree_ms = before.predicted_ms[0];
    hm_plan_t after = plan_of(topo, &profile, &batch.table, -1);
    assert_int_equal(after.depth, 0);
    assert_float_equal(after.predicted_ms[0], before.predicted_ms[0], 0);
    assert_float_equal(after.predicted_ms[2], before.predicted_ms[2] + profile.agree_ms, 1e-9);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_forced_depths_are_taken_and_still_predicted(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,2,2", 8);
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    test_batch_t batch;
    test_batch_create(&batch, topo, "uniform", 64, 4, 256, 3);
    for (int force = 0; force <= 6; force++) {
        hm_plan_t plan = plan_of(topo, profile, &batch.table, force);
        assert_int_equal(plan.depth, force < 3 ? force : 3);
        double copies = plan.copies;
        assert_true(plan.predicted_ms[plan.depth] > 0 && copies > 0);
        plan = plan_of(topo, NULL, &batch.table, force);
        assert_int_equal(plan.depth, force < 3 ? force : 3);
        assert_true(isnan(plan.predicted_ms[0]));
        assert_float_equal(plan.copies, copies, 1e-12); /* counted without a profile as with one */
    }
    assert_int_equal(plan_of(topo, NULL, &batch.table, -1).depth, 0);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_memory_is_enough_for_any_topology(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int ranks;
    } cases[] = {{"1", 1}, {"2", 2}, {"2,2,2,2,2,2", 64}, {"3,5", 15}, {"16,8", 128}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hm_topo_t *topo = test_topo(cases[i].spec, cases[i].ranks);
        assert_true(plan_memory(topo->ranks) >= cost_memory(topo, HM_COST_LINKS));
        topo_destroy(topo);
    }
}

/* Two levels: bytes between nodes cost all there is to pay. */
static hm_profile_t profile_of_slow_nodes(const hm_topo_t *topo)
{
    return (hm_profile_t){.levels = 2,
                          .groups = {1, topo->groups[1], topo->ranks},
                          .intra = {{0, 1e-5, 1, 2, 0, 0, 0}, {0, 1e-9, 1, 2, 0, 0, 0}},
                          .inter = {{0, 0, 0, 0, 0, 0, 0}, {0, 1e-5, 1, 2, 0, 0, 0}}};
}

/* Only the first ranks send. */
static void batch_of_few_senders(test_batch_t *batch, const hm_topo_t *topo, int senders)
{
    test_batch_create(batch, topo, "uniform", 64, 4, 256, 3);
    for (int l = 0; l <= 2; l++) {
        uint32_t *rows = l == 0 ? batch->raw : batch->distinct[l];
        size_t columns = (size_t)(l == 0 ? topo->ranks : topo->groups[l]), from = columns * (size_t)senders;
        memset(rows + from, 0, (columns * (size_t)topo->ranks - from) * sizeof(*rows));
    }
}

/* One rank of a node sends all its rows: with a wire of its own it waits for itself, on a shared one the node's mean
 * counts, as far as one rank alone can fill the wire. */
static void test_shared_wires_let_busy_ranks_use_idle_neighbours_share(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,4", 8);
    hm_profile_t profile = profile_of_slow_nodes(topo);
    test_batch_t batch;
    batch_of_few_senders(&batch, topo, 1);
    double own = plan_of(topo, &profile, &batch.table, 2).predicted_ms[2];
    profile.alone_ms[1] = 1e-5 / 4;
    double shared = plan_of(topo, &profile, &batch.table, 2).predicted_ms[2];
    profile.alone_ms[1] = 1e-5 / 2;
    double half = plan_of(topo, &profile, &batch.table, 2).predicted_ms[2];
    assert_float_equal(shared / own, 0.25, 0.01);
    assert_float_equal(half / own, 0.5, 0.01);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

/* One node of four sends: with a wire of its own it waits for itself, on one that all nodes share the mean counts. */
static void test_a_wire_of_all_nodes_lets_a_busy_one_use_idle_ones_share(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,2", 8);
    hm_profile_t profile = profile_of_slow_nodes(topo);
    test_batch_t batch;
    double own[3], shared;
    batch_of_few_senders(&batch, topo, 2);
    for (int d = 0; d <= 2; d++) own[d] = plan_of(topo, &profile, &batch.table, d).predicted_ms[d];
    for (int d = 0; d <= 2; d++) {
        profile.few_ms[1] = 0.5e-5; /* half of the nodes take half as long */
        shared = plan_of(topo, &profile, &batch.table, d).predicted_ms[d];
        assert_float_equal(shared / own[d], 0.25, 0.02);
        profile.few_ms[1] = 0.75e-5;
        shared = plan_of(topo, &profile, &batch.table, d).predicted_ms[d];
        assert_float_equal(shared / own[d], 0.625, 0.02);
        profile.few_ms[1] = 1.1e-5; /* noise */
        assert_float_equal(plan_of(topo, &profile, &batch.table, d).predicted_ms[d], own[d], 0);
    }
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

/* 3 * 64 rows of 4096 bytes leave rank 0, three slices of 256 KiB; others send less. */
static void test_deep_calls_are_cut_while_slices_fill_the_wires(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,2", 8);
    uint32_t raw[64] = {0}, node[32] = {500, 64, 64, 64, 500, 10, 10, 10, 10, 500, 10, 10}, rank[64] = {0};
    hm_table_t table = {.row_bytes = 4096, .raw = raw, .distinct = {NULL, node, rank}};
    hm_plan_options_t options = {.force_depth = -1, .most_slices = 8};
    assert_int_equal(plan_slices(topo, &table, 1, &options), 1);
    assert_int_equal(plan_slices(topo, &table, 2, &options), 3);
    options.most_slices = 2;
    assert_int_equal(plan_slices(topo, &table, 2, &options), 2);
    options.force_slices = 5;
    assert_int_equal(plan_slices(topo, &table, 1, &options), 5);
    assert_int_equal(plan_slices(topo, &table, 2, &options), 5);
    assert_int_equal(plan_slices_of(0, 4), 1);
    assert_int_equal(plan_slices_of((512 << 10) - 1, 4), 1);
    assert_int_equal(plan_slices_of(512 << 10, 4), 2);
    topo_destroy(topo);
}

static void test_predictions_know_how_calls_are_cut(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,4", 8);
    hm_profile_t profile = {.levels = 2,
                            .groups = {1, 2, 8},
                            .intra = {{0, 1e-5, 1, 2, 0, 0, 0}, {0, 1e-5, 1, 2, 0, 0, 0}},
                            .inter = {{0, 0, 0, 0, 0, 0, 0}, {0, 1e-5, 1, 2, 0, 0, 0}}};
    test_batch_t batch;
    hm_plan_t plan[3];
    double *memory = malloc(plan_memory(topo->ranks) * sizeof(*memory));
    assert_non_null(memory);
    test_batch_create(&batch, topo, "uniform", 64, 4, 1024, 3);
    for (int i = 0; i < 3; i++) {
        hm_plan_options_t options = {.force_depth = -1, .most_slices = 1 << i};
        plan_choose(topo, &profile, &batch.table, &options, memory, &plan[i]);
        assert_float_equal(plan[i].predicted_ms[0], plan[0].predicted_ms[0], 0);
        assert_float_equal(plan[i].predicted_ms[1], plan[0].predicted_ms[1], 0);
    }
    /* Two steps of times a > b take a + b / slices. */
    double a_b = plan[0].predicted_ms[2], a_half = plan[1].predicted_ms[2], a_quarter = plan[2].predicted_ms[2];
    assert_true(a_half < 0.9 * a_b);
    assert_float_equal(a_b - a_half, 2 * (a_half - a_quarter), 1e-9);
    test_batch_destroy(&batch);
    free(memory);
    topo_destroy(topo);
}

/* What goes in lanes is predicted as what goes in lanes. */
static void test_predictions_know_lanes(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,4", 8);
    hm_profile_t profile = profile_of_slow_nodes(topo);
    test_batch_t batch;
    hm_plan_t rail, lanes;
    hm_cost_t cost;
    hm_plan_options_t options = {.force_depth = -1, .most_slices = 1};
    hm_cost_options_t how = {.model = HM_COST_LINKS, .lanes = topo_lanes(topo)};
    double *memory = malloc(plan_memory(topo->ranks) * sizeof(*memory));
    assert_non_null(memory);
    assert_int_equal(how.lanes, 4);
    test_batch_create(&batch, topo, "uniform", 64, 4, 1024, 3);
    plan_choose(topo, &profile, &batch.table, &options, memory, &rail);
    options.lanes = topo_lanes(topo);
    plan_choose(topo, &profile, &batch.table, &options, memory, &lanes);
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &how, &cost), 0);
    for (int d = 0; d <= 1; d++) assert_float_equal(lanes.predicted_ms[d], rail.predicted_ms[d], 0);
    assert_float_equal(lanes.predicted_ms[2], cost.ms[2] + cost.extra_ms[2], 0);
    assert_true(lanes.predicted_ms[2] != rail.predicted_ms[2]);
    test_batch_destroy(&batch);
    free(memory);
    topo_destroy(topo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deep_calls_are_cut_while_slices_fill_the_wires),
        cmocka_unit_test(test_predictions_know_how_calls_are_cut),
        cmocka_unit_test(test_predictions_know_lanes),
        cmocka_unit_test(test_slow_nodes_are_crossed_once_and_fast_ones_left_alone),
        cmocka_unit_test(test_dear_agreements_leave_calls_alone),
        cmocka_unit_test(test_forced_depths_are_taken_and_still_predicted),
        cmocka_unit_test(test_memory_is_enough_for_any_topology),
        cmocka_unit_test(test_shared_wires_let_busy_ranks_use_idle_neighbours_share),
        cmocka_unit_test(test_a_wire_of_all_nodes_lets_a_busy_one_use_idle_ones_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
