#include "planner_test.h"

#include <errno.h>

/* Tokens moved level by level: every copy is an object with the experts it still has to reach. */
typedef struct copy {
    int holder;
    size_t token;
    uint8_t *wanted; /* [experts] */
} copy_t;

typedef struct crowd {
    copy_t *copy;
    size_t count;
} crowd_t;

static crowd_t crowd_start(const test_batch_t *batch)
{
    const hm_trace_t *trace = &batch->trace;
    crowd_t crowd = {NULL, (size_t)trace->ranks * trace->tokens};
    crowd.copy = calloc(crowd.count, sizeof(copy_t));
    assert_non_null(crowd.copy);
    for (size_t i = 0; i < crowd.count; i++) {
        crowd.copy[i] = (copy_t){(int)(i / trace->tokens), i, calloc((size_t)trace->experts, 1)};
        assert_non_null(crowd.copy[i].wanted);
        for (int k = 0; k < trace->top_k; k++)
            crowd.copy[i].wanted[batch->ids[i * (size_t)trace->top_k + (size_t)k]] = 1;
    }
    return crowd;
}

static void crowd_end(crowd_t *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) free(crowd->copy[i].wanted);
    free(crowd->copy);
}

/* One level: each copy is split over the groups of `level` it still wants; arrivals are counted. */
static crowd_t crowd_step(const crowd_t *from, const hm_topo_t *topo, const test_batch_t *batch, int level,
                          uint32_t *arrivals)
{
    int experts = batch->trace.experts;
    crowd_t to = {calloc(from->count * (size_t)experts, sizeof(copy_t)), 0};
    assert_non_null(to.copy);
    for (size_t i = 0; i < from->count; i++) {
        for (int g = 0; g < topo->groups[level]; g++) {
            uint8_t *wanted = NULL;
            for (int e = 0; e < experts; e++) {
                if (!from->copy[i].wanted[e] || topo->group[level][batch->place[e]] != g) continue;
                if (wanted == NULL) wanted = calloc((size_t)experts, 1);
                assert_non_null(wanted);
                wanted[e] = 1;
            }
            if (wanted == NULL) continue;
            int holder = topo_rail_peer(topo, level, g, from->copy[i].holder);
            to.copy[to.count++] = (copy_t){holder, from->copy[i].token, wanted};
            arrivals[g]++;
        }
    }
    return to;
}

/* Table counts, summed over sources, against the arrivals of the simulation, for the hierarchy down to `depth`. */
static void check_depth(const hm_topo_t *topo, const test_batch_t *batch, int depth)
{
    crowd_t crowd = crowd_start(batch);
    for (int step = 1; step <= depth; step++) {
        int level = step < depth ? step : topo->levels;
        uint32_t *arrivals = calloc((size_t)topo->groups[level], sizeof(*arrivals));
        assert_non_null(arrivals);
        crowd_t next = crowd_step(&crowd, topo, batch, level, arrivals);
        for (int g = 0; g < topo->groups[level]; g++) {
            uint32_t sum = 0;
            for (int s = 0; s < topo->ranks; s++)
                sum += batch->distinct[level][(size_t)s * (size_t)topo->groups[level] + (size_t)g];
            assert_int_equal(sum, arrivals[g]);
        }
        crowd_end(&crowd);
        crowd = next;
        free(arrivals);
    }
    for (size_t i = 0; i < crowd.count; i++)
        for (int e = 0; e < batch->trace.experts; e++)
            if (crowd.copy[i].wanted[e]) assert_int_equal(batch->place[e], crowd.copy[i].holder);
    crowd_end(&crowd);
}

/* Ends the batch and the topology. */
static void check_batch(hm_topo_t *topo, test_batch_t *batch)
{
    for (int depth = 1; depth <= topo->levels; depth++) check_depth(topo, batch, depth);
    size_t raw = 0;
    for (int i = 0; i < topo->ranks * topo->ranks; i++) raw += batch->raw[i];
    assert_int_equal(raw, (size_t)topo->ranks * batch->trace.tokens * (size_t)batch->trace.top_k);
    test_batch_destroy(batch);
    topo_destroy(topo);
}

static void check_simulation(hm_topo_t *topo, const char *routing, int experts, int top_k)
{
    test_batch_t batch;
    test_batch_create(&batch, topo, routing, experts, top_k, 40, 11);
    check_batch(topo, &batch);
}

static void check_real(hm_topo_t *topo, int layer, size_t first)
{
    test_batch_t batch;
    test_batch_read(&batch, topo, layer, first, 100);
    check_batch(topo, &batch);
}

static void test_counts_equal_a_simulation_that_moves_tokens(void **state)
{
    (void)state;
    check_simulation(test_topo("4,2,2,2", 32), "uniform", 64, 8);
    check_simulation(test_topo("4,2,2,2", 32), "zipf:1.2", 64, 8);
    check_simulation(test_topo("2,2,2", 8), "group:4:2", 32, 6);
    check_simulation(test_topo("5", 5), "uniform", 10, 3);
    check_simulation(test_topo("3,4", 12), "zipf:0.7", 24, 2);
    check_simulation(test_topo_scattered(14, 3, 5), "uniform", 28, 4);
    check_simulation(test_topo_scattered(9, 4, 6), "zipf:1", 31, 5);
}

