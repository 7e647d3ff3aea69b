#include "trial.h"

#include <string.h>

#define FIRST 64          /* call, at the earliest */
#define FEW 30            /* calls of the stretch that costs something */
#define FEWEST 8          /* of them where little time tells enough */
#define ENOUGH 1.         /* fewer calls do where so much is gained: ENOUGH / share^2 */
#define LONGER 4          /* times as many calls of the other stretch */
#define CHECK 8           /* calls between two looks for a period */
#define LOOSE_AFTER 1024  /* calls after which stretches need not be whole periods */
#define LOOSE_JITTER 64   /* calls by which their beginnings differ */
#define LOOSE_PAIRS 4     /* at least, since they hold different calls */
#define MIXED .2          /* sum over kinds of the differences of their shares, which spoils a pair */
#define FAR .3            /* farther from what is expected is something else's doing */
#define HARM .10          /* loss that must not go unnoticed */
#define CALL_VARIANCE .15 /* of one call's time with what is around it, believed before there are pairs */
#define BELIEVED_PAIRS 2  /* weight of that */
#define SURE_ON 4.        /* log of the likelihood ratio that replacing pays: one error in 50 */
#define SURE_OFF 3.       /* that it does not, if the mean says so as well: one in 20 */
#define CHANGE_PAIRS 2    /* at least, for a verdict other than the last */
#define AGAIN_ON 128 /* times the stretch that costs something until a decision is tried again; doubled each time */
#define AGAIN_OFF 32
#define AGAIN_MOST 16384 /* calls */
#define UNDECIDED 512    /* calls until the next try */
#define SPOILED 4        /* times the stretch, likewise */

/* What a look begins or ends. */
enum { BEGINS = 1, ENDS_ON = 2, ENDS_ALONE = 4 };

void trial_init(hm_trial_t *trial)
{
    memset(trial, 0, sizeof *trial);
    trial->due = FIRST;
}

void trial_abort(hm_trial_t *trial)
{
    trial->stage = HM_STAGE_IDLE;
    trial->mark = trial->marked = 0;
}

static uint32_t periods(uint32_t calls, uint32_t period)
{
    return (calls + period - 1) / period * period;
}

/* Begins the first stretch if a period is known, or none was for long. */
static bool pair_begin(hm_trial_t *trial, const hm_tape_t *tape)
{
    uint64_t call = tape->calls;
    if (call % CHECK != 0) return false;
    uint32_t period = tape_period(tape), late = (uint32_t)call * 2654435761u % LOOSE_JITTER;
    if (period == 0 && call < trial->due + LOOSE_AFTER + late) return false;
    trial->loose = period == 0;
    if (period == 0) period = 1;
    memset(&trial->on, 0, sizeof trial->on);
    memset(&trial->alone, 0, sizeof trial->alone);
    trial->on.calls = periods(trial->off ? FEW : LONGER * FEW, period);
    trial->alone.calls = periods(trial->off ? LONGER * FEW : FEW, period);
    trial->gain_ms = 0;
    trial->begun = call;
    trial->mark = BEGINS;
    trial->stage = HM_STAGE_ON;
    return true;
}

/* The first stretch is over. The second is the shorter the more seems to be gained: little time tells enough then. */
static hm_want_t alone_begin(hm_trial_t *trial, const hm_tape_t *tape)
{
    double ms = trial->clock_ms - trial->begun_ms, share = trial->gain_ms / (trial->gain_ms + ms);
    if (!(trial->gain_ms > 0) || !(ms > 0)) { /* nothing was replaced */
        trial_abort(trial);
        return trial->off ? HM_WANT_ALONE : HM_WANT_ANY;
    }
    double enough = ENOUGH / (share * share);
    if (!trial->off && enough < FEW) {
        uint32_t calls = enough < FEWEST ? FEWEST : (uint32_t)enough, period = trial->loose ? 1 : tape_period(tape);
        trial->alone.calls = periods(calls, period > 0 ? period : trial->alone.calls);
    }
    trial->begun = tape->calls;
    trial->mark = ENDS_ON | BEGINS;
    trial->stage = HM_STAGE_ALONE;
    return HM_WANT_LOOK;
}

