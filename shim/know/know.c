#include "know.h"

#include "base/log.h"
#include "base/settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define OBSERVE_FIRST 4 /* observe mode looks at the first calls, then at every OBSERVE_EVERY-th */
#define OBSERVE_EVERY 64
#define FAR_MS 1e8 /* of a depth that cannot be had */

void know_init(hm_know_t *know)
{
    bool observe = settings_get()->mode == HM_MODE_OBSERVE; /* the policy only looks more often for it */
    policy_init(&know->policy, (hm_fixed_t){.depth = (int)settings_get()->depth, .observe = observe});
}

void know_meet(hm_know_t *know)
{
    know->observe = settings_get()->mode == HM_MODE_OBSERVE;
}

int know_create(hm_know_t *know, int ranks)
{
    know->plan_memory = malloc(plan_memory(ranks) * sizeof *know->plan_memory);
    return know->plan_memory != NULL ? 0 : -ENOMEM;
}

void know_free(hm_know_t *know)
{
    free(know->plan_memory);
    know->plan_memory = NULL;
}

/* In observe mode only some calls are looked at. */
static bool observe_skips(hm_know_t *know)
{
    uint64_t seen = know->observed++;
    return seen >= OBSERVE_FIRST && seen % OBSERVE_EVERY != 0;
}

hm_intent_t know_expect(hm_know_t *know, hm_reason_t *alone)
{
    static const hm_reason_t reason[] = {[HM_PASS_NO_GAIN] = HM_REASON_NO_GAIN_LATELY,
                                         [HM_PASS_TRIAL] = HM_REASON_TRIAL,
                                         [HM_PASS_JOB] = HM_REASON_JOB_NO_FASTER};
    *alone = HM_REASON_OBSERVE;
    if (know->observe && observe_skips(know)) return (hm_intent_t){.look = false};
    hm_intent_t intent = policy_expect(&know->policy);
    *alone = intent.look ? HM_REASON_NONE : reason[intent.pass];
    return intent;
}

hm_word_t know_word(const hm_know_t *know, size_t row_bytes)
{
    const hm_clock_t *clock = &know->clock;
    return (hm_word_t){.row_bytes = row_bytes,
                       .lead_us = clock->lead_us,
                       .transfer_us = clock->transfer_us,
                       .span_us = clock->span_us,
                       .wait_us = clock->wait_us};
}

/* Counts and says what a call took that was looked at. */
static void times_note(const hm_timed_t *read, hm_comm_t *comm, const hm_agreement_t *agreement)
{
    /* A call left alone is predicted without what looking at it costs. */
    uint64_t lead_us = read->depth > 0 ? agreement->times.lead_us : 0, us = lead_us + agreement->times.transfer_us;
    stats_time_add(&comm->stats, read->depth > 0, us);
    if (read->depth > 0) {
        atomic_fetch_add(&comm->stats.timed_lead_us, lead_us);
        atomic_fetch_add(&comm->stats.timed_plan_us, stats_us(read->predicted_ms));
    }
    if (comm->rank == 0 && log_on(HM_LOG_TRACE))
        comm_say(HM_LOG_TRACE, comm, "depth %d took %.3f ms, predicted %.3f ms, unrefined %.3f ms", read->depth,
                 1e-3 * (double)us, read->predicted_ms, read->model_ms);
}

void know_times_take(hm_know_t *know, hm_comm_t *comm, const hm_agreement_t *agreement)
{
    const hm_timed_t *read = &know->clock.read;
    hm_took_t took = {.known = agreement->times.timed, /* then this rank's clock has them, too */
                      .lead_us = agreement->times.lead_us,
                      .transfer_us = agreement->times.transfer_us,
                      .span_us = agreement->times.span_us,
                      .wait_us = agreement->times.wait_us};
    policy_time(&know->policy, &took);
    if (took.known) times_note(read, comm, agreement);
}

hm_plan_options_t know_plan_options(const hm_channel_t *channel)
{
    return (hm_plan_options_t){.force_depth = (int)settings_get()->depth,
                               .most_slices = channel->kernels->slices,
                               .force_slices = (int)settings_get()->slices,
                               .own_beside = channel->kernels->own_rows_beside};
}

/* What the policy makes of a plan: the model's times put right by what calls took. */
static double predicted_ms(const hm_know_t *know, const hm_plan_t *plan, int depth)
{
    double ms = policy_predict(&know->policy, depth);
    return ms > 0 && isfinite(plan->predicted_ms[depth]) ? ms : plan->predicted_ms[depth];
}

