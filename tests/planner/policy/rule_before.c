/* The rule before planner/policy, compact but the same call by call: contexts of the last three outcomes that say
 * whether and with which rows to look, model times corrected by medians of what calls took, a margin, trials. */
#include "rule.h"

#include <string.h>

enum { PLACES = 64, SIZES = 6, KEPT = 9, LEAST = 3 };

typedef struct place {
    uint64_t context, outcome;
    size_t row_bytes, wider;
    unsigned streak, idle, left;
} place_t;

typedef struct ratios {
    uint32_t count;
    double ratio[KEPT];
} ratios_t;

typedef struct timed {
    int depth, size;
    double model_ms; /* 0: not to be learned from */
} timed_t;

typedef struct before {
    uint64_t history[3];
    size_t row_bytes;
    place_t place[PLACES];
    ratios_t depth[SIZES][SIM_DEPTHS + 1];
    int latest[SIZES];
    uint32_t since[SIZES][2];
    timed_t timed[2]; /* by number of the look */
    unsigned looks;
} before_t;

static void before_init(void *state)
{
    memset(state, 0, sizeof(before_t));
}

static size_t gcd_of(size_t a, size_t b)
{
    for (size_t rest; b != 0; a = b, b = rest) rest = a % b;
    return a;
}

static place_t *place_find(before_t *rule)
{
    uint64_t context = 1;
    for (int i = 0; i < 3; i++) context = (context ^ rule->history[i]) * 0xD6E8FEB86659FD93u + 1;
    if (context == 0) context = 1;
    size_t at = (size_t)(context >> 40) % PLACES;
    for (size_t tries = 0; tries < PLACES; tries++, at = (at + 1) % PLACES) {
        if (rule->place[at].context == context) return &rule->place[at];
        if (rule->place[at].context == 0) break;
    }
    rule->place[at] = (place_t){.context = context, .row_bytes = rule->row_bytes};
    return &rule->place[at];
}

static void outcome_append(before_t *rule, uint64_t outcome)
{
    rule->history[0] = rule->history[1];
    rule->history[1] = rule->history[2];
    rule->history[2] = outcome;
}

static bool before_expect(void *state, size_t *row_bytes)
{
    before_t *rule = state;
    place_t *place = place_find(rule);
    *row_bytes = place->row_bytes;
    if (place->left == 0) return true;
    place->left--;
    outcome_append(rule, place->outcome);
    return false;
}

static size_t row_settle(place_t *place, size_t row_bytes, size_t gcd)
{
    if (row_bytes == 0 || gcd <= row_bytes) {
        place->streak = 0;
        return row_bytes == 0 ? gcd_of(place->row_bytes, gcd) : row_bytes;
    }
    place->wider = place->streak == 0 ? gcd : gcd_of(place->wider, gcd);
    place->streak = place->wider > row_bytes ? place->streak + 1 : 0;
    if (place->streak < 4) return row_bytes;
    place->streak = 0;
    return place->wider;
}

static void outcome_note(before_t *rule, const sim_agreed_t *agreed, bool worth)
{
    place_t *place = place_find(rule);
    place->row_bytes = row_settle(place, agreed->row_bytes, agreed->gcd);
    uint64_t hash = ((agreed->row_bytes == 0 ? 0 : place->row_bytes) * 2 + worth + 1) * 0x9E3779B97F4A7C15u;
    place->outcome = hash ^ hash >> 31;
    rule->row_bytes = place->row_bytes;
    place->idle = worth ? 0 : place->idle + 1;
    if (place->idle >= 2) place->left = place->idle < 7 ? 4u << (place->idle - 2) : 128;
    outcome_append(rule, place->outcome);
}

static int size_of(double bytes)
{
    int size = 0;
    for (double bound = 1e6; size < SIZES - 1 && bytes >= bound; bound *= 4) size++;
    return size;
}

static bool known(const ratios_t *ratios)
{
    return ratios->count > LEAST;
}

static double factor(const before_t *rule, int size, int depth)
{
    const ratios_t *ratios = &rule->depth[size][depth];
    double sorted[KEPT];
    if (!known(ratios)) ratios = &rule->depth[size][rule->latest[size]];
    if (!known(ratios)) return 1;
    uint32_t count = ratios->count - 1 < KEPT ? ratios->count - 1 : KEPT;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] > ratios->ratio[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = ratios->ratio[i];
    }
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static void time_learn(before_t *rule, const timed_t *timed, const sim_agreed_t *agreed)
{
    if (!agreed->timed || timed->model_ms == 0) return;
    ratios_t *ratios = &rule->depth[timed->size][timed->depth];
    double ratio = 1e-3 * (agreed->transfer_us + (timed->depth > 0 ? agreed->lead_us : 0.)) / timed->model_ms;
    if (ratio > 256) ratio = 256;
    if (ratio < 1. / 256) ratio = 1. / 256;
    if (ratios->count > 0) ratios->ratio[(ratios->count - 1) % KEPT] = ratio;
    ratios->count++;
}

static int depth_choose(const double *ms, double copies)
{
    double margin = .10 - .07 * (copies < .05 ? copies / .05 : 1);
    int best = 1;
    for (int d = 2; d <= SIM_DEPTHS; d++)
        if (ms[d] < ms[best]) best = d;
    return ms[best] < (1 - margin) * ms[0] ? best : 0;
}

/* Whether a call that should go deep is left alone instead, to learn what that takes. */
static bool trial_take(before_t *rule, int size, int depth)
{
    bool counts = known(&rule->depth[size][depth]), alone = known(&rule->depth[size][0]);
    if (counts || !known(&rule->depth[size][rule->latest[size]])) rule->latest[size] = depth;
    if (!counts || ++rule->since[size][depth > 0] < (depth > 0 && alone ? 256 : 16)) return false;
    rule->since[size][depth > 0] = 0;
    for (int d = 1; alone && d <= SIM_DEPTHS; d++)
        if (d != depth) rule->depth[size][d].count = 0;
    return depth > 0;
}

static int before_decide(void *state, const sim_agreed_t *agreed)
{
    before_t *rule = state;
    double ms[SIM_DEPTHS + 1];
    timed_t *timed = &rule->timed[rule->looks++ % 2];
    time_learn(rule, timed, agreed);
    timed->model_ms = 0;
    if (!agreed->able) {
        outcome_note(rule, agreed, false);
        return 0;
    }
    int size = size_of(agreed->bytes);
    for (int d = 0; d <= SIM_DEPTHS; d++) ms[d] = agreed->model_ms[d] * factor(rule, size, d);
    int depth = depth_choose(ms, agreed->copies);
    bool trial = trial_take(rule, size, depth);
    outcome_note(rule, agreed, depth > 0);
    if (trial) depth = 0;
    *timed = (timed_t){depth, size, agreed->model_ms[depth]};
    return depth;
}

const sim_rule_t rule_before = {"before", sizeof(before_t), before_init, before_expect, before_decide};
