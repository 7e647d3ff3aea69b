/* Description: what is decided about a job's calls, as the way of a call asks: which are looked at and with which rows,
 * what becomes of them and why, in all modes. How the rule itself does is shown in planner/policy's tests. */
#include "doubles.h"

#include "know/know.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define RANKS 4
#define NODES 2
#define ROWS 1000 /* of a rank for each rank */
#define LEAD_MS .3

/* What a call of the job is. */
typedef struct kind {
    size_t gcd;     /* of its counts */
    bool repeats;   /* its rows do */
    double ms[3];   /* left alone, at depth 1 and 2 */
    double host_ms; /* that the job loses where the host waits for it */
} kind_t;

static const kind_t dispatch = {4096, true, {25, 20, 15}, 0}, combine = {4096, false, {25, 26, 27}, 0},
                    slower = {4096, true, {9, 9.5, 10}, 0}, hidden = {4096, true, {13, 9.5, 9}, 8},
                    small = {4, false, {.6, .9, .9}, 0};

typedef struct job {
    hm_know_t know;
    hm_comm_t comm;
    hm_channel_t channel;
    hm_place_t place;
    uint32_t raw[RANKS * RANKS], nodes[RANKS * NODES], ranks[RANKS * RANKS];
    hm_timed_t timed[2];
    uint32_t transfer_us[2];
    double now_ms, table_ms;
    uint32_t span_us;
    uint64_t looks, refused, left[HM_REASONS], depth[3];
    size_t row_bytes; /* that the last look was made with */
    bool lacking;     /* no depth can be had */
} job_t;

static void job_open(job_t *job)
{
    hm_topo_t *topo = NULL;
    const char *why = NULL;
    memset(job, 0, sizeof *job);
    job->comm = (hm_comm_t){.ranks = RANKS, .rank = 1};
    job->channel = (hm_channel_t){.comm = &job->comm, .kernels = &hm_kernels_host};
    assert_int_equal(topo_parse("2,2", RANKS, &topo, &why), 0);
    assert_int_equal(place_set(&job->place, topo, false), 0);
    know_init(&job->know);
    know_meet(&job->know);
    assert_int_equal(know_create(&job->know, RANKS), 0);
    profile_prior(topo, (const hm_wire_t[HM_MAX_LEVELS + 1]){0, HM_WIRE_TCP, HM_WIRE_SHM}, NULL, &job->know.profile);
    job->know.profile_known = true;
}

static void job_close(job_t *job)
{
    know_free(&job->know);
    place_free(&job->place);
}

/* The agreed table of a call whose rows go to both ranks of a node, or to one each. */
static hm_table_t table_make(job_t *job, const kind_t *kind, size_t row_bytes)
{
    for (int i = 0; i < RANKS * RANKS; i++) job->raw[i] = job->ranks[i] = ROWS;
    for (int i = 0; i < RANKS * NODES; i++) job->nodes[i] = kind->repeats ? ROWS : 2 * ROWS;
    return (hm_table_t){.row_bytes = row_bytes, .raw = job->raw, .distinct = {NULL, job->nodes, job->ranks}};
}

/* The row size that the ranks agree on, 0: none is large enough. */
static size_t row_agree(size_t expected, size_t gcd)
{
    size_t row = expected >= 32 && gcd % expected == 0 ? expected : gcd;
    return row >= 32 ? row : 0;
}

