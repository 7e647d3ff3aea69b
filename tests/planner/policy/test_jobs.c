/* What must hold in the simulated jobs, for all named seeds together. */
#include "policy_test.h"

#include "figures.h"

#include <stdlib.h>

static sim_figures_t figures[SIM_JOBS];

static int play(void **context)
{
    (void)context;
    for (int id = 0; id < SIM_JOBS; id++) figures[id] = sim_figures_mean((sim_job_id_t)id, &rule_policy);
    return 0;
}

static bool periodic(int id)
{
    return id < SIM_RANDOM_10;
}

static void check(bool holds, int id, const char *what, double figure)
{
    sim_job_t job;
    if (holds) return;
    sim_job_create((sim_job_id_t)id, sim_seed_names[0], &job);
    print_error("%s: %s is %.2f\n", job.name, what, figure);
    sim_job_destroy(&job);
    fail();
}

static void little_is_lost(void **context)
{
    (void)context;
    for (int id = 0; id < SIM_JOBS; id++) {
        const sim_figures_t *one = &figures[id];
        if (!periodic(id)) continue;
        if (id != SIM_DEEPSPEED_HIDDEN) check(one->main <= 3, id, "regret of calls 100 to 2000", one->main);
        check(one->late <= 2, id, "regret of the second half", one->late);
    }
}

/* What trying costs while nothing is known but a model that is right about the order of depths. */
static void the_first_calls_cost_little(void **context)
{
    (void)context;
    for (int id = SIM_TITAN_POST; id <= SIM_MEGATRON_SHRINKS; id++)
        check(figures[id].first_20 <= 15, id, "regret of the first 20 calls", figures[id].first_20);
}

static void gains_are_not_passed_over(void **context)
{
    (void)context;
    for (int id = SIM_TITAN_POST; id <= SIM_MEGATRON_SHRINKS; id++) {
        double least = id == SIM_TITAN_24 ? 85 : id < SIM_MEGATRON ? 92 : 95;
        check(figures[id].hits >= least, id, "share of calls replaced that gain 15 %", figures[id].hits);
    }
}

static void left_alone_is_nearly_free(void **context)
{
    (void)context;
    for (int id = SIM_NCCL_TESTS; id <= SIM_SHORT; id++)
        check(figures[id].alone <= .3, id, "regret after 200 calls", figures[id].alone);
}

/* The call from which on nothing is replaced, -1: none. */
static int ended(sim_job_id_t id, int seed, double hidden_share)
{
    sim_job_t job;
    sim_job_create(id, sim_seed_names[seed], &job);
    if (hidden_share > 0) sim_job_hide(&job, hidden_share);
    sim_figures_t one = sim_figures(&job, &rule_policy, sim_seed_names[seed], 0);
    sim_job_destroy(&job);
    return one.ended;
}

static void the_hidden_cost_of_deepspeed_is_found(void **context)
{
    (void)context;
    for (int s = 0; s < SIM_SEEDS; s++) assert_in_range(ended(SIM_DEEPSPEED_HIDDEN, s, 0), 0, 800);
}

/* Steps that take a tenth longer: found in every job, if a single hiccup says otherwise at first. */
static void hidden_costs_are_found_in_other_jobs(void **context)
{
    (void)context;
    static const sim_job_id_t jobs[] = {SIM_TITAN_PRE,        SIM_TITAN_24,         SIM_MEGATRON,
                                        SIM_MEGATRON_1F1B,    SIM_DEEPSPEED_NODROP, SIM_DEEPSPEED_HIDDEN,
                                        SIM_DEEPSPEED_DEPTH_1};
    int late = 0;
    for (int s = 0; s < SIM_SEEDS; s++)
        for (size_t j = 0; j < sizeof jobs / sizeof jobs[0]; j++) {
            int call = ended(jobs[j], s, .1);
            check(call >= 0, jobs[j], "end of replacing with a hidden cost", call);
            late += call > 800;
        }
    assert_in_range(late, 0, 1);
}

static void jobs_that_gain_go_on(void **context)
{
    (void)context;
    for (int id = SIM_TITAN_POST; id <= SIM_DEEPSPEED_DEPTH_1; id++) {
        if (id == SIM_MEGATRON_SHRINKS || id == SIM_DEEPSPEED_HIDDEN || id == SIM_DEEPSPEED_SLOWER) continue;
        check(figures[id].ended < 0, id, "end of replacing", figures[id].ended);
    }
}

/* The same things happen, but other ranks are the last, the slowest and the farthest ahead: nothing may change, and
 * all ranks decide alike. */
