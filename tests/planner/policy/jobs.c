#include "jobs.h"

#include "draw.h"

#include <stdio.h>
#include <stdlib.h>

#define MB 1e6

const char *const sim_seed_names[SIM_SEEDS] = {"amber", "birch", "cedar", "dune", "ember", "fjord"};

/* Kinds that most jobs have, at these indices. */
enum { D, N, COUNTS, PROBS = COUNTS };

static int kind_add(sim_job_t *job, sim_kind_t kind)
{
    job->kind[job->kinds] = kind;
    return job->kinds++;
}

/* Dispatch and combine of one size. */
static void moe_add(sim_job_t *job, double plain, double depth_1, double depth_2, double bytes)
{
    kind_add(job, (sim_kind_t){"D", 2048, .6, bytes, {plain, depth_1, depth_2}});
    kind_add(job, (sim_kind_t){"N", 2048, 0, bytes, {plain, plain * 1.05, plain * 1.08}});
}

static void call_add(sim_job_t *job, uint64_t *seed, int kind, double gap_ms)
{
    if (job->calls == job->room) {
        job->room = job->room == 0 ? 1024 : 2 * job->room;
        job->call = realloc(job->call, (size_t)job->room * sizeof *job->call);
        if (job->call == NULL) {
            fprintf(stderr, "no memory for %d calls\n", job->room);
            abort();
        }
    }
    double scale = 1;
    if (seed != NULL && job->kind[kind].bytes > 1e5) scale = 1 + .1 * draw_gauss(seed);
    if (scale < .6) scale = .6;
    if (scale > 1.5) scale = 1.5;
    job->call[job->calls++] = (sim_call_t){kind, scale, gap_ms};
}

static void calls_add(sim_job_t *job, uint64_t *seed, const int *kind, int kinds, int times, double gap_ms)
{
    for (int t = 0; t < times; t++)
        for (int k = 0; k < kinds; k++) call_add(job, seed, kind[k], gap_ms);
}

/* torchtitan: counts, dispatch, combine of each layer forth, two gradients of each back. `pre`: the combine's gradient
 * repeats rows as well. Every `evaluate` steps five passes forth alone; 0: never. */
static void titan(sim_job_t *job, uint64_t *seed, int layers, bool pre, int steps, int evaluate)
{
    const int forth[] = {COUNTS, D, N}, back[] = {pre ? D : N, N};
    moe_add(job, 25, 20, 15, 36 * MB);
    kind_add(job, (sim_kind_t){"counts", 64, .9, 512, {.3, .6, .6}});
    for (int s = 0; s < steps; s++) {
        calls_add(job, seed, forth, 3, layers, 6);
        calls_add(job, seed, back, 2, layers, 6);
        if (evaluate > 0 && s % evaluate == evaluate - 1) calls_add(job, seed, forth, 3, layers * 5, 2);
    }
    job->period = evaluate > 0 ? 5 * layers * evaluate + 15 * layers : 5 * layers;
}

/* Megatron: dispatch, probabilities, combine, the same three back, thrice where the forward pass is recomputed.
 * `ahead`: forward passes before the first backward one (1F1B). `shrink`: the step from which on calls carry a
 * sixteenth; 0: never. */
static void megatron(sim_job_t *job, uint64_t *seed, int layers, int micro, int steps, bool recompute, int ahead,
                     double gap_ms, int shrink)
{
    int three[3] = {D, PROBS, N};
    int first = ahead < micro ? ahead : micro, back = recompute ? 2 : 1;
    kind_add(job, (sim_kind_t){"probs", 4, .5, 9e4, {.6, .9, .9}});
    double small = job->kind[D].ms[0] / 12, bytes = job->kind[D].bytes / 16;
    kind_add(job, (sim_kind_t){"small D", 2048, .6, bytes, {small, small * 1.2, small * 1.25}});
    kind_add(job, (sim_kind_t){"small N", 2048, 0, bytes, {small, small * 1.2, small * 1.25}});
    for (int s = 0; s < steps; s++) {
        if (shrink > 0 && s >= shrink) three[0] = PROBS + 1, three[2] = PROBS + 2;
        calls_add(job, seed, three, 3, layers * first, gap_ms);
        for (int m = 0; m < micro; m++) {
            if (m + ahead < micro) calls_add(job, seed, three, 3, layers, gap_ms);
            calls_add(job, seed, three, 3, layers * back, gap_ms);
        }
    }
    job->period = 3 * layers * micro * (1 + back);
}

