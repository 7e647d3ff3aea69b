#include "policy.h"

#include <string.h>

#define BARRED 4096 /* calls for which a depth that could not be had is not asked for */
#define SAFE 2      /* times what a look can cost must be gained: what plain takes is known from few calls */

void policy_init(hm_policy_t *policy, hm_fixed_t fixed)
{
    memset(policy, 0, sizeof *policy);
    policy->fixed = fixed;
    if (fixed.observe) policy->fixed.depth = 0;
    policy->gain_ms = -1;
    trial_init(&policy->trial);
}

/* The look that policy_choose came for last: it is counted already. */
static int look_last(const hm_policy_t *policy)
{
    return (int)((policy->looks.count + 1) % 2);
}

static bool fixed(const hm_policy_t *policy)
{
    return policy->fixed.depth >= 0;
}

/* Whether looking at a call of this kind may bring something. */
static bool worth(const hm_policy_t *policy, const hm_call_kind_t *kind)
{
    return fixed(policy) ? kind->able && policy->fixed.depth > 0 : kind_worth(kind, policy->tape.calls);
}

static hm_prospect_t prospect_of(const hm_policy_t *policy)
{
    hm_prospect_t prospect = {.known = policy->expected > 0, .gain_ms = policy->gain_ms};
    if (policy->expected == 0) return prospect;
    const hm_call_kind_t *kind = &policy->kind[policy->expected - 1];
    prospect.yes = worth(policy, kind);
    if (prospect.yes) prospect.gain_ms = kind->arms.best > 0 ? arms_gain(&kind->arms) : -1;
    return prospect;
}

/* Who settles a depth wants it for all calls that can have it, and who observes has chosen the calls to look at. */
static bool fixed_want(const hm_policy_t *policy, const hm_prospect_t *prospect)
{
    if (policy->fixed.observe) return true;
    return policy->fixed.depth > 0 && (!prospect->known || prospect->yes || !looks_come_true(&policy->looks));
}

hm_intent_t policy_expect(hm_policy_t *policy)
{
    if (policy->looking) { /* no agreement was held on the last call */
        tape_append(&policy->tape, (uint8_t)policy->expected, false);
        trial_abort(&policy->trial);
    }
    policy->expected = tape_next(&policy->tape);
    hm_prospect_t prospect = prospect_of(policy);
    bool look = looks_want(&policy->looks, &prospect, policy->tape.calls) || fixed_want(policy, &prospect);
    hm_want_t want = trial_want(&policy->trial, &policy->tape, policy->doubt);
    policy->looking = want == HM_WANT_LOOK || (want == HM_WANT_ANY && look);
    if (!policy->looking) {
        tape_append(&policy->tape, (uint8_t)policy->expected, false);
        trial_note(&policy->trial, &policy->tape);
        hm_pass_t why = policy->trial.stage == HM_STAGE_ALONE ? HM_PASS_TRIAL : HM_PASS_JOB;
        return (hm_intent_t){.look = false, .pass = look ? why : HM_PASS_NO_GAIN};
    }
    size_t row_bytes = policy->expected > 0 ? policy->kind[policy->expected - 1].row_bytes : 0;
    return (hm_intent_t){.look = true, .row_bytes = row_bytes > 0 ? row_bytes : policy->row_bytes};
}

void policy_time(hm_policy_t *policy, const hm_took_t *took)
{
    hm_look_t *look = &policy->look[policy->looks.count % 2];
    double transfer_ms = 1e-3 * took->transfer_us;
    trial_clock(&policy->trial, 1e-3 * took->span_us, policy->tape.calls);
    looks_wait(&policy->looks, 1e-3 * took->wait_us);
    if (!took->known || took->transfer_us == 0 || !look->able) return;
    looks_time(&policy->looks, 1e-3 * took->lead_us, transfer_ms);
    if (look->kind > 0) arms_add(&policy->kind[look->kind - 1].arms, look->depth, transfer_ms / look->model_ms);
}

/* The model's times; where it has none, times in proportion to the bytes: only ratios count. */
static void model_fill(const hm_outcome_t *outcome, double *ms)
{
    bool modelled = true;
    for (int d = 0; d <= outcome->levels; d++) {
        ms[d] = outcome->model_ms[d];
        modelled = modelled && ms[d] > 0 && ms[d] < 1e9;
    }
    for (int d = 0; !modelled && d <= outcome->levels; d++) ms[d] = 1e-6 * outcome->bytes + 1e-3;
}

/* Whether depths are to be tried at all: where rows repeat, or where the model promises much without that. */
static bool depths_promise(const hm_call_kind_t *kind, const hm_outcome_t *outcome, const double *ms)
{
    if (kind->arms.tried || outcome->copies >= HM_KIND_COPIES) return true;
    for (int d = 1; d <= outcome->levels; d++)
        if (ms[d] < (1 - HM_KIND_NO_COPIES) * ms[0]) return true;
    return false;
}

/* Whether calls of a kind may lose more than they gain: a look holds the host up, and the job is delayed by that at
 * most. */
