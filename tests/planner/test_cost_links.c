/* The LINKS models: what times follow from the bytes of all messages, and what is done beside them. */
#include "planner_test.h"

#include <errno.h>

#include "call/cost.h"

/* Later slices are packed while neighbours use the shared wire, as far as it would idle for one rank alone. */
static void test_packing_hides_behind_a_shared_wire(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,2", 4);
    hm_profile_t profile = {.levels = 2, .groups = {1, 2, 4}, .pack_ms = 1e-6};
    profile.inter[1] = (hm_link_t){0, 1e-5, 1, 1, 0, 0, 0};
    test_batch_t batch;
    hm_cost_t own, shared, whole;
    hm_cost_options_t options = {.model = HM_COST_LINKS_SLICED, .slices = 4};
    test_batch_create(&batch, topo, "uniform", 16, 2, 128, 9);
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &own), 0);
    profile.alone_ms[1] = 0.5e-5;
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &shared), 0);
    assert_float_equal(shared.extra_ms[2], own.extra_ms[2] / 4, 1e-9);
    assert_float_equal(shared.extra_ms[1], own.extra_ms[1], 0);
    profile.alone_ms[1] = 0.999e-5; /* next to no room */
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &shared), 0);
    assert_float_equal(shared.extra_ms[2], own.extra_ms[2] - 0.001 * 0.75 * shared.ms[2], 1e-9);
    profile.alone_ms[1] = 0.5e-5;
    options.slices = 1;
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &whole), 0);
    assert_float_equal(whole.extra_ms[2], own.extra_ms[2], 0);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_links_model_sees_one_busy_sender(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,8", 32);
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    test_batch_t batch;
    hm_cost_t even, skewed;
    hm_cost_options_t options = {.model = HM_COST_LINKS};
    test_batch_create(&batch, topo, "uniform", 128, 8, 512, 9);
    assert_int_equal(cost_predict(topo, profile, &batch.table, &options, &even), 0);
    for (int l = 0; l <= 2; l++) {
        uint32_t *rows = l == 0 ? batch.raw : batch.distinct[l];
        int columns = l == 0 ? 32 : topo->groups[l];
        for (int s = 0; s < 32; s++)
            for (int g = 0; g < columns; g++) rows[s * columns + g] = s == 3 ? rows[s * columns + g] * 16 : 0;
    }
    assert_int_equal(cost_predict(topo, profile, &batch.table, &options, &skewed), 0);
    for (int d = 0; d <= 2; d++) assert_true(skewed.ms[d] > 3 * even.ms[d]);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

/* One rank sends all there is to the other node. In one lane its rail peer alone has it to deal out. */
static void test_lanes_spread_what_one_gateway_would_deal_out(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,4", 8);
    hm_profile_t profile = {.levels = 2, .groups = {1, 2, 8}};
    test_batch_t batch;
    hm_cost_t rail, lanes;
    hm_cost_options_t options = {.model = HM_COST_LINKS, .lanes = 1};
    profile.intra[0] = (hm_link_t){0, 1e-9, 1, 1, 0, 0, 0};
    profile.intra[1] = (hm_link_t){0, 1e-5, 1, 1, 0, 0, 0};
    test_batch_create(&batch, topo, "uniform", 8, 4, 128, 9);
    for (int s = 1; s < 8; s++)
        for (int l = 1; l <= 2; l++)
            memset(batch.distinct[l] + s * topo->groups[l], 0, (size_t)topo->groups[l] * sizeof(uint32_t));
    for (int p = 0; p < 4; p++) batch.distinct[2][p] = 0;
    memset(batch.raw, 0, 64 * sizeof(uint32_t)); /* no maps */
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &rail), 0);
    options.lanes = 4;
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &lanes), 0);
    double most = 0, rows = 0;
    for (int p = 4; p < 8; p++) rows += batch.distinct[2][p];
    for (int p = 4; p < 8; p++) {
        /* As gateway of a quarter of each row a rank sends it to three others, and gets the other quarters from them.
         */
        double sent = 0.25 * (rows - batch.distinct[2][p]), received = 0.75 * batch.distinct[2][p];
        double busy = sent > received ? sent : received;
        if (busy > most) most = busy;
    }
    assert_float_equal(lanes.ms[2], most * 4096 * 4 / 3 * 1e-5, 1e-9);
    assert_float_equal(rail.ms[2], (rows - batch.distinct[2][4]) * 4096 * 4 / 3 * 1e-5, 1e-9);
    assert_float_equal(lanes.ms[1], rail.ms[1], 0);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_own_rows_beside_the_wires_cost_what_wires_do_not_hide(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2", 2);
    hm_profile_t profile = *profile_builtin("a6000-4x8");
    test_batch_t batch;
    hm_cost_t after, beside, slow;
    hm_cost_options_t options = {.model = HM_COST_LINKS_SLICED, .slices = 1};
    test_batch_create(&batch, topo, "uniform", 16, 4, 512, 9);
    size_t own = batch.raw[0] > batch.raw[3] ? batch.raw[0] : batch.raw[3];
    double bytes = (double)own * (double)batch.table.row_bytes;
    profile.pack_ms = 1e-9;
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &after), 0);
    options.own_beside = true;
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &beside), 0);
    double saved = after.extra_ms[1] - beside.extra_ms[1];
    assert_true(saved > 0.9e-9 * bytes && saved < 1.1e-9 * bytes);
    assert_float_equal(beside.ms[1], after.ms[1], 0);
    assert_float_equal(beside.ms[0], after.ms[0], 0);
    hm_topo_t *deep = test_topo("2,2", 4);
    test_batch_t more;
    test_batch_create(&more, deep, "uniform", 16, 4, 512, 9);
    profile.pack_ms = 1;
    assert_int_equal(cost_predict(deep, &profile, &more.table, &options, &slow), 0);
    for (int r = 0; r < 4; r++) assert_true(slow.ms[2] >= (double)more.raw[5 * r] * (double)more.table.row_bytes);
    test_batch_destroy(&more);
    topo_destroy(deep);
    profile.pack_ms = 1; /* the wires hide next to nothing */
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &slow), 0);
    assert_float_equal(slow.ms[1], bytes, 1e-9 * bytes);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_own_memory_gives_the_same_and_bad_options_are_refused(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo_scattered(13, 3, 1);
    hm_topo_t *one = test_topo("1", 1);
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    test_batch_t batch, single;
    hm_cost_t heap, own;
    hm_cost_options_t options = {.model = HM_COST_LINKS_SLICED, .slices = 4};
    test_batch_create(&batch, topo, "zipf:1", 26, 4, 64, 9);
    assert_int_equal(cost_predict(topo, profile, &batch.table, &options, &heap), 0);
    options.memory = malloc(cost_memory(topo, options.model) * sizeof(double));
    assert_non_null(options.memory);
    assert_int_equal(cost_predict(topo, profile, &batch.table, &options, &own), 0);
    free(options.memory);
    options.memory = NULL;
    for (int d = 0; d <= topo->levels; d++) assert_float_equal(heap.ms[d], own.ms[d], 0);
    test_batch_create(&single, one, "uniform", 4, 2, 8, 1);
    assert_int_equal(cost_predict(one, profile, &single.table, &options, &own), 0);
    assert_true(isfinite(own.ms[0]) && isfinite(own.ms[1]));
    options.slices = 0;
    assert_int_equal(cost_predict(topo, profile, &batch.table, &options, &own), -EINVAL);
    options = (hm_cost_options_t){.model = HM_COST_LINKS, .lanes = topo_lanes(topo) + 1};
    assert_int_equal(cost_predict(topo, profile, &batch.table, &options, &own), -EINVAL);
    options = (hm_cost_options_t){.model = HM_COST_MODELS};
    assert_int_equal(cost_predict(topo, profile, &batch.table, &options, &own), -EINVAL);
    test_batch_destroy(&single);
    test_batch_destroy(&batch);
    topo_destroy(one);
    topo_destroy(topo);
}

