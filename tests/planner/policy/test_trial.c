/* Stretches of the job with and without replacing decide whether it pays. */
#include "policy_test.h"

#include "policy/trial.h"

#include "draw.h"

#define PERIOD 3

/* A job of three kinds of calls, the first of which is looked at and replaced. Calls of the first kind take on_ms
 * replaced and alone_ms left alone with all around them, the others 10. */
typedef struct job {
    hm_trial_t trial;
    hm_tape_t tape;
    hm_doubt_t doubt;
    double on_ms, alone_ms, noise;
    double gain_ms;              /* what the calls say */
    double clock_ms, look_ms[2]; /* when the last looks were agreed on */
    int looks, replaced;
    int change; /* kinds are numbered from here on */
    uint64_t seed;
} job_t;

static job_t job_of(double on_ms, double alone_ms)
{
    job_t job = {.doubt = HM_DOUBT_SOME, .on_ms = on_ms, .alone_ms = alone_ms, .gain_ms = 5};
    job.seed = draw_seed("trial");
    trial_init(&job.trial);
    return job;
}

static void look_note(job_t *job, int kind)
{
    double span = job->looks < 2 ? 0 : job->look_ms[1] - job->look_ms[0];
    trial_clock(&job->trial, span, job->tape.calls);
    trial_gain(&job->trial, kind == 1 ? job->gain_ms : -.1);
    job->look_ms[0] = job->look_ms[1];
    job->look_ms[1] = job->clock_ms;
    job->looks++;
    job->replaced += kind == 1;
}

static hm_want_t call_play(job_t *job)
{
    int kind = (int)(job->tape.calls % PERIOD) + 1;
    hm_want_t want = trial_want(&job->trial, &job->tape, job->doubt);
    bool look = want == HM_WANT_LOOK || (want == HM_WANT_ANY && kind == 1);
    double ms = kind > 1 ? 10 : look ? job->on_ms : job->alone_ms;
    if (look) look_note(job, kind);
    tape_append(&job->tape, (uint8_t)(kind + job->change), look);
    trial_note(&job->trial, &job->tape);
    job->clock_ms += ms * draw_factor(&job->seed, job->noise);
    return want;
}

/* Plays calls and returns how many were left alone against what they would have been. */
static int alone_play(job_t *job, int calls)
{
    int count = 0;
    for (int i = 0; i < calls; i++) count += call_play(job) == HM_WANT_ALONE;
    return count;
}

static void without_doubt_nothing_is_tried(void **context)
{
    (void)context;
    job_t none = job_of(20, 10), open = job_of(20, 10);
    none.doubt = HM_DOUBT_NONE;
    open.doubt = HM_DOUBT_OPEN;
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(call_play(&none), HM_WANT_ANY);
        assert_int_equal(call_play(&open), HM_WANT_ANY);
    }
}

static void a_job_that_gains_goes_on(void **context)
{
    (void)context;
    job_t job = job_of(10, 15);
    int alone = alone_play(&job, 1000);
    assert_in_range(alone, 8, 60);
    assert_int_equal(alone_play(&job, 2000), 0); /* decided for long */
    assert_false(job.trial.off);
}

/* Calls say that 5 of 35 ms are gained, the job gets slower by a tenth. */
static void a_job_that_loses_is_found(void **context)
{
    (void)context;
    job_t job = job_of(18.5, 15);
    while (!job.trial.off && job.tape.calls < 2000) call_play(&job);
    assert_in_range(job.tape.calls, 200, 500);
    job.replaced = 0;
    assert_true(alone_play(&job, 900) > 890);
    assert_true(alone_play(&job, 4000) > 3800); /* asked again now and then, and seldom */
    assert_in_range(job.replaced, 5, 60);
    assert_true(job.trial.off);
}

static void noise_does_not_hide_a_loss(void **context)
{
    (void)context;
    job_t job = job_of(18.5, 15);
    job.noise = .25;
    while (!job.trial.off && job.tape.calls < 2000) call_play(&job);
    assert_in_range(job.tape.calls, 200, 800);
}

