#include "swap_reference.h"

#include <errno.h>

#include "experts/smooth.h"

/* HierMoE 2508.09591, Fig. 7 in small: tokens of two experts each on two groups; exchanging one of two pairs is best.
 */
static void test_worked_example(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2", 2);
    int rank[4] = {0, 0, 1, 1};
    hm_placement_t placement = {4, rank};
    /* 0 and 2 always go together, and so do 1 and 3: each token hits both groups until one pair is brought together. */
    const uint16_t ids[] = {0, 2, 0, 2, 1, 3, 1, 3};
    hm_swap_stats_t *stats;
    assert_int_equal(swap_stats_create(topo, &placement, &stats), 0);
    assert_int_equal(swap_stats_add(stats, ids, 4, 2, 1), 0);
    assert_int_equal(stats->p[1][0], 4);
    assert_int_equal(stats->p[1][1], 4);
    assert_int_equal(swap_stats_hits(stats, 1, 0, 2), 4);
    assert_int_equal(swap_stats_hits(stats, 1, 1, 2), 2);
    assert_int_equal(swap_stats_hits(stats, 1, 2, 1), 2);
    assert_int_equal(swap_stats_hits(stats, 1, 0, 3), 2);
    swap_stats_destroy(stats);
    topo_destroy(topo);
}

/* Ends the batch and the topology. */
static void check_batch_choice(hm_topo_t *topo, test_batch_t *batch, int depth, hm_swap_options_t options)
{
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    int experts = batch->trace.experts;
    hm_swap_t *swap;
    hm_swap_choice_t choice;
    hm_swap_stats_t *stats = test_stats_of(topo, batch);
    assert_int_equal(swap_create(topo, profile, &batch->placement, 4096, depth, &options, &swap), 0);
    swap_choose(swap, stats, &choice);
    double now = reference_score(topo, profile, batch, depth, &options, 0, 0), best = now;
    for (int a = 0; a < experts; a++)
        for (int b = a + 1; b < experts; b++) {
            double ms = reference_score(topo, profile, batch, depth, &options, a, b);
            double got = swap_score(swap, stats, a, b);
            if (fabs(got - ms) > 1e-10 * ms) fail_msg("%d <-> %d scored %.15g, not %.15g", a, b, got, ms);
            int runs = options.routing_groups > 1 ? options.routing_groups : 1;
            if (a / (experts / runs) == b / (experts / runs) && ms < best) best = ms;
        }
    assert_float_equal(choice.before_ms, now, 1e-10 * now);
    assert_float_equal(choice.after_ms, best, 3e-9 * best);
    if (choice.a >= 0)
        assert_float_equal(reference_score(topo, profile, batch, depth, &options, choice.a, choice.b), choice.after_ms,
                           1e-10 * best);
    swap_destroy(swap);
    swap_stats_destroy(stats);
    test_batch_destroy(batch);
    topo_destroy(topo);
}

static void check_choice(hm_topo_t *topo, const char *routing, int experts, int top_k, int depth,
                         hm_swap_options_t options)
{
    test_batch_t batch;
    test_batch_create(&batch, topo, routing, experts, top_k, 30, 33);
    check_batch_choice(topo, &batch, depth, options);
}

static void test_choice_is_the_best_of_all_pairs(void **state)
{
    (void)state;
    static const hm_swap_objective_t objectives[] = {HM_SWAP_MAX, HM_SWAP_SMOOTH_MAX, HM_SWAP_LOG_SUM_EXP};
    for (int i = 0; i < 3; i++) {
        hm_swap_options_t options = HM_SWAP_DEFAULTS;
        options.objective = objectives[i];
        check_choice(test_topo("4,2,2,2", 32), "zipf:1", 64, 8, 3, options);
        check_choice(test_topo("4,2,2,2", 32), "uniform", 32, 4, 4, options);
        check_choice(test_topo("8", 8), "zipf:1.5", 32, 4, 1, options);
        check_choice(test_topo("2,4", 8), "group:4:2", 32, 4, 2, options);
        options.routing_groups = 4;
        options.gamma = 7;
        check_choice(test_topo("2,4", 8), "group:4:2", 32, 4, 2, options);
        options.routing_groups = 0;
        options.compute_ms = 0.01;
        check_choice(test_topo_scattered(7, 3, 8), "zipf:0.8", 21, 5, 2, options);
        options.scale = 32;
        check_choice(test_topo("2,2,2", 8), "zipf:2", 32, 6, 3, options);
    }
}

