#include "planner_test.h"

#include <errno.h>

#include "cost.h"
#include "cost_links.h"
#include "route.h"

static void uniform_hits(const hm_topo_t *topo, int experts, int top_k, int tokens, size_t row_bytes, hm_hits_t *hits)
{
    *hits = (hm_hits_t){.row_bytes = row_bytes, .raw = (double)tokens * top_k};
    for (int l = 1; l <= topo->levels; l++)
        hits->level[l] = (double)topo->ranks * tokens * count_hit_uniform(experts, experts / topo->groups[l], top_k);
    hits->copies = count_duplication(hits->level[1] * topo->groups[1], hits->raw * topo->ranks);
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

/* Adds what a rank's messages weigh, as the executor lays them out. */
static void messages_add(const hm_paths_t *paths, const hm_table_t *table, int me, double *want)
{
    size_t n = (size_t)paths->topo->ranks;
    hm_route_t *route;
    hm_layout_t layout = {0, 0};
    assert_int_equal(route_create(paths, me, &route), 0);
    layout_fill(route, table, table->row_bytes, &layout);
    for (int i = 0; i < route->outs; i++) {
        const hm_message_t *message = &route->out[i];
        double bytes = (double)(message->head_bytes + message->rows * table->row_bytes);
        double *kind = want + (size_t)((message->step - 1) * paths->depth + message->level - 1) * 2 * n;
        kind[me] += bytes;
        kind[n + (size_t)message->peer] += bytes;
    }
    route_destroy(route);
}

/* Counts of the links model against the messages that the executor sends. */
static void check_messages(hm_topo_t *topo, const char *routing, int experts, int top_k)
{
    test_batch_t batch;
    size_t n = (size_t)topo->ranks;
    test_batch_create(&batch, topo, routing, experts, top_k, 50, 4);
    for (int depth = 1; depth <= topo->levels; depth++) {
        size_t words = 2 * (size_t)depth * (size_t)depth * n;
        double *rows = malloc(words * sizeof(*rows)), *want = calloc(words, sizeof(*want));
        int *carrier = malloc(2 * n * sizeof(*carrier));
        hm_paths_t *paths;
        assert_true(rows != NULL && want != NULL && carrier != NULL);
        assert_int_equal(paths_create(topo, depth, 0, 1, &paths), 0);
        for (int r = 0; r < topo->ranks; r++) messages_add(paths, &batch.table, r, want);
        cost_links_count(topo, &batch.table, depth, rows, carrier);
        for (size_t i = 0; i < words; i++) assert_float_equal(rows[i], want[i], 0);
        paths_destroy(paths);
        free(carrier);
        free(want);
        free(rows);
    }
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_links_model_counts_the_messages_of_the_route(void **state)
{
    (void)state;
    check_messages(test_topo("4,2,2,2", 32), "uniform", 64, 8);
    check_messages(test_topo("3,2,2", 12), "zipf:1", 24, 4);
    check_messages(test_topo("6", 6), "uniform", 12, 3);
    check_messages(test_topo_scattered(13, 3, 1), "zipf:1", 26, 4);
    check_messages(test_topo_scattered(17, 4, 2), "uniform", 34, 6);
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
    options = (hm_cost_options_t){.model = HM_COST_MODELS};
    assert_int_equal(cost_predict(topo, profile, &batch.table, &options, &own), -EINVAL);
    test_batch_destroy(&single);
    test_batch_destroy(&batch);
    topo_destroy(one);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform_predictions_are_those_of_the_paper),
        cmocka_unit_test(test_a_table_gives_what_its_sums_give),
        cmocka_unit_test(test_hand_counted_exchange),
        cmocka_unit_test(test_gains_without_copies_must_be_larger),
        cmocka_unit_test(test_copies_are_counted_over_all_rows),
        cmocka_unit_test(test_packing_hides_behind_a_shared_wire),
        cmocka_unit_test(test_no_gain_means_leave_alone),
        cmocka_unit_test(test_links_model_counts_the_messages_of_the_route),
        cmocka_unit_test(test_variants_keep_their_order),
        cmocka_unit_test(test_links_model_sees_one_busy_sender),
        cmocka_unit_test(test_own_rows_beside_the_wires_cost_what_wires_do_not_hide),
        cmocka_unit_test(test_own_memory_gives_the_same_and_bad_options_are_refused),
        cmocka_unit_test(test_floor_is_bytes_over_speed),
        cmocka_unit_test(test_flat_exchange_inside_a_node_takes_the_inside_s_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