/* The agreement on a look: times are those of the look before the last. */
static hm_decision_t look_play(job_t *job, const kind_t *kind, size_t expected)
{
    uint64_t slot = job->looks++ % 2;
    size_t row = row_agree(expected, kind->gcd);
    hm_table_t table = table_make(job, kind, row);
    hm_agreement_t agreement = {.able = row != 0,
                                .gcd = kind->gcd,
                                .bytes = (uint64_t)RANKS * RANKS * ROWS * row,
                                .times.timed = job->transfer_us[slot] > 0,
                                .times.lead_us = (uint32_t)(1e3 * LEAD_MS),
                                .times.transfer_us = job->transfer_us[slot],
                                .times.span_us = job->span_us,
                                .times.wait_us = job->looks > 1 ? (uint32_t)(1e3 * (kind->host_ms + LEAD_MS + 1)) : 0};
    job->know.clock.read = job->timed[slot];
    job->row_bytes = expected;
    job->now_ms += LEAD_MS + kind->host_ms;
    job->span_us = job->table_ms > 0 ? (uint32_t)(1e3 * (job->now_ms - job->table_ms)) : 0;
    job->table_ms = job->now_ms;
    know_times_take(&job->know, &job->comm, &agreement);
    hm_decision_t decision = know_decide(&job->know, &job->channel, &job->place, &agreement, row != 0 ? &table : NULL);
    if (decision.depth > 0 && job->lacking) {
        job->refused++;
        know_refuse(&job->know, HM_REASON_NO_MEMORY, &decision);
    }
    job->timed[slot] = decision.timed;
    job->timed[slot].planned = row != 0;
    job->transfer_us[slot] = row != 0 ? (uint32_t)(1e3 * kind->ms[decision.depth]) : 0;
    return decision;
}

/* One call of the job, 5 ms after the last; whether it was looked at. */
static bool call_play(job_t *job, const kind_t *kind)
{
    hm_reason_t alone;
    hm_decision_t decision = {.depth = 0};
    job->now_ms += 5;
    hm_intent_t intent = know_expect(&job->know, &alone);
    assert_int_equal(intent.look, alone == HM_REASON_NONE);
    if (intent.look) {
        decision = look_play(job, kind, intent.row_bytes);
        alone = row_agree(intent.row_bytes, kind->gcd) != 0 ? decision.reason : HM_REASON_ROWS_TOO_SMALL;
        assert_int_equal(decision.depth > 0, alone == HM_REASON_NONE);
    }
    job->now_ms += kind->ms[decision.depth];
    job->left[alone]++;
    job->depth[decision.depth]++;
    return intent.look;
}

static int calls_play(job_t *job, const kind_t *kind, int calls)
{
    int looks = 0;
    for (int i = 0; i < calls; i++) looks += call_play(job, kind);
    return looks;
}

static int setup(void **context)
{
    (void)context;
    doubles_reset();
    return 0;
}

static void the_first_call_is_looked_at_with_no_row_size(void **context)
{
    (void)context;
    job_t job;
    job_open(&job);
    assert_true(call_play(&job, &dispatch));
    assert_int_equal(job.row_bytes, 0);
    call_play(&job, &dispatch);
    assert_int_equal(job.row_bytes, 4096);
    job_close(&job);
}

static void what_gains_is_replaced_at_the_best_depth(void **context)
{
    (void)context;
    job_t job;
    job_open(&job);
    calls_play(&job, &dispatch, 200);
    assert_int_equal(calls_play(&job, &dispatch, 1000), 1000);
    assert_true(job.depth[2] >= 1150);
    assert_int_equal(job.left[HM_REASON_NONE] + job.left[HM_REASON_TRIAL], 1200);
    assert_true(job.left[HM_REASON_TRIAL] > 0 && job.depth[1] > 0); /* tried as well */
    job_close(&job);
}

/* Rows repeat, but calls take longer deep: found out, whatever the profile says. */
static void what_does_not_gain_is_left_alone(void **context)
{
    (void)context;
    job_t job;
    job_open(&job);
    assert_true(calls_play(&job, &slower, 200) < 100);
    assert_true(calls_play(&job, &slower, 1000) < 50);
    assert_true(job.depth[1] > 0 && job.depth[2] > 0);
    assert_true(job.left[HM_REASON_NO_GAIN_LATELY] > 1000 && job.left[HM_REASON_NO_GAIN] > 0);
    job_close(&job);
}

/* Dispatch and combine take turns: only the second stops paying. */
static void turns_are_told_apart(void **context)
{
    (void)context;
    job_t job;
    int worth = 0, idle = 0;
    job_open(&job);
    for (int i = 0; i < 1000; i++) {
        worth += call_play(&job, &dispatch);
        idle += call_play(&job, &combine);
    }
    assert_true(worth >= 990);
    assert_in_range(idle, 5, 100); /* looked at again now and then */
    job_close(&job);
}