/* Rows that stay in their node take the inside's time, also where next to nothing leaves it. */
static void test_flat_exchange_inside_a_node_takes_the_inside_s_time(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,2", 4);
    hm_profile_t profile = {.levels = 2, .groups = {1, 2, 4}};
    profile.intra[0] = (hm_link_t){1, 0.1, 1, 1, 0, 0, 0};
    profile.inter[1] = (hm_link_t){2, 0.01, 1, 1, 0, 0, 0};
    profile.intra[1] = (hm_link_t){3, 0.2, 1, 1, 0, 0, 0};
    uint32_t raw[16] = {0, 6, 1}, node[8] = {6, 1}, rank[16] = {0, 6, 1};
    hm_table_t table = {.row_bytes = 10, .raw = raw, .distinct = {NULL, node, rank}};
    hm_cost_options_t options = {.model = HM_COST_LINKS};
    hm_cost_t cost;
    assert_int_equal(cost_predict(topo, &profile, &table, &options, &cost), 0);
    /* A buffer's beta is for half of its bytes leaving. */
    assert_float_equal(cost.ms[0], 3 + 6 * 10 * 0.4, 1e-12);
    topo_destroy(topo);
}

/* Calls along a kept dispatch's way: what is sent comes in, so that both ways keep the same wires busy as long; neither
 * has heads, agreement or compare. Sums cost more than copies. */