hm_want_t trial_want(hm_trial_t *trial, const hm_tape_t *tape, hm_doubt_t doubt)
{
    uint64_t since = tape->calls - trial->begun;
    hm_want_t usual = trial->off ? HM_WANT_ALONE : HM_WANT_ANY;
    trial->mark = 0;
    if (doubt == HM_DOUBT_NONE) {
        trial_abort(trial);
        trial->off = false;
        trial->pairs.count = 0;
        return HM_WANT_ANY;
    }
    switch (trial->stage) {
    case HM_STAGE_IDLE:
        if (tape->calls < trial->due || doubt != HM_DOUBT_SOME) return usual;
        return pair_begin(trial, tape) ? HM_WANT_LOOK : usual;
    case HM_STAGE_ON:
        return since < trial->on.calls ? HM_WANT_ANY : alone_begin(trial, tape);
    case HM_STAGE_ALONE:
        if (since < trial->alone.calls) return HM_WANT_ALONE;
        trial->mark = ENDS_ALONE;
        trial->stage = HM_STAGE_CLOSE;
        return HM_WANT_LOOK;
    case HM_STAGE_CLOSE:
        return HM_WANT_LOOK;
    }
    return usual;
}

void trial_note(hm_trial_t *trial, const hm_tape_t *tape)
{
    uint8_t kind = tape_last(tape);
    if (trial->stage == HM_STAGE_ON) trial->on.kind[kind]++;
    if (trial->stage == HM_STAGE_ALONE) trial->alone.kind[kind]++;
}

/* Other calls in one stretch than in the other. */
static bool pair_is_spoiled(const hm_trial_t *trial)
{
    double off = 0;
    for (int k = 0; k <= HM_KINDS; k++) {
        double more = (double)trial->on.kind[k] / trial->on.calls - (double)trial->alone.kind[k] / trial->alone.calls;
        off += more < 0 ? -more : more;
    }
    return off > MIXED;
}

static double mean(const float *value, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += value[i];
    return sum / count;
}

/* Variance of a pair's share, from the pairs and what is believed before them. */
static double pair_variance(const hm_trial_t *trial, double saved)
{
    const hm_pairs_t *pairs = &trial->pairs;
    double sum = BELIEVED_PAIRS * CALL_VARIANCE * (1. / trial->on.calls + 1. / trial->alone.calls);
    for (uint32_t i = 0; i < pairs->count; i++) sum += (pairs->saved[i] - saved) * (pairs->saved[i] - saved);
    return sum / (BELIEVED_PAIRS + pairs->count - 1);
}

static void trial_decide(hm_trial_t *trial, uint64_t call)
{
    hm_pairs_t *pairs = &trial->pairs;
    double saved = mean(pairs->saved, pairs->count), expected = mean(pairs->expected, pairs->count);
    double middle = (expected - HARM) / 2;
    double ratio = pairs->count * (expected + HARM) * (saved - middle) / pair_variance(trial, saved);
    bool on = ratio > SURE_ON, off = ratio < -SURE_OFF && saved < 0;
    uint32_t least = trial->loose ? LOOSE_PAIRS : (on || off) && off != trial->off ? CHANGE_PAIRS : 1;
    if (pairs->count < least) on = off = false;
    trial->due = call;
    if (!on && !off && pairs->count < HM_TRIAL_PAIRS) return;
    pairs->count = 0;
    if (on || off) {
        uint64_t few = trial->on.calls < trial->alone.calls ? trial->on.calls : trial->alone.calls;
        uint64_t base = few * (off ? AGAIN_OFF : AGAIN_ON);
        trial->again = off == trial->off ? 2 * trial->again : 0;
        if (trial->again < base) trial->again = base;
        if (trial->again > AGAIN_MOST) trial->again = AGAIN_MOST;
        trial->off = off;
    }
    trial->due += on || off ? trial->again : UNDECIDED;
}

static void pair_note(hm_trial_t *trial, uint64_t call)
{
    hm_pairs_t *pairs = &trial->pairs;
    trial->stage = HM_STAGE_IDLE;
    if (pair_is_spoiled(trial)) {
        trial->due = call + (uint64_t)SPOILED * trial->alone.calls;
        return;
    }
    double alone = trial->alone.ms / trial->alone.calls, on = trial->on.ms / trial->on.calls;
    double expected = trial->gain_ms / trial->on.calls / alone, saved = 1 - on / alone;
    if (saved < -FAR) saved = -FAR;
    if (saved > expected + FAR) saved = expected + FAR;
    pairs->saved[pairs->count] = (float)saved;
    pairs->expected[pairs->count++] = (float)expected;
    trial_decide(trial, call);
}

void trial_clock(hm_trial_t *trial, double span_ms, uint64_t call)
{
    uint8_t marked = trial->marked;
    if (!(span_ms > 0)) {
        trial_abort(trial);
        return;
    }
    trial->clock_ms += span_ms;
    trial->marked = trial->mark;
    if (marked & ENDS_ON) trial->on.ms = trial->clock_ms - trial->begun_ms;
    if (marked & ENDS_ALONE) {
        trial->alone.ms = trial->clock_ms - trial->begun_ms;
        if (trial->alone.ms > 0)
            pair_note(trial, call);
        else
            trial_abort(trial);
    }
    if (marked & BEGINS) trial->begun_ms = trial->clock_ms;
}