/* Says once for each communicator what the model alone makes of a call. */
static void plan_say(const hm_know_t *know, hm_comm_t *comm, const hm_plan_t *plan, int levels)
{
    char text[160];
    size_t used = 0;
    if (comm->rank != 0 || !log_on(HM_LOG_INFO)) return;
    for (int d = 1; d <= levels && used < sizeof text; d++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", %.3f ms at depth %d", plan->predicted_ms[d], d);
    comm_say(HM_LOG_INFO, comm, "predicted with profile %s: %.3f ms left alone%s; depth %d is planned",
             know->profile.name, plan->predicted_ms[0], text, plan->depth);
}

/* Counts what is predicted, of the call left alone and at the depth that it takes, or would take if more than observing
 * were allowed. */
static void plan_note(const hm_know_t *know, hm_comm_t *comm, const hm_plan_t *plan, int levels, int depth)
{
    double plain = predicted_ms(know, plan, 0), planned = predicted_ms(know, plan, depth);
    if (!know->profile_known || !isfinite(plain) || !isfinite(planned)) return;
    atomic_fetch_add(&comm->stats.plain_us, stats_us(plain));
    atomic_fetch_add(&comm->stats.plan_us, stats_us(planned));
    if (atomic_fetch_add(&comm->stats.planned, 1) == 0) plan_say(know, comm, plan, levels);
}

static hm_timed_t timed_of(const hm_know_t *know, const hm_plan_t *plan, int depth)
{
    hm_timed_t timed = {.depth = depth};
    if (!isfinite(plan->predicted_ms[depth])) return timed;
    timed.model_ms = plan->predicted_ms[depth];
    timed.predicted_ms = predicted_ms(know, plan, depth);
    return timed;
}

static hm_reason_t reason_of(const hm_know_t *know, int depth, int planned)
{
    if (depth > 0) return HM_REASON_NONE;
    if (know->observe) return planned > 0 ? HM_REASON_OBSERVE : HM_REASON_NO_GAIN;
    return policy_tries(&know->policy) ? HM_REASON_TRIAL : HM_REASON_NO_GAIN;
}

hm_decision_t know_decide(hm_know_t *know, const hm_channel_t *channel, const hm_place_t *place,
                          const hm_agreement_t *agreement, const hm_table_t *table)
{
    hm_plan_t plan;
    hm_outcome_t outcome = {.levels = place->topo->levels, .gcd = agreement->gcd};
    if (table == NULL) {
        policy_choose(&know->policy, &outcome);
        return (hm_decision_t){.depth = 0};
    }
    hm_plan_options_t options = know_plan_options(channel);
    options.lanes = place->lanes;
    plan_choose(place->topo, know->profile_known ? &know->profile : NULL, table, &options, know->plan_memory, &plan);
    outcome.able = true;
    outcome.row_bytes = table->row_bytes;
    outcome.bytes = (double)agreement->bytes / place->topo->ranks;
    outcome.copies = plan.copies;
    /* Counts that would allow larger rows say nothing of rows found in bytes. */
    if (agreement->row_proven) outcome.gcd = table->row_bytes;
    for (int d = 0; d <= outcome.levels; d++) outcome.model_ms[d] = plan.predicted_ms[d];
    int depth = policy_choose(&know->policy, &outcome);
    plan_note(know, channel->comm, &plan, outcome.levels, know->observe ? plan.depth : depth);
    return (hm_decision_t){.depth = depth,
                           .reason = reason_of(know, depth, plan.depth),
                           .timed = timed_of(know, &plan, depth),
                           .outcome = outcome};
}

/* The way of a dispatch takes as long in the other direction, by the model, and so long a row. */
hm_decision_t know_decide_along(hm_know_t *know, const hm_outcome_t *dispatch, int depth, size_t row_bytes)
{
    hm_outcome_t outcome = *dispatch;
    double scale = (double)row_bytes / (double)dispatch->row_bytes;
    outcome.row_bytes = outcome.gcd = row_bytes;
    outcome.bytes *= scale;
    for (int d = 0; d <= outcome.levels; d++)
        outcome.model_ms[d] = d == 0 || d == depth ? scale * outcome.model_ms[d] : FAR_MS;
    int chosen = policy_choose(&know->policy, &outcome);
    if (chosen != 0 && chosen != depth) {
        policy_refuse(&know->policy);
        chosen = 0;
    }
    hm_timed_t timed = {.depth = chosen};
    if (isfinite(outcome.model_ms[chosen])) timed.predicted_ms = timed.model_ms = outcome.model_ms[chosen];
    return (hm_decision_t){
        .depth = chosen, .reason = reason_of(know, chosen, chosen), .timed = timed, .outcome = outcome};
}

void know_refuse(hm_know_t *know, hm_reason_t reason, hm_decision_t *decision)
{
    policy_refuse(&know->policy);
    *decision = (hm_decision_t){.depth = 0, .reason = reason};
}