/* DeepSpeed pads all calls to one size; rows repeat in all. */
static void deepspeed(sim_job_t *job, uint64_t *seed, double plain, double depth_1, double depth_2, double copies,
                      double bytes)
{
    const int forth[] = {0, 1}, back[] = {1, 0};
    for (int i = 0; i < 2; i++)
        kind_add(job, (sim_kind_t){i == 0 ? "DS0" : "DS1", 2048, copies, bytes, {plain, depth_1, depth_2}});
    for (int s = 0; s < 300; s++) {
        calls_add(job, seed, forth, 2, 2, 12);
        calls_add(job, seed, back, 2, 2, 12);
    }
    job->period = 8;
}

static void plain_add(sim_job_t *job, size_t row_bytes, double bytes, double plain, double deep, int calls)
{
    int kind = kind_add(job, (sim_kind_t){"a2a", row_bytes, 0, bytes, {plain, deep, deep}});
    calls_add(job, NULL, &kind, 1, calls, 0);
}

/* nccl-tests: sizes from 64 KB to 256 MB, each twice as large as the one before. */
static void nccl_tests(sim_job_t *job)
{
    for (double bytes = 64e3; bytes <= 300e6; bytes *= 2) {
        double plain = .018 + bytes / 260e6;
        plain_add(job, 8192, bytes, plain, plain * 1.3 + .02, 120);
    }
}

/* A share of calls repeats rows, in no order. */
static void random_calls(sim_job_t *job, uint64_t *seed, double share)
{
    moe_add(job, 25, 20, 15, 36 * MB);
    for (int i = 0; i < 2400; i++) call_add(job, seed, draw_unit(seed) < share ? D : N, 5);
}

/* What repeats rows and what does not take turns, and change places every 50 calls. */
static void flips(sim_job_t *job, uint64_t *seed)
{
    moe_add(job, 25, 20, 15, 36 * MB);
    for (int i = 0; i < 2400; i++) call_add(job, seed, i % 2 == i / 50 % 2 ? D : N, 5);
}

static void calls_fill(sim_job_id_t id, uint64_t *seed, sim_job_t *job)
{
    bool nvlink = id == SIM_MEGATRON_NVLINK;
    if (id >= SIM_MEGATRON && id <= SIM_MEGATRON_NVLINK)
        moe_add(job, nvlink ? .83 : 25, nvlink ? .83 : 20, nvlink ? .69 : 15, nvlink ? 67 * MB : 36 * MB);
    switch (id) {
    case SIM_TITAN_POST:
        titan(job, seed, 2, false, 200, 0);
        break;
    case SIM_TITAN_PRE:
        titan(job, seed, 2, true, 200, 0);
        break;
    case SIM_TITAN_24:
        titan(job, seed, 24, false, 25, 0);
        break;
    case SIM_TITAN_EVAL:
        titan(job, seed, 2, false, 160, 20);
        break;
    case SIM_MEGATRON:
        megatron(job, seed, 2, 1, 160, false, 0, 5, 0);
        break;
    case SIM_MEGATRON_RECOMPUTE:
        megatron(job, seed, 4, 4, 14, true, 0, 5, 0);
        break;
    case SIM_MEGATRON_1F1B:
        megatron(job, seed, 6, 8, 8, false, 3, 5, 0);
        break;
    case SIM_MEGATRON_SHRINKS:
        megatron(job, seed, 2, 1, 160, false, 0, 5, 80);
        break;
    case SIM_MEGATRON_NVLINK:
        megatron(job, seed, 4, 1, 100, false, 0, .5, 0);
        break;
    case SIM_DEEPSPEED_NODROP:
        deepspeed(job, seed, 120, 60, 35, .8, 150 * MB);
        break;
    case SIM_DEEPSPEED_HIDDEN:
        deepspeed(job, seed, 13, 9.5, 9, .5, 9 * MB);
        break;
    case SIM_DEEPSPEED_SLOWER:
        deepspeed(job, seed, 9, 9.5, 10, .5, 9 * MB);
        break;
    case SIM_DEEPSPEED_DEPTH_1:
        deepspeed(job, seed, 20, 12, 16, .5, 9 * MB);
        break;
    case SIM_NCCL_TESTS:
        nccl_tests(job);
        break;
    case SIM_NO_COPIES:
        plain_add(job, 1024, 64 * MB, .157, .3, 3000);
        break;
    case SIM_SHORT:
        plain_add(job, 1024, 4e5, .02, .05, 6000);
        break;
    case SIM_RANDOM_10:
        random_calls(job, seed, .1);
        break;
    case SIM_RANDOM_50:
        random_calls(job, seed, .5);
        break;
    case SIM_FLIPS:
        flips(job, seed);
        break;
    case SIM_JOBS:
        break;
    }
}

/* How the model errs: a profile of slow TCP where calls take 25 ms, one where they take 13, one that is right. */
#define SLOW \
    { \
        17.6, 15.5, 12.6 \
    }