static void a_job_that_gains_again_is_replaced_again(void **context)
{
    (void)context;
    job_t job = job_of(18.5, 15);
    while (!job.trial.off) call_play(&job);
    job.on_ms = 10;
    uint64_t from = job.tape.calls;
    while (job.trial.off && job.tape.calls < from + 5000) call_play(&job);
    assert_in_range(job.tape.calls, from + 500, from + 2000);
    assert_true(alone_play(&job, 1000) <= 30);
}

static void what_was_decided_is_void_without_doubt(void **context)
{
    (void)context;
    job_t job = job_of(18.5, 15);
    while (!job.trial.off) call_play(&job);
    job.doubt = HM_DOUBT_NONE;
    assert_int_equal(alone_play(&job, 100), 0);
    assert_false(job.trial.off);
}

/* Most of what calls gain is lost again, but not all. */
static void a_job_that_gains_less_than_its_calls_goes_on(void **context)
{
    (void)context;
    job_t job = job_of(14, 15);
    job.gain_ms = 12;
    for (int i = 0; i < 3000; i++) {
        call_play(&job);
        assert_false(job.trial.off);
    }
}

/* A checkpoint of ten seconds in any place. */
static void one_long_pause_decides_nothing(void **context)
{
    (void)context;
    for (int at = 60; at < 400; at += 7) {
        job_t job = job_of(10, 15);
        int alone = 0;
        for (int i = 0; i < 1500; i++) {
            if (i == at) job.clock_ms += 1e4;
            alone += call_play(&job) == HM_WANT_ALONE;
            assert_false(job.trial.off);
        }
        assert_true(alone <= 240 && job.trial.again > 0); /* decided all the same */
    }
}

/* The job's calls change between two stretches that are compared. */
static void other_calls_spoil_a_pair(void **context)
{
    (void)context;
    job_t job = job_of(10, 15);
    while (job.trial.stage != HM_STAGE_ALONE) call_play(&job);
    job.change = 3;
    job.clock_ms += 1e4;
    while (job.trial.stage != HM_STAGE_IDLE) call_play(&job);
    assert_int_equal(job.trial.pairs.count, 0);
    assert_true(job.trial.due > job.tape.calls);
    assert_int_equal(job.trial.again, 0); /* nothing was decided */
}

static void an_unknown_span_ends_the_pair(void **context)
{
    (void)context;
    job_t job = job_of(10, 15);
    while (job.trial.stage != HM_STAGE_ON) call_play(&job);
    trial_clock(&job.trial, 0, job.tape.calls);
    assert_int_equal(job.trial.stage, HM_STAGE_IDLE);
    while (job.trial.stage != HM_STAGE_ALONE) call_play(&job);
    trial_abort(&job.trial);
    assert_int_equal(call_play(&job), HM_WANT_ANY);
    assert_int_equal(job.trial.pairs.count, 0);
}

/* In stretches where nothing is replaced nothing can be learned: no call is left alone for that. */
static void nothing_replaced_nothing_compared(void **context)
{
    (void)context;
    job_t job = job_of(10, 15);
    for (int i = 0; i < 1000; i++) {
        assert_int_not_equal(call_play(&job), HM_WANT_ALONE);
        job.trial.gain_ms = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_doubt_nothing_is_tried),
        cmocka_unit_test(a_job_that_gains_goes_on),
        cmocka_unit_test(a_job_that_loses_is_found),
        cmocka_unit_test(noise_does_not_hide_a_loss),
        cmocka_unit_test(a_job_that_gains_again_is_replaced_again),
        cmocka_unit_test(what_was_decided_is_void_without_doubt),
        cmocka_unit_test(a_job_that_gains_less_than_its_calls_goes_on),
        cmocka_unit_test(one_long_pause_decides_nothing),
        cmocka_unit_test(other_calls_spoil_a_pair),
        cmocka_unit_test(an_unknown_span_ends_the_pair),
        cmocka_unit_test(nothing_replaced_nothing_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