static void test_calls_along_a_kept_way_cost_the_same_back(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,2,2", 16);
    const hm_wire_t wire[HM_MAX_LEVELS + 1] = {HM_WIRE_SHM, HM_WIRE_TCP, HM_WIRE_SHM, HM_WIRE_SHM};
    const int slices[HM_MAX_LEVELS + 1] = {1, 1, 4, 4};
    hm_profile_t profile;
    test_batch_t batch;
    hm_cost_t out, again, back, all;
    profile_prior(topo, wire, NULL, &profile);
    profile.agree_ms = 50;
    test_batch_create(&batch, topo, "uniform", 32, 4, 300, 9);
    hm_cost_options_t options = {.model = HM_COST_LINKS_SLICED, .slices_at = slices, .slices = 1};
    assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &out), 0);
    assert_int_equal(cost_links_kept(topo, &profile, &batch.table, slices, &options, false, &again), 0);
    assert_int_equal(cost_links_kept(topo, &profile, &batch.table, slices, &options, true, &back), 0);
    assert_float_equal(again.ms[0], out.ms[0], 0);
    all = out;
    cost_links_add(&all, &back, 2);
    for (int d = 0; d <= 3; d++) {
        assert_float_equal(back.ms[d], again.ms[d], 1e-12 * again.ms[d]);
        assert_float_equal(all.ms[d], out.ms[d] + 2 * back.ms[d], 1e-12 * all.ms[d]);
        assert_true(d == 0 ? back.extra_ms[d] == 0 : back.extra_ms[d] > again.extra_ms[d] && again.extra_ms[d] > 0);
        assert_true(d == 0 || (again.ms[d] < out.ms[d] && back.extra_ms[d] < 50));
    }
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing_hides_behind_a_shared_wire),
        cmocka_unit_test(test_links_model_sees_one_busy_sender),
        cmocka_unit_test(test_lanes_spread_what_one_gateway_would_deal_out),
        cmocka_unit_test(test_own_rows_beside_the_wires_cost_what_wires_do_not_hide),
        cmocka_unit_test(test_own_memory_gives_the_same_and_bad_options_are_refused),
        cmocka_unit_test(test_calls_along_a_kept_way_cost_the_same_back),
        cmocka_unit_test(test_flat_exchange_inside_a_node_takes_the_inside_s_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