static void test_counts_of_a_real_trace_equal_the_simulation(void **state)
{
    (void)state;
    check_real(test_topo("8", 8), 0, 0);
    check_real(test_topo("4,2", 8), 1, 300);
    check_real(test_topo("2,2,2", 8), 0, 924);
    check_real(test_topo_scattered(8, 3, 5), 1, 600);
}

/* HierMoE 2508.09591, Table II: duplication in per cent for K 2, 4, 6, 8. */
static void test_uniform_duplication_is_that_of_the_papers_table(void **state)
{
    (void)state;
    static const int groups[] = {4, 8, 16, 32}, top_k[] = {2, 4, 6, 8};
    static const double table[4][4] = {{12, 32, 46, 55}, {6, 17, 27, 34}, {3, 9, 14, 18}, {2, 4, 7, 9}};
    for (int r = 0; r < 4; r++)
        for (int k = 0; k < 4; k++) {
            double hit = count_hit_uniform(256, 256 / groups[r], top_k[k]);
            double dup = 100 * table_duplication(groups[r] * hit, top_k[k]);
            /* The table has whole points, so ours is rounded too: 4 groups, K 6 is 44.97 here and 46 there. */
            if (fabs(round(dup) - table[r][k]) > 1)
                fail_msg("%d groups, K %d: %.2f%%, the paper has %.0f%%", groups[r], top_k[k], dup, table[r][k]);
        }
    assert_float_equal(count_hit_uniform(8, 8, 2), 1, 0);
    assert_float_equal(count_hit_uniform(8, 0, 2), 0, 0);
    assert_float_equal(count_hit_uniform(10, 9, 2), 1, 0);
    assert_float_equal(count_hit_uniform(10, 1, 1), 0.1, 1e-15);
}