#define FAST \
    { \
        4, 3, 3 \
    }
#define RIGHT \
    { \
        1, 1, 1 \
    }

void sim_job_create(sim_job_id_t id, const char *seed, sim_job_t *job)
{
    static const sim_job_t form[SIM_JOBS] = {
#define FORM(id, text, look, hidden, ahead, wait, spread, ...) \
    [id] = {.name = text, \
            .look_ms = look, \
            .hidden_ms = hidden, \
            .ahead_ms = ahead, \
            .wait_ms = wait, \
            .noise = spread, \
            .bias = __VA_ARGS__}
        FORM(SIM_TITAN_POST, "titan post, 2 layers", .3, .3, .6, 1, .25, SLOW),
        FORM(SIM_TITAN_PRE, "titan pre, 2 layers", .3, .3, .6, 1, .25, SLOW),
        FORM(SIM_TITAN_24, "titan post, 24 layers", .3, .3, .6, 1, .25, SLOW),
        FORM(SIM_TITAN_EVAL, "titan post + evaluation", .3, .3, .6, 1, .25, SLOW),
        FORM(SIM_MEGATRON, "megatron 2x1", .3, .3, .6, 1, .25, SLOW),
        FORM(SIM_MEGATRON_RECOMPUTE, "megatron 4x4 recompute", .3, .3, .6, 1, .25, SLOW),
        FORM(SIM_MEGATRON_1F1B, "megatron 6x8 1F1B", .3, .3, .6, 1, .25, SLOW),
        FORM(SIM_MEGATRON_SHRINKS, "megatron 2x1 shrinks", .3, .3, .6, 1, .25, SLOW),
        FORM(SIM_MEGATRON_NVLINK, "megatron 4x1 NVLink", .055, .03, .3, .02, .08, RIGHT),
        FORM(SIM_DEEPSPEED_NODROP, "deepspeed no drop", .3, .3, 100, 1, .25, FAST),
        FORM(SIM_DEEPSPEED_HIDDEN, "deepspeed hidden cost", .3, 6.7, 15, 1, .25, FAST),
        FORM(SIM_DEEPSPEED_SLOWER, "deepspeed deep is slower", .3, .5, 15, 1, .25, {5.8, 3, 2.9}),
        FORM(SIM_DEEPSPEED_DEPTH_1, "deepspeed depth 1 is best", .3, .3, 15, 1, .25, {4, 5, 3}),
        FORM(SIM_NCCL_TESTS, "nccl-tests", .055, .01, 1, 0, .05, RIGHT),
        FORM(SIM_NO_COPIES, "no copies, 0.157 ms", .055, .005, 1, 0, .03, RIGHT),
        FORM(SIM_SHORT, "no copies, 0.020 ms", .055, .005, 1, 0, .03, RIGHT),
        FORM(SIM_RANDOM_10, "random, 10 % repeat", .3, .3, .6, 1, .25, SLOW),
        FORM(SIM_RANDOM_50, "random, 50 % repeat", .3, .3, .6, 1, .25, SLOW),
        FORM(SIM_FLIPS, "flips every 50", .3, .3, .6, 1, .25, SLOW),
#undef FORM
    };
    uint64_t state = draw_seed(seed) + (uint64_t)id;
    *job = form[id];
    calls_fill(id, &state, job);
}

void sim_job_destroy(sim_job_t *job)
{
    free(job->call);
    job->call = NULL;
}

int sim_call_best(const sim_job_t *job, const sim_call_t *call, double *ms)
{
    const sim_kind_t *kind = &job->kind[call->kind];
    int best = 0;
    *ms = kind->ms[0] * call->scale;
    if (kind->row_bytes < SIM_ROW_LEAST || kind->bytes * call->scale < SIM_BYTES_LEAST) return 0;
    for (int d = 1; d <= SIM_DEPTHS; d++) {
        double deep = job->look_ms + job->hidden_ms + kind->ms[d] * call->scale;
        if (deep < *ms) *ms = deep, best = d;
    }
    return best;
}

void sim_job_hide(sim_job_t *job, double share)
{
    double plain = 0, gain = 0;
    int looks = 0;
    job->hidden_ms = 0;
    for (int i = 0; i < job->calls; i++) {
        const sim_call_t *call = &job->call[i];
        double ms = job->kind[call->kind].ms[0] * call->scale, best;
        plain += ms + call->gap_ms + job->wait_ms;
        if (sim_call_best(job, call, &best) == 0) continue;
        gain += ms - best;
        looks++;
    }
    job->hidden_ms = (share * plain + gain) / looks;
    if (job->ahead_ms < 1.3 * job->hidden_ms) job->ahead_ms = 1.3 * job->hidden_ms;
}