static void what_one_rank_sees_does_not_count(void **context)
{
    (void)context;
    for (int id = 0; id < SIM_JOBS; id++) {
        sim_job_t job;
        sim_job_create((sim_job_id_t)id, sim_seed_names[0], &job);
        sim_played_t *one = calloc((size_t)job.calls, sizeof *one), *other = calloc((size_t)job.calls, sizeof *other);
        assert_non_null(one);
        assert_non_null(other);
        assert_int_equal(figures[id].differ, 0);
        assert_int_equal(sim_play(&job, &rule_policy, &(sim_seeds_t){"amber", "one"}, one), 0);
        assert_int_equal(sim_play(&job, &rule_policy, &(sim_seeds_t){"amber", "other"}, other), 0);
        for (int i = 0; i < job.calls; i++) {
            assert_int_equal(one[i].looked, other[i].looked);
            assert_int_equal(one[i].depth, other[i].depth);
        }
        free(one);
        free(other);
        sim_job_destroy(&job);
    }
}

/* A rule by which now and then one rank decides by itself. */
static bool stray_expect(void *state, size_t *row_bytes)
{
    static int asked;
    bool look = rule_policy.expect(state, row_bytes);
    return asked++ % 1001 == 1000 ? !look : look;
}

static void ranks_that_decide_differently_are_noticed(void **context)
{
    (void)context;
    sim_job_t job;
    sim_rule_t stray = rule_policy;
    stray.expect = stray_expect;
    sim_job_create(SIM_MEGATRON, sim_seed_names[0], &job);
    sim_figures_t one = sim_figures(&job, &stray, sim_seed_names[0], 0);
    sim_job_destroy(&job);
    assert_int_equal(one.differ, 1);
}

/* One job with its profile wrong by these factors: all lines hold. */
static void wrong_profile_play(sim_job_id_t id, const double error[SIM_DEPTHS + 1])
{
    double main = 0, late = 0, hits = 0;
    for (int s = 0; s < SIM_SEEDS; s++) {
        sim_job_t job;
        sim_job_create(id, sim_seed_names[s], &job);
        for (int d = 0; d <= SIM_DEPTHS; d++) job.bias[d] *= error[d];
        sim_figures_t one = sim_figures(&job, &rule_policy, sim_seed_names[s], sim_known_from(id, &job));
        main += one.main / SIM_SEEDS;
        late += one.late / SIM_SEEDS;
        hits += one.hits / SIM_SEEDS;
        sim_job_destroy(&job);
    }
    check(main <= 3, id, "regret of calls 100 to 2000 with a wrong profile", main);
    check(late <= 2, id, "regret of the second half with a wrong profile", late);
    check(hits >= 95, id, "share of calls replaced that gain 15 %, with a wrong profile", hits);
}

/* By 50 times either way, for all depths and plain, or for single ones. */
static void a_wrong_profile_costs_the_first_calls_only(void **context)
{
    (void)context;
    static const double error[][SIM_DEPTHS + 1] = {{50, 50, 50}, {.02, .02, .02}, {1, 50, 50}, {1, .02, .02},
                                                   {1, 50, .02}, {1, .02, 50},    {1, 1, 50},  {1, 50, 1},
                                                   {1, 1, .02},  {1, .02, 1}};
    static const sim_job_id_t jobs[] = {SIM_TITAN_POST, SIM_MEGATRON, SIM_DEEPSPEED_NODROP, SIM_DEEPSPEED_SLOWER,
                                        SIM_DEEPSPEED_DEPTH_1};
    for (size_t j = 0; j < sizeof jobs / sizeof jobs[0]; j++)
        for (size_t e = 0; e < sizeof error / sizeof error[0]; e++) wrong_profile_play(jobs[j], error[e]);
}

/* The figures tell rules apart: the one before loses what it lost in real jobs. */
static void the_rule_before_does_not_hold(void **context)
{
    (void)context;
    sim_figures_t titan = sim_figures_mean(SIM_TITAN_POST, &rule_before);
    sim_figures_t hidden = sim_figures_mean(SIM_DEEPSPEED_HIDDEN, &rule_before);
    sim_figures_t small = sim_figures_mean(SIM_SHORT, &rule_before);
    assert_true(titan.hits < 80 && titan.main > 3);
    assert_true(hidden.late > 15 && hidden.ended < 0);
    assert_true(small.alone > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_is_lost),
        cmocka_unit_test(the_first_calls_cost_little),
        cmocka_unit_test(gains_are_not_passed_over),
        cmocka_unit_test(left_alone_is_nearly_free),
        cmocka_unit_test(the_hidden_cost_of_deepspeed_is_found),
        cmocka_unit_test(hidden_costs_are_found_in_other_jobs),
        cmocka_unit_test(jobs_that_gain_go_on),
        cmocka_unit_test(what_one_rank_sees_does_not_count),
        cmocka_unit_test(ranks_that_decide_differently_are_noticed),
        cmocka_unit_test(a_wrong_profile_costs_the_first_calls_only),
        cmocka_unit_test(the_rule_before_does_not_hold),
    };
    return cmocka_run_group_tests(tests, play, NULL);
}