/* Megatron's layers forth and back: tokens, probabilities, combine, then the same back. Tokens and probabilities come
 * from one caller and may be of one type: each place knows its own row size. */
static void layers_of_a_step_are_told_apart(void **context)
{
    (void)context;
    const kind_t *step[] = {&dispatch, &small, &combine, &dispatch, &combine, &small};
    job_t job;
    int worth = 0, idle = 0, misfits = 0;
    job_open(&job);
    for (int i = 0; i < 1200; i++) {
        bool looked = call_play(&job, step[i % 6]);
        *(i % 3 == 0 ? &worth : &idle) += looked;
        misfits += looked && i % 3 == 0 && i > 100 && job.row_bytes != 4096;
    }
    assert_true(worth >= 392); /* of 400 */
    assert_true(idle < 130);   /* of 800 */
    assert_int_equal(misfits, 0);
    job_close(&job);
}

static void smaller_rows_are_taken_at_once_larger_ones_slowly(void **context)
{
    (void)context;
    job_t job;
    kind_t even = dispatch;
    even.gcd = 8192;
    job_open(&job);
    calls_play(&job, &even, 8); /* all counts happened to be even */
    assert_int_equal(job.row_bytes, 8192);
    calls_play(&job, &dispatch, 2);
    assert_int_equal(job.row_bytes, 4096);
    calls_play(&job, &even, 3);
    assert_int_equal(job.row_bytes, 4096);
    calls_play(&job, &even, 8);
    assert_int_equal(job.row_bytes, 8192);
    job_close(&job);
}

/* Rows too small to be looked at: what their counts have in common by chance must not look like new calls. */
static void chance_divisors_of_small_rows_do_not_wear_off(void **context)
{
    (void)context;
    static const size_t chance[] = {4, 12, 8, 4, 20, 4};
    job_t job;
    int worth = 0, idle = 0;
    job_open(&job);
    for (int i = 0; i < 1000; i++) {
        kind_t one = small;
        one.gcd = chance[i % 6];
        worth += call_play(&job, &dispatch);
        idle += call_play(&job, &one);
    }
    assert_true(worth >= 990);
    assert_true(idle < 100);
    job_close(&job);
}

/* One call in seven brings nothing, in no order: the others are not lost for that. */
static void seldom_without_copies_is_looked_at_every_time(void **context)
{
    (void)context;
    job_t job;
    int looks = 0;
    uint32_t draw = 1;
    job_open(&job);
    for (int i = 0; i < 700; i++) {
        draw = draw * 1664525u + 1013904223u;
        looks += call_play(&job, draw >> 16 < 65536 / 7 ? &combine : &dispatch);
    }
    assert_true(looks >= 680);
    job_close(&job);
}

static void observing_looks_now_and_then_and_replaces_nothing(void **context)
{
    (void)context;
    job_t job;
    doubles_settings.mode = HM_MODE_OBSERVE;
    job_open(&job);
    for (int i = 0; i < 1024; i++) assert_int_equal(call_play(&job, &dispatch), i < 4 || i % 64 == 0);
    assert_int_equal(job.depth[0], 1024);
    assert_int_equal(job.left[HM_REASON_OBSERVE], 1024);
    assert_int_equal(job.comm.stats.planned, job.looks);
    assert_true(job.comm.stats.plan_us < job.comm.stats.plain_us); /* the gain is predicted all the same */
    calls_play(&job, &combine, 1024);
    assert_int_equal(job.left[HM_REASON_NO_GAIN], 16);
    job_close(&job);
}

/* Who asks for a depth gets it, for all calls that can have it. */
static void a_depth_that_is_set_is_taken(void **context)
{
    (void)context;
    static const kind_t *const kinds[] = {&slower, &combine, &dispatch};
    for (int depth = 1; depth <= 3; depth++) {
        job_t job;
        doubles_settings.depth = depth;
        job_open(&job);
        for (int i = 0; i < 300; i++) {
            assert_true(call_play(&job, kinds[i % 3]));
            if (i % 2 == 0) call_play(&job, &small);
        }
        assert_int_equal(job.depth[depth < 2 ? depth : 2], 300);
        assert_true(job.left[HM_REASON_ROWS_TOO_SMALL] < 50); /* of 150 */
        assert_int_equal(job.left[HM_REASON_TRIAL], 0);
        job_close(&job);
    }
}

