/* Predictions for the paper's cluster and for tables, and which depth is taken for them. */
#include "planner_test.h"

#include "call/cost.h"

static void uniform_hits(const hm_topo_t *topo, int experts, int top_k, int tokens, size_t row_bytes, hm_hits_t *hits)
{
    *hits = (hm_hits_t){.row_bytes = row_bytes, .raw = (double)tokens * top_k};
    for (int l = 1; l <= topo->levels; l++)
        hits->level[l] = (double)topo->ranks * tokens * count_hit_uniform(experts, experts / topo->groups[l], top_k);
    hits->copies = table_duplication(hits->level[1] * topo->groups[1], hits->raw * topo->ranks);
}

/* What the Fig. 9 constants of 2508.09591 give for uniform routing, 1024 tokens a GPU, bf16, to 1 per cent. */
static void check_paper(int experts, size_t hidden, const double want[5])
{
    hm_topo_t *topo = test_topo("4,2,2,2", 32);
    hm_hits_t hits;
    hm_cost_t cost;
    uniform_hits(topo, experts, 8, 1024, hidden * 2, &hits);
    assert_int_equal(cost_predict_hits(topo, profile_builtin("a6000-4x8"), &hits, 1, &cost), 0);
    for (int d = 0; d <= 4; d++)
        if (fabs(cost.ms[d] - want[d]) > 0.01 * want[d])
            fail_msg("depth %d: %.3f ms, not %.2f", d, cost.ms[d], want[d]);
    assert_int_equal(cost_depth_best(&cost), 3);
    assert_int_equal(cost_depth_choose(&cost), 3);
    topo_destroy(topo);
}

static void test_uniform_predictions_are_those_of_the_paper(void **state)
{
    (void)state;
    check_paper(128, 2048, (const double[]){19.85, 18.32, 13.04, 12.40, 12.90});
    check_paper(256, 3584, (const double[]){34.19, 31.12, 21.88, 20.90, 21.59});
}