static void test_drawn_uniform_tokens_approach_the_expectation(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,8", 32);
    test_batch_t batch;
    test_batch_create(&batch, topo, "uniform", 128, 8, 2000, 3);
    for (int l = 1; l <= 2; l++) {
        double sum = 0, want = topo->groups[l] * count_hit_uniform(128, 128 / topo->groups[l], 8);
        for (int i = 0; i < 32 * topo->groups[l]; i++) sum += batch.distinct[l][i];
        assert_float_equal(sum / (32 * 2000), want, 0.01 * want);
    }
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void draw(const char *routing, int experts, int top_k, size_t tokens, uint16_t *ids)
{
    hm_routing_t how;
    hm_sampler_t *sampler;
    const char *why;
    assert_int_equal(routing_parse(routing, &how, &why), 0);
    assert_int_equal(sampler_create(&how, experts, top_k, 5, &sampler, &why), 0);
    sampler_draw(sampler, tokens, ids);
    sampler_destroy(sampler);
}

/* With top-1 the frequencies are the weights themselves. */
static void test_zipf_frequencies_follow_the_weights(void **state)
{
    (void)state;
    enum { EXPERTS = 16, TOKENS = 200000 };
    uint16_t *ids = malloc(TOKENS * sizeof(*ids));
    double count[EXPERTS] = {0}, norm = 0;
    assert_non_null(ids);
    draw("zipf:1", EXPERTS, 1, TOKENS, ids);
    for (int t = 0; t < TOKENS; t++) count[ids[t]]++;
    for (int e = 1; e <= EXPERTS; e++) norm += 1.0 / e;
    for (int place = 1; place <= EXPERTS; place++) {
        int top = 0;
        for (int e = 1; e < EXPERTS; e++)
            if (count[e] > count[top]) top = e;
        double want = TOKENS / (place * norm);
        assert_float_equal(count[top], want, 0.05 * want);
        count[top] = -1;
    }
    free(ids);
}

/* After the first draw nearly all are of the expert that is taken; what is left is drawn by the weights all the same.
 */
static void test_later_choices_follow_the_weights_of_what_is_left(void **state)
{
    (void)state;
    enum { EXPERTS = 16, TOKENS = 20000 };
    uint16_t *ids = malloc(2 * TOKENS * sizeof(*ids));
    double count[EXPERTS] = {0}, norm = 0;
    assert_non_null(ids);
    draw("zipf:8", EXPERTS, 2, TOKENS, ids);
    for (int i = 0; i < 2 * TOKENS; i++) count[ids[i]]++;
    for (int e = 2; e <= EXPERTS; e++) norm += pow(e, -8);
    for (int place = 1; place <= 3; place++) {
        int top = 0;
        for (int e = 1; e < EXPERTS; e++)
            if (count[e] > count[top]) top = e;
        assert_float_equal(count[top] / TOKENS, place == 1 ? 1 : pow(place, -8) / norm, 0.01);
        count[top] = -1;
    }
    free(ids);
}

static void test_tokens_hold_different_experts_however_skewed(void **state)
{
    (void)state;
    enum { EXPERTS = 32, TOP_K = 8, TOKENS = 3000 };
    static const char *const routings[] = {"uniform", "zipf:0", "zipf:2.5", "zipf:8", "group:8:2", "group:4:1"};
    uint16_t ids[TOKENS * TOP_K];
    for (size_t r = 0; r < sizeof(routings) / sizeof(routings[0]); r++) {
        draw(routings[r], EXPERTS, TOP_K, TOKENS, ids);
        for (int t = 0; t < TOKENS; t++)
            for (int k = 0; k < TOP_K; k++) {
                assert_true(ids[t * TOP_K + k] < EXPERTS);
                for (int j = 0; j < k; j++) assert_int_not_equal(ids[t * TOP_K + k], ids[t * TOP_K + j]);
            }
    }
}

static void test_group_limited_tokens_stay_in_their_groups(void **state)
{
    (void)state;
    enum { TOP_K = 6, TOKENS = 5000 };
    uint16_t ids[TOKENS * TOP_K];
    int used[8] = {0};
    draw("group:8:3", 64, TOP_K, TOKENS, ids);
    for (int t = 0; t < TOKENS; t++) {
        int mask = 0;
        for (int k = 0; k < TOP_K; k++) mask |= 1 << ids[t * TOP_K + k] / 8;
        assert_true(__builtin_popcount((unsigned)mask) <= 3);
        for (int g = 0; g < 8; g++) used[g] += mask >> g & 1;
    }
    for (int g = 1; g < 8; g++) assert_float_equal(used[g], used[0], 0.1 * used[0]);
}

static void test_bad_routing_specs_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "even",     "zipf",       "zipf:",     "zipf:-1",   "zipf:9",      "zipf:1x",
        "zipf:0x1",  "group:8",  "group:8:",   "group:4:5", "group:0:0", "group:8:4:2", "group:a:b",
        "uniform:1", "zipf:1e1", "zipf:1.2.3", "group:-1:1"};
    hm_routing_t routing;
    hm_sampler_t *sampler;
    const char *why;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        why = NULL;
        if (routing_parse(bad[i], &routing, &why) != -EINVAL) fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(why, "expected"));
    }
    assert_int_equal(routing_parse("group:5:2", &routing, &why), 0);
    assert_int_equal(sampler_create(&routing, 64, 2, 1, &sampler, &why), -EINVAL); /* 5 does not divide 64 */
    assert_int_equal(routing_parse("group:8:1", &routing, &why), 0);
    assert_int_equal(sampler_create(&routing, 32, 5, 1, &sampler, &why), -EINVAL); /* 4 experts cannot give 5 */
    assert_int_equal(routing_parse("uniform", &routing, &why), 0);
    assert_int_equal(sampler_create(&routing, 4, 5, 1, &sampler, &why), -EINVAL);
}

static void test_an_expert_that_is_not_there_is_refused(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,2", 4);
    test_batch_t batch;
    test_batch_create(&batch, topo, "uniform", 8, 2, 10, 1);
    batch.ids[57] = 8;
    assert_int_equal(count_trace(topo, &batch.placement, &batch.trace, 0, batch.raw, batch.distinct), -EINVAL);
    batch.ids[57] = 7;
    assert_int_equal(count_trace(topo, &batch.placement, &batch.trace, 1, batch.raw, batch.distinct), -EINVAL);
    assert_int_equal(count_trace(topo, &batch.placement, &batch.trace, 0, batch.raw, batch.distinct), 0);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_experts_are_laid_out_in_even_runs(void **state)
{
    (void)state;
    int rank[12];
    placement_contiguous(12, 4, rank);
    for (int e = 0; e < 12; e++) assert_int_equal(rank[e], e / 3);
    placement_contiguous(3, 6, rank);
    assert_int_equal(rank[0], 0);
    assert_int_equal(rank[1], 2);
    assert_int_equal(rank[2], 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_equal_a_simulation_that_moves_tokens),
        cmocka_unit_test(test_counts_of_a_real_trace_equal_the_simulation),
        cmocka_unit_test(test_uniform_duplication_is_that_of_the_papers_table),
        cmocka_unit_test(test_drawn_uniform_tokens_approach_the_expectation),
        cmocka_unit_test(test_zipf_frequencies_follow_the_weights),
        cmocka_unit_test(test_later_choices_follow_the_weights_of_what_is_left),
        cmocka_unit_test(test_tokens_hold_different_experts_however_skewed),
        cmocka_unit_test(test_group_limited_tokens_stay_in_their_groups),
        cmocka_unit_test(test_bad_routing_specs_are_refused),
        cmocka_unit_test(test_an_expert_that_is_not_there_is_refused),
        cmocka_unit_test(test_experts_are_laid_out_in_even_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