static void depth_0_leaves_all_alone(void **context)
{
    (void)context;
    job_t job;
    doubles_settings.depth = 0;
    job_open(&job);
    assert_true(calls_play(&job, &dispatch, 1000) < 50);
    assert_int_equal(job.depth[0], 1000);
    assert_int_equal(job.left[HM_REASON_NO_GAIN] + job.left[HM_REASON_NO_GAIN_LATELY], 1000);
    job_close(&job);
}

/* No memory on some rank: looking would cost for nothing. */
static void depths_that_cannot_be_had_are_not_asked_for_again(void **context)
{
    (void)context;
    job_t job;
    job_open(&job);
    job.lacking = true;
    calls_play(&job, &dispatch, 1000);
    assert_int_equal(job.depth[0], 1000);
    assert_in_range(job.refused, 1, 4);
    assert_int_equal(job.left[HM_REASON_NO_MEMORY], job.refused);
    assert_true(job.left[HM_REASON_NO_GAIN_LATELY] > 900);
    job_close(&job);
}

/* Calls take less time deep, but the job takes more: stretches of both are compared, and replacing ends. */
static void a_job_that_gets_slower_is_left_alone(void **context)
{
    (void)context;
    job_t job;
    job_open(&job);
    calls_play(&job, &hidden, 2000);
    uint64_t replaced = job.left[HM_REASON_NONE];
    assert_true(job.left[HM_REASON_TRIAL] > 20);
    assert_true(job.left[HM_REASON_JOB_NO_FASTER] > 500);
    calls_play(&job, &hidden, 1000);
    assert_true(job.left[HM_REASON_NONE] - replaced < 200);
    job_close(&job);
}

/* As where a call is captured into a graph, or a stream is held back. */
static void a_look_without_an_agreement_is_like_none(void **context)
{
    (void)context;
    job_t job;
    hm_reason_t alone;
    job_open(&job);
    calls_play(&job, &dispatch, 200);
    for (int i = 0; i < 50; i++) assert_true(know_expect(&job.know, &alone).look);
    uint64_t deep = job.depth[2];
    calls_play(&job, &dispatch, 100);
    assert_true(job.depth[2] >= deep + 98);
    job_close(&job);
}

static void nobody_skips_a_call_to_observe_before_the_ranks_have_met(void **state)
{
    hm_know_t know = {.observed = 0};
    hm_reason_t alone;
    (void)state;
    doubles_settings.mode = HM_MODE_OBSERVE;
    know_init(&know);
    for (int i = 0; i < 100; i++) assert_true(know_expect(&know, &alone).look);
    know_meet(&know);
    for (int i = 0; i < 5; i++) assert_int_equal(know_expect(&know, &alone).look, i < 4);
    doubles_settings.mode = HM_MODE_EXACT;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(the_first_call_is_looked_at_with_no_row_size),
        TEST(what_gains_is_replaced_at_the_best_depth),
        TEST(what_does_not_gain_is_left_alone),
        TEST(turns_are_told_apart),
        TEST(layers_of_a_step_are_told_apart),
        TEST(smaller_rows_are_taken_at_once_larger_ones_slowly),
        TEST(chance_divisors_of_small_rows_do_not_wear_off),
        TEST(seldom_without_copies_is_looked_at_every_time),
        TEST(observing_looks_now_and_then_and_replaces_nothing),
        TEST(a_depth_that_is_set_is_taken),
        TEST(depth_0_leaves_all_alone),
        TEST(depths_that_cannot_be_had_are_not_asked_for_again),
        TEST(a_job_that_gets_slower_is_left_alone),
        TEST(a_look_without_an_agreement_is_like_none),
        TEST(nobody_skips_a_call_to_observe_before_the_ranks_have_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