static hm_doubt_t kind_doubt(const hm_policy_t *policy, const hm_arms_t *arms)
{
    const hm_looks_t *looks = &policy->looks;
    if (!arms->sure) return HM_DOUBT_OPEN;
    double gain = arms_gain(arms) + looks->lead_ms; /* the host waits for that as well */
    return looks->wait.kept > 0 && gain > SAFE * looks->wait_ms ? HM_DOUBT_NONE : HM_DOUBT_SOME;
}

/* What all kinds say together: the most that one gains, and whether one that is replaced is in doubt. */
static void kinds_sum_up(hm_policy_t *policy)
{
    int kinds[HM_DOUBT_SOME + 1] = {0};
    policy->gain_ms = -1;
    for (int k = 0; k < HM_KINDS; k++) {
        const hm_call_kind_t *kind = &policy->kind[k];
        if (!kind->used || !worth(policy, kind)) continue;
        double gain = arms_gain(&kind->arms);
        if (gain < 0) gain = policy->looks.unit_ms / 2;
        if (gain > policy->gain_ms) policy->gain_ms = gain;
        if (kind->arms.best == 0 && kind->arms.sure) continue;
        kinds[kind_doubt(policy, &kind->arms)]++;
    }
    policy->doubt = kinds[HM_DOUBT_SOME] > 0                                ? HM_DOUBT_SOME
                    : kinds[HM_DOUBT_OPEN] == 0 && kinds[HM_DOUBT_NONE] > 0 ? HM_DOUBT_NONE
                                                                            : HM_DOUBT_OPEN;
}

/* Decides about a call that may go deep. */
static int depth_choose(hm_policy_t *policy, hm_call_kind_t *kind, const hm_outcome_t *outcome, hm_look_t *look)
{
    double ms[HM_MAX_LEVELS + 1];
    hm_arms_call_t call = {.levels = outcome->levels,
                           .number = policy->tape.calls,
                           .model_ms = ms,
                           .lead_ms = policy->looks.lead_ms,
                           .unit_ms = policy->looks.unit_ms};
    model_fill(outcome, ms);
    policy->row_bytes = kind->row_bytes;
    look->plain_model_ms = look->model_ms = ms[0];
    if (!fixed(policy) && !depths_promise(kind, outcome, ms)) return 0;
    look->kind = (int)(kind - policy->kind) + 1;
    look->depth = fixed(policy) ? arms_force(&kind->arms, policy->fixed.depth, &call) : arms_choose(&kind->arms, &call);
    look->trial = !fixed(policy) && look->depth == 0 && (!kind->arms.sure || kind->arms.best > 0);
    look->model_ms = ms[look->depth];
    look->gain_ms = kind->arms.arm[0].cost_ms - kind->arms.arm[look->depth].cost_ms;
    return look->depth;
}

static void kind_lose(hm_policy_t *policy, int lost)
{
    tape_forget(&policy->tape, (uint8_t)lost);
    for (int i = 0; i < 2; i++)
        if (policy->look[i].kind == lost) policy->look[i].kind = 0;
    if (policy->expected == lost) policy->expected = 0;
}

int policy_choose(hm_policy_t *policy, const hm_outcome_t *agreed)
{
    hm_outcome_t outcome = *agreed;
    outcome.able = agreed->able && agreed->row_bytes > 0 && agreed->bytes > 0;
    int lost, symbol = kind_find(policy->kind, policy->expected, &outcome, policy->tape.calls, &lost);
    hm_call_kind_t *kind = &policy->kind[symbol - 1];
    hm_look_t *look = &policy->look[policy->looks.count % 2];
    if (lost > 0) kind_lose(policy, lost);
    *look = (hm_look_t){.able = outcome.able};
    int depth = outcome.able ? depth_choose(policy, kind, &outcome, look) : 0;
    trial_gain(&policy->trial, depth > 0 ? look->gain_ms : -policy->looks.lead_ms);
    kinds_sum_up(policy);
    hm_seen_t seen = {outcome.able, symbol == policy->expected, worth(policy, kind), policy->gain_ms >= 0};
    looks_note(&policy->looks, seen, policy->tape.calls);
    tape_append(&policy->tape, (uint8_t)symbol, true);
    trial_note(&policy->trial, &policy->tape);
    policy->looking = false;
    return depth;
}

bool policy_tries(const hm_policy_t *policy)
{
    return policy->look[look_last(policy)].trial;
}

void policy_refuse(hm_policy_t *policy)
{
    hm_look_t *look = &policy->look[look_last(policy)];
    if (look->kind == 0 || look->depth == 0) return;
    arms_bar(&policy->kind[look->kind - 1].arms, look->depth, policy->tape.calls + BARRED);
    trial_gain(&policy->trial, -look->gain_ms - policy->looks.lead_ms);
    look->depth = 0;
    look->model_ms = look->plain_model_ms;
}

double policy_predict(const hm_policy_t *policy, int depth)
{
    const hm_look_t *look = &policy->look[look_last(policy)];
    return look->kind > 0 ? arms_predict(&policy->kind[look->kind - 1].arms, depth) : 0;
}