static void test_choice_in_a_real_trace_is_the_best_of_all_pairs(void **state)
{
    (void)state;
    for (int o = HM_SWAP_MAX; o <= HM_SWAP_LOG_SUM_EXP; o++) {
        hm_topo_t *topo = test_topo("2,2,2", 8);
        hm_swap_options_t options = HM_SWAP_DEFAULTS;
        test_batch_t batch;
        options.objective = (hm_swap_objective_t)o;
        test_batch_read(&batch, topo, 0, 200, 10);
        check_batch_choice(topo, &batch, 3, options);
    }
}

static hm_swap_options_t random_options(int objective, int experts)
{
    static const int gammas[] = {10, 1, 2, 7, 32};
    hm_swap_options_t options = HM_SWAP_DEFAULTS;
    options.objective = (hm_swap_objective_t)objective;
    options.gamma = gammas[rand() % 5];
    if (rand() % 4 == 0) options.compute_ms = 0.001;
    if (rand() % 4 == 0) options.scale = 32;
    if (rand() % 4 == 0 && experts % 2 == 0) options.routing_groups = 2;
    return options;
}

/* Follows the choices, so that placements with nothing left to gain are among those compared. */
static void check_bounds(const char *spec, int ranks, const char *routing, int objective)
{
    static const int sizes[] = {6, 21, 32, 48};
    hm_topo_t *topo = test_topo(spec, ranks);
    int experts = sizes[rand() % 4], depth = 1 + rand() % topo->levels, top_k = 1 + rand() % 6;
    hm_swap_options_t options = random_options(objective, experts);
    test_batch_t batch;
    hm_swap_t *swap;
    hm_swap_choice_t choice = {.a = 0};
    test_batch_create(&batch, topo, routing, experts, top_k, 1 + (size_t)(rand() % 40), (uint64_t)rand());
    size_t tokens = (size_t)topo->ranks * batch.trace.tokens;
    hm_swap_stats_t *stats = test_stats_of(topo, &batch);
    assert_int_equal(swap_create(topo, profile_builtin("a6000-4x8"), &batch.placement, 4096, depth, &options, &swap),
                     0);
    for (int i = 0; i < 12 && choice.a >= 0; i++) {
        swap_choose(swap, stats, &choice);
        test_best_t best = test_best(swap, stats, &options, experts);
        if (choice.a != best.a || choice.b != best.b || choice.after_ms != best.after_ms)
            fail_msg("%s %s, objective %d, gamma %d: %d <-> %d to %.17g, not %d <-> %d to %.17g", spec, routing,
                     objective, options.gamma, choice.a, choice.b, choice.after_ms, best.a, best.b, best.after_ms);
        if (choice.a >= 0) swap_stats_swap(stats, batch.ids, tokens, top_k, choice.a, choice.b);
    }
    swap_destroy(swap);
    swap_stats_destroy(stats);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_bounds_hide_no_better_pair(void **state)
{
    (void)state;
    static const char *const routings[] = {"uniform", "zipf:0.5", "zipf:1", "zipf:2", "zipf:3", "zipf:8"};
    srand(6);
    for (int i = 0; i < 60; i++)
        for (int objective = HM_SWAP_MAX; objective <= HM_SWAP_LOG_SUM_EXP; objective++) {
            const char *routing = routings[rand() % 6];
            check_bounds("4,2,2,2", 32, routing, objective);
            check_bounds("2,4", 8, routing, objective);
            check_bounds("2", 2, routing, objective);
        }
}

static void test_a_swap_within_a_rank_or_without_gain_is_none(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2", 2);
    int rank[4] = {0, 0, 1, 1};
    hm_placement_t placement = {4, rank};
    hm_swap_options_t options = HM_SWAP_DEFAULTS;
    const uint16_t ids[] = {0, 1, 2, 3}; /* already where they belong */
    hm_swap_stats_t *stats;
    hm_swap_t *swap;
    hm_swap_choice_t choice;
    assert_int_equal(swap_stats_create(topo, &placement, &stats), 0);
    assert_int_equal(swap_create(topo, profile_builtin("a6000-4x8"), &placement, 4096, 1, &options, &swap), 0);
    swap_choose(swap, stats, &choice); /* no tokens at all */
    assert_int_equal(choice.a, -1);
    assert_int_equal(swap_stats_add(stats, ids, 2, 2, 1), 0);
    swap_choose(swap, stats, &choice);
    assert_int_equal(choice.a, -1);
    assert_int_equal(choice.b, -1);
    assert_float_equal(choice.after_ms, choice.before_ms, 0);
    swap_destroy(swap);
    swap_stats_destroy(stats);
    topo_destroy(topo);
}

static void test_moving_must_pay_within_the_horizon(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,2,2,2", 32);
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    test_batch_t batch;
    hm_swap_options_t options = HM_SWAP_DEFAULTS;
    hm_swap_t *swap;
    hm_swap_choice_t none, far, near;
    test_batch_create(&batch, topo, "zipf:1", 64, 8, 200, 3);
    hm_swap_stats_t *stats = test_stats_of(topo, &batch);
    options.expert_bytes = 66e6;
    options.horizon = 1e7;
    assert_int_equal(swap_create(topo, profile, &batch.placement, 4096, 3, &options, &swap), 0);
    swap_choose(swap, stats, &far);
    swap_destroy(swap);
    options.horizon = 1;
    assert_int_equal(swap_create(topo, profile, &batch.placement, 4096, 3, &options, &swap), 0);
    swap_choose(swap, stats, &none);
    swap_destroy(swap);
    assert_true(far.a >= 0 && far.move_ms > 1);
    assert_int_equal(none.a, -1);
    /* In between, the pair may be another one, but it pays. */
    options.horizon = 2 * far.move_ms / (far.before_ms - far.after_ms);
    assert_int_equal(swap_create(topo, profile, &batch.placement, 4096, 3, &options, &swap), 0);
    swap_choose(swap, stats, &near);
    swap_destroy(swap);
    assert_true(near.a >= 0);
    assert_true((near.before_ms - near.after_ms) * options.horizon > near.move_ms);
    swap_stats_destroy(stats);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static int update_from_tokens(void *context, hm_swap_stats_t *stats, int a, int b)
{
    test_batch_t *batch = context;
    size_t tokens = (size_t)batch->trace.ranks * batch->trace.tokens;
    return swap_stats_swap(stats, batch->ids, tokens, batch->trace.top_k, a, b);
}

static int update_fails(void *context, hm_swap_stats_t *stats, int a, int b)
{
    (void)context, (void)stats, (void)a, (void)b;
    return -EIO;
}

/* Each exchange of a series must score what brute force says of the placement it left behind. */
static void check_series(hm_topo_t *topo, const char *routing, int experts, hm_swap_update_t update, int least)
{
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    hm_swap_options_t options = HM_SWAP_DEFAULTS;
    hm_swap_choice_t choice[8];
    test_batch_t batch;
    hm_swap_t *swap;
    test_batch_create(&batch, topo, routing, experts, 8, 60, 3);
    hm_swap_stats_t *stats = test_stats_of(topo, &batch);
    assert_int_equal(swap_create(topo, profile, &batch.placement, 4096, 3, &options, &swap), 0);
    int count = swap_choose_several(swap, stats, update, &batch, 8, choice);
    assert_true(count >= least && count <= 8);
    for (int i = 0; i < count; i++) {
        double before = reference_score(topo, profile, &batch, 3, &options, 0, 0);
        assert_float_equal(choice[i].before_ms, before, 1e-10 * before);
        reference_swap(&batch, choice[i].a, choice[i].b);
        double after = reference_score(topo, profile, &batch, 3, &options, 0, 0);
        assert_float_equal(choice[i].after_ms, after, 1e-10 * after);
        assert_true(after < before);
    }
    swap_destroy(swap);
    swap_stats_destroy(stats);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_several_swaps_with_tokens_are_scored_exactly(void **state)
{
    (void)state;
    check_series(test_topo("4,2,2,2", 32), "zipf:1", 64, update_from_tokens, 4);
    check_series(test_topo("4,2,2,2", 32), "uniform", 128, update_from_tokens, 1);
}

static void test_several_swaps_without_tokens_are_scored_exactly_too(void **state)
{
    (void)state;
    check_series(test_topo("8,2,2", 32), "zipf:1", 64, NULL, 2);
    check_series(test_topo("4,2,2,2", 32), "zipf:0.6", 128, NULL, 1);
}

static void test_a_failing_update_ends_the_series(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,2,2,2", 32);
    hm_swap_options_t options = HM_SWAP_DEFAULTS;
    hm_swap_choice_t choice[2];
    test_batch_t batch;
    hm_swap_t *swap;
    test_batch_create(&batch, topo, "zipf:1", 64, 8, 60, 3);
    hm_swap_stats_t *stats = test_stats_of(topo, &batch);
    assert_int_equal(swap_create(topo, profile_builtin("a6000-4x8"), &batch.placement, 4096, 3, &options, &swap), 0);
    assert_int_equal(swap_choose_several(swap, stats, update_fails, NULL, 2, choice), -EIO);
    swap_destroy(swap);
    swap_stats_destroy(stats);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_bad_options_are_refused(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,2", 4);
    int rank[10];
    hm_placement_t placement = {10, rank};
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    hm_swap_options_t bad[5] = {HM_SWAP_DEFAULTS, HM_SWAP_DEFAULTS, HM_SWAP_DEFAULTS, HM_SWAP_DEFAULTS,
                                HM_SWAP_DEFAULTS};
    hm_swap_t *swap;
    placement_contiguous(10, 4, rank);
    bad[0].gamma = 0;
    bad[1].gamma = HM_SMOOTH_MAX_GAMMA + 1;
    bad[2].routing_groups = 3;
    bad[3].scale = 0;
    for (int i = 0; i < 4; i++) assert_int_equal(swap_create(topo, profile, &placement, 1, 1, &bad[i], &swap), -EINVAL);
    assert_int_equal(swap_create(topo, profile, &placement, 1, 3, &bad[4], &swap), -EINVAL);
    assert_int_equal(swap_create(topo, profile, &placement, 1, 0, &bad[4], &swap), -EINVAL);
    topo_destroy(topo);
}

/* What moving experts costs: by the outermost level at which their ranks are in different groups. */
static double moving_ms(const hm_topo_t *topo, const hm_profile_t *profile, const hm_placement_t *placement, int a,
                        int b, double expert_bytes)
{
    int level = 1;
    while (topo->group[level][placement->rank[a]] == topo->group[level][placement->rank[b]]) level++;
    const hm_link_t *link = level < topo->levels ? &profile->inter[level] : &profile->intra[level - 1];
    double peers = (double)topo->groups[level] / topo->groups[level - 1];
    return link->alpha_ms + expert_bytes * link->beta_ms * peers / (peers - 1);
}

/* Every pair scored one by one, with its share of the move; horizons from where nearly none pays to where nearly all
 * do. */
static void test_the_best_pair_counts_what_moving_it_costs(void **state)
{
    static const double horizons[] = {90, 120, 160, 250, 4000};
    enum { EXPERTS = 64 };
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    int levels_seen = 0;
    (void)state;
    for (size_t i = 0; i < 3 * sizeof horizons / sizeof horizons[0]; i++) {
        hm_topo_t *topo = test_topo("4,2,2,2", 32);
        test_batch_t batch;
        hm_swap_options_t options = HM_SWAP_DEFAULTS;
        hm_swap_t *swap;
        hm_swap_choice_t choice;
        options.objective = (hm_swap_objective_t)(i % 3);
        options.expert_bytes = 2e6;
        options.horizon = horizons[i / 3];
        test_batch_create(&batch, topo, "zipf:1", EXPERTS, 8, 200, 3);
        hm_swap_stats_t *stats = test_stats_of(topo, &batch);
        assert_int_equal(swap_create(topo, profile, &batch.placement, 4096, 3, &options, &swap), 0);
        swap_choose(swap, stats, &choice);
        double now = swap_score(swap, stats, 0, 0), least = now * (1 - 1e-9);
        int best_a = -1, best_b = -1;
        for (int a = 0; a < EXPERTS; a++)
            for (int b = a + 1; b < EXPERTS; b++) {
                if (batch.place[a] == batch.place[b]) continue;
                double move = moving_ms(topo, profile, &batch.placement, a, b, options.expert_bytes);
                double net = swap_score(swap, stats, a, b) + move / options.horizon;
                if (net < least) least = net, best_a = a, best_b = b;
            }
        assert_int_equal(choice.a, best_a);
        assert_int_equal(choice.b, best_b);
        if (best_a >= 0) {
            double move = moving_ms(topo, profile, &batch.placement, best_a, best_b, options.expert_bytes);
            assert_float_equal(choice.move_ms, move, 1e-12 * move);
            for (int l = 1; l <= topo->levels; l++)
                if (topo->group[l][batch.place[best_a]] != topo->group[l][batch.place[best_b]]) {
                    levels_seen |= 1 << l;
                    break;
                }
        }
        swap_destroy(swap);
        swap_stats_destroy(stats);
        test_batch_destroy(&batch);
        topo_destroy(topo);
    }
    assert_true((levels_seen & (levels_seen - 1)) != 0); /* not always the same one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worked_example),
        cmocka_unit_test(test_choice_is_the_best_of_all_pairs),
        cmocka_unit_test(test_choice_in_a_real_trace_is_the_best_of_all_pairs),
        cmocka_unit_test(test_bounds_hide_no_better_pair),
        cmocka_unit_test(test_a_swap_within_a_rank_or_without_gain_is_none),
        cmocka_unit_test(test_moving_must_pay_within_the_horizon),
        cmocka_unit_test(test_the_best_pair_counts_what_moving_it_costs),
        cmocka_unit_test(test_several_swaps_with_tokens_are_scored_exactly),
        cmocka_unit_test(test_several_swaps_without_tokens_are_scored_exactly_too),
        cmocka_unit_test(test_a_failing_update_ends_the_series),
        cmocka_unit_test(test_bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