/* What a depth gains is believed the less, the less of it can come from copies. */
static void test_gains_without_copies_must_be_larger(void **state)
{
    (void)state;
    static const struct {
        double copies, gain;
        int depth;
    } cases[] = {{0, 9.5, 0},    {0, 10.5, 2},   {0.025, 6, 0}, {0.025, 7, 2},
                 {0.05, 2.5, 0}, {0.05, 3.5, 2}, {0.6, 2.5, 0}, {0.6, 3.5, 2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hm_cost_t cost = {
            .levels = 2, .ms = {100, 120, 90 - cases[i].gain}, .extra_ms = {0, 10, 10}, .copies = cases[i].copies};
        if (cost_depth_choose(&cost) != cases[i].depth)
            fail_msg("copies %g, gain %g: depth %d", cases[i].copies, cases[i].gain, cost_depth_choose(&cost));
    }
}

/* Totals count, not maxima: skewed rows that never repeat are no copies. */
static void test_copies_are_counted_over_all_rows(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,2", 4);
    hm_profile_t profile = {.levels = 2, .groups = {1, 2, 4}};
    profile.intra[0] = profile.intra[1] = profile.inter[1] = (hm_link_t){1, 1e-6, 1, 1, 0, 0, 0};
    uint32_t raw[16] = {9, 1, 0, 0, 50, 0, 0, 0, 7, 0, 3, 0, 20, 5, 5, 0}, rank[16], node[8], none[16] = {0};
    memcpy(rank, raw, sizeof(rank));
    for (int model = 0; model < HM_COST_MODELS; model++) {
        hm_cost_options_t options = {.model = (hm_cost_model_t)model, .slices = 2};
        hm_table_t table = {.row_bytes = 100, .raw = raw, .distinct = {NULL, node, rank}};
        hm_cost_t cost;
        for (int i = 0; i < 8; i++) node[i] = raw[2 * i] + raw[2 * i + 1];
        assert_int_equal(cost_predict(topo, &profile, &table, &options, &cost), 0);
        assert_float_equal(cost.copies, 0, 0);
        node[0] -= 1, node[6] -= 4; /* of 100 rows */
        assert_int_equal(cost_predict(topo, &profile, &table, &options, &cost), 0);
        assert_float_equal(cost.copies, 0.05, 1e-12);
        table.raw = table.distinct[1] = table.distinct[2] = none;
        assert_int_equal(cost_predict(topo, &profile, &table, &options, &cost), 0);
        assert_float_equal(cost.copies, 0, 0);
    }
    topo_destroy(topo);
}

static void test_a_table_gives_what_its_sums_give(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,2,2,2", 32);
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    test_batch_t batch;
    hm_cost_t cost, expected;
    hm_hits_t hits;
    hm_cost_options_t options = {.model = HM_COST_PADDED};
    test_batch_create(&batch, topo, "uniform", 128, 8, 1024, 2);
    uniform_hits(topo, 128, 8, 1024, 4096, &hits);
    assert_int_equal(cost_predict(topo, profile, &batch.table, &options, &cost), 0);
    assert_int_equal(cost_predict_hits(topo, profile, &hits, 1, &expected), 0);
    for (int d = 0; d <= 4; d++) assert_float_equal(cost.ms[d], expected.ms[d], 0.03 * expected.ms[d]);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

/* With one alpha and beta everywhere the numbers can be done by hand. */
static void test_hand_counted_exchange(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,2", 4);
    hm_profile_t profile = {.levels = 2, .groups = {1, 2, 4}};
    profile.intra[0] = (hm_link_t){1, 0.1, 1, 1, 0, 0, 0};
    profile.inter[1] = (hm_link_t){2, 0.01, 1, 1, 0, 0, 0};
    profile.intra[1] = (hm_link_t){3, 0.001, 1, 1, 0, 0, 0};
    profile.agree_ms = 5;
    profile.identify_ms = 1e-3;
    profile.pack_ms = 1e-4;
    /* Source 0 sends 3 rows to rank 2 and 3 to rank 3: 4 different rows, 2 of them for both. Nobody else sends. */
    uint32_t raw[16] = {0, 0, 3, 3}, node[8] = {0, 4}, rank[16] = {0, 0, 3, 3};
    hm_table_t table = {.row_bytes = 10, .raw = raw, .distinct = {NULL, node, rank}};
    hm_cost_options_t options = {.model = HM_COST_PADDED};
    hm_cost_t cost;
    assert_int_equal(cost_predict(topo, &profile, &table, &options, &cost), 0);
    assert_float_equal(cost.ms[0], 1 + 3 * 10 * 0.1, 1e-12);
    assert_float_equal(cost.ms[1], 1 + 3 * 10 * 0.1, 1e-12);
    assert_float_equal(cost.ms[2], 2 + 0.5 * 4 * 10 * 0.01 + 3 + 3 * 10 * 0.001, 1e-12);
    assert_float_equal(cost.extra_ms[0], 0, 0);
    assert_float_equal(cost.extra_ms[2], 5 + 30 * 1e-3 + (30 + 30 + 20) * 1e-4, 1e-12);
    options.model = HM_COST_LINKS;
    assert_int_equal(cost_predict(topo, &profile, &table, &options, &cost), 0);
    /* Flat: 6 rows leave the node of rank 0; a buffer's beta is for half of its bytes leaving. */
    assert_float_equal(cost.ms[0], 1 + 6 * 10 * 0.2, 1e-12);
    /* Depth 1: 3 rows and maps of 3 entries, 16 bytes, to either. */
    assert_float_equal(cost.ms[1], 1 + 2 * 46 * 0.2, 1e-12);
    /* Depth 2: 4 rows, 16 bytes of masks and 32 of maps to the rail peer (rank 2), which forwards 3 and 16 to rank 3.
     */
    assert_float_equal(cost.ms[2], 2 + 88 * 0.02 + 3 + 46 * 0.002, 1e-12);
    assert_float_equal(cost.extra_ms[2], 5 + 60 * 1e-3 + 88 * 1e-4, 1e-12);
    /* In halves the first waits for both steps and the second for the longer one. Start-up between nodes is that of a
     * whole call, inside it is paid by each slice. */
    int slices[3] = {1, 1, 2};
    options = (hm_cost_options_t){.model = HM_COST_LINKS_SLICED, .slices = 1, .slices_at = slices};
    assert_int_equal(cost_predict(topo, &profile, &table, &options, &cost), 0);
    assert_float_equal(cost.ms[2], 0.5 * (2 + 88 * 0.02) + 2 * (3 + 0.5 * 46 * 0.002), 1e-12);
    assert_float_equal(cost.ms[1], 1 + 2 * 46 * 0.2, 1e-12);
    /* 100 of the 176 bytes that the buffer would have pass for free, once. */
    profile.inter[1].free_bytes = 100;
    assert_int_equal(cost_predict(topo, &profile, &table, &options, &cost), 0);
    assert_float_equal(cost.ms[2], 0.5 * (2 + 76 * 0.01) + 2 * (3 + 0.5 * 46 * 0.002), 1e-12);
    topo_destroy(topo);
}

/* Of equal depths the first deep one; depth 1 only where it is the fastest alone. */
static void test_equal_depths_give_the_first_deep_one(void **state)
{
    (void)state;
    hm_cost_t cost = {.levels = 3, .ms = {9, 5, 5, 5}};
    assert_int_equal(cost_depth_best(&cost), 2);
    cost.ms[3] = 4;
    assert_int_equal(cost_depth_best(&cost), 3);
    cost.ms[1] = 3;
    assert_int_equal(cost_depth_best(&cost), 1);
    cost.levels = 1;
    assert_int_equal(cost_depth_best(&cost), 1);
}

static void test_no_gain_means_leave_alone(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,2,2,2", 32);
    hm_profile_t profile = *profile_builtin("a6000-4x8");
    hm_hits_t hits;
    hm_cost_t cost;
    /* top-1: nothing repeats, so one copy for each GPU is what NCCL sends anyway */
    hm_topo_t *flat = test_topo("32", 32);
    uniform_hits(flat, 128, 1, 1024, 4096, &hits);
    assert_int_equal(cost_predict_hits(flat, &profile, &hits, 1, &cost), 0);
    assert_int_equal(cost_depth_choose(&cost), 0);
    assert_int_equal(cost_depth_best(&cost), 1);
    uniform_hits(topo, 128, 8, 1024, 4096, &hits);
    profile.agree_ms = 5;
    assert_int_equal(cost_predict_hits(topo, &profile, &hits, 1, &cost), 0);
    assert_int_equal(cost_depth_choose(&cost), 3);
    profile.agree_ms = 8; /* the best gain is 7.4 ms */
    assert_int_equal(cost_predict_hits(topo, &profile, &hits, 1, &cost), 0);
    assert_int_equal(cost_depth_choose(&cost), 0);
    assert_int_equal(cost_depth_best(&cost), 3);
    profile.agree_ms = 7; /* 0.4 ms are left of that, 2 % of the call */
    assert_int_equal(cost_predict_hits(topo, &profile, &hits, 1, &cost), 0);
    assert_true(cost.ms[3] + cost.extra_ms[3] < cost.ms[0] && cost.ms[3] + cost.extra_ms[3] > 0.97 * cost.ms[0]);
    assert_int_equal(cost_depth_choose(&cost), 0);
    profile.agree_ms = 6.6; /* 4 %: what was left alone once and would have been the fastest */
    assert_int_equal(cost_predict_hits(topo, &profile, &hits, 1, &cost), 0);
    assert_true(cost.ms[3] + cost.extra_ms[3] > 0.95 * cost.ms[0]);
    assert_int_equal(cost_depth_choose(&cost), 3);
    profile.agree_ms = 0;
    profile.identify_ms = 8 / (1024 * 8 * 4096.0);
    assert_int_equal(cost_predict_hits(topo, &profile, &hits, 1, &cost), 0);
    assert_int_equal(cost_depth_choose(&cost), 0);
    topo_destroy(flat);
    topo_destroy(topo);
}

static void test_variants_keep_their_order(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,2,2,2", 32);
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    hm_profile_t free_start = *profile;
    test_batch_t batch;
    hm_cost_t cost[HM_COST_MODELS];
    test_batch_create(&batch, topo, "uniform", 128, 8, 1024, 9);
    for (int l = 0; l < 4; l++) free_start.intra[l].alpha_ms = free_start.inter[l].alpha_ms = 0;
    for (int m = 0; m < HM_COST_MODELS; m++) {
        hm_cost_options_t options = {.model = (hm_cost_model_t)m, .slices = 8};
        assert_int_equal(cost_predict(topo, &free_start, &batch.table, &options, &cost[m]), 0);
    }
    /* One step has nothing to overlap with. */
    assert_float_equal(cost[HM_COST_PADDED_SLICED].ms[1], cost[HM_COST_PADDED].ms[1], 0);
    assert_float_equal(cost[HM_COST_LINKS_SLICED].ms[1], cost[HM_COST_LINKS].ms[1], 0);
    for (int d = 2; d <= 4; d++) {
        /* Without start-up, slices only hide; the slowest stage alone cannot be hidden. */
        assert_true(cost[HM_COST_PADDED_SLICED].ms[d] < cost[HM_COST_PADDED].ms[d]);
        assert_true(cost[HM_COST_LINKS_SLICED].ms[d] < cost[HM_COST_LINKS].ms[d]);
        assert_true(cost[HM_COST_PADDED_SLICED].ms[d] > 8.0);
        /* Padding can only add, and the executor overlaps the own node's share. */
        assert_true(cost[HM_COST_LINKS].ms[d] < cost[HM_COST_PADDED].ms[d] * 1.05);
    }
    /* Even traffic: the flat exchange costs the same either way. */
    assert_float_equal(cost[HM_COST_LINKS].ms[0], cost[HM_COST_PADDED].ms[0], 0.05 * cost[HM_COST_PADDED].ms[0]);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

/* 4096 tokens, hidden 7168, bf16, top-8, two nodes of 8: 235 MB leave a node flat and 59 MB with one copy a node. */
static void test_floor_is_bytes_over_speed(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,8", 16);
    hm_wire_t wire[HM_MAX_LEVELS + 1] = {0, HM_WIRE_NET, HM_WIRE_NVLINK};
    hm_profile_t profile;
    profile_prior(topo, wire, NULL, &profile);
    assert_float_equal(cost_floor(topo, &profile, 14336, 4096 * 4.0), 4.70, 0.01);
    assert_float_equal(cost_floor(topo, &profile, 14336, 4096 * 1.0), 1.17, 0.01);
    profile.intra[0].beta_ms *= 3; /* copies that crowd each other say nothing about what the wire can carry */
    assert_float_equal(cost_floor(topo, &profile, 14336, 4096 * 4.0), 4.70, 0.01);
    topo_destroy(topo);
}

/* What buffers and shapers take for nothing counts in all models, and no model promises more than the floor allows. */
static void test_bent_links_bend_predictions_and_floors(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,2", 8);
    hm_profile_t profile = {.levels = 2, .groups = {1, 4, 8}};
    hm_link_t link = {.alpha_ms = 0.5, .beta_ms = 1e-5, .free_bytes = 4e5, .turn_bytes = 8e5, .turn_ms = -4e-6};
    test_batch_t batch;
    hm_hits_t hits;
    hm_cost_t cost;
    profile.intra[0] = profile.intra[1] = profile.inter[1] = link;
    profile.intra[0].beta_ms = 0.5e-5; /* a floor by the other link alone would lie above */
    for (int tokens = 16; tokens <= 4096; tokens *= 4) {
        test_batch_create(&batch, topo, "uniform", 64, 4, tokens, 9);
        cost_hits(topo, &batch.table, &hits);
        double rows = hits.level[1] / 8 * 3 / 4, bytes = (double)hits.row_bytes, share = 4.0 / 8;
        double floor = cost_floor(topo, &profile, hits.row_bytes, rows);
        for (int m = 0; m < HM_COST_MODELS; m++) {
            hm_cost_options_t options = {.model = (hm_cost_model_t)m, .slices = 1};
            assert_int_equal(cost_predict(topo, &profile, &batch.table, &options, &cost), 0);
            for (int d = 0; d <= 2; d++) assert_true(floor <= cost.ms[d]);
        }
        assert_int_equal(cost_predict_hits(topo, &profile, &hits, 1, &cost), 0);
        assert_float_equal(cost.ms[0], link_ms(&profile.intra[0], hits.raw * bytes), 1e-9);
        assert_float_equal(cost.ms[1], link_ms(&profile.intra[0], hits.level[2] * bytes), 1e-9);
        assert_float_equal(cost.ms[2],
                           link_ms(&link, hits.level[1] * share * bytes) + link_ms(&link, hits.level[2] * bytes), 1e-9);
        test_batch_destroy(&batch);
    }
    topo_destroy(topo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform_predictions_are_those_of_the_paper),
        cmocka_unit_test(test_a_table_gives_what_its_sums_give),
        cmocka_unit_test(test_hand_counted_exchange),
        cmocka_unit_test(test_gains_without_copies_must_be_larger),
        cmocka_unit_test(test_copies_are_counted_over_all_rows),
        cmocka_unit_test(test_equal_depths_give_the_first_deep_one),
        cmocka_unit_test(test_no_gain_means_leave_alone),
        cmocka_unit_test(test_variants_keep_their_order),
        cmocka_unit_test(test_floor_is_bytes_over_speed),
        cmocka_unit_test(test_bent_links_bend_predictions_and_floors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
