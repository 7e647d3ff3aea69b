#include "know.h"

#include "base/log.h"
#include "base/settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define OBSERVE_FIRST 4 /* observe mode looks at the first calls, then at every OBSERVE_EVERY-th */
#define OBSERVE_EVERY 64

int know_create(hm_know_t *know, int ranks)
{
    learn_init(&know->learn);
    know->plan_memory = malloc(plan_memory(ranks) * sizeof *know->plan_memory);
    return know->plan_memory != NULL ? 0 : -ENOMEM;
}

void know_free(hm_know_t *know)
{
    free(know->plan_memory);
    know->plan_memory = NULL;
}

hm_expectation_t know_expect(hm_know_t *know)
{
    if (know->observe) {
        uint64_t seen = know->observed++;
        if (seen >= OBSERVE_FIRST && seen % OBSERVE_EVERY != 0) return (hm_expectation_t){.agree = false};
    }
    return learn_expect(&know->learn);
}

void know_note(hm_know_t *know, size_t row_bytes, size_t gcd, bool worth)
{
    learn_note(&know->learn, row_bytes, gcd, worth);
}

hm_word_t know_word(const hm_know_t *know, size_t row_bytes)
{
    return (hm_word_t){row_bytes, know->clock.lead_us, know->clock.transfer_us};
}

void know_times_take(hm_know_t *know, hm_comm_t *comm, const hm_agreement_t *agreement)
{
    const hm_timed_t *read = &know->clock.read;
    uint64_t lead_us = agreement->lead_us, transfer_us = agreement->transfer_us;
    if (!agreement->timed || !read->planned) return;
    if (read->depth == 0) lead_us = 0; /* a call left alone is predicted without what looking at it costs */
    double ms = 1e-3 * (double)(lead_us + transfer_us);
    refine_add(&know->refine, read->size, read->depth, read->model_ms, ms);
    if (read->depth > 0) {
        atomic_fetch_add(&comm->stats.timed, 1);
        atomic_fetch_add(&comm->stats.timed_us, lead_us + transfer_us);
        atomic_fetch_add(&comm->stats.timed_lead_us, lead_us);
        atomic_fetch_add(&comm->stats.timed_plan_us, stats_us(read->predicted_ms));
    }
    if (comm->rank == 0 && log_on(HM_LOG_TRACE))
        comm_say(HM_LOG_TRACE, comm, "depth %d took %.3f ms, predicted %.3f ms, unrefined %.3f ms", read->depth, ms,
                 read->predicted_ms, read->model_ms);
}

hm_plan_options_t know_plan_options(const hm_channel_t *channel)
{
    return (hm_plan_options_t){.force_depth = (int)settings_get()->depth,
                               .most_slices = channel->kernels->slices,
                               .force_slices = (int)settings_get()->slices,
                               .own_beside = channel->kernels->own_rows_beside};
}

/* Keeps what is predicted, of the call left alone and as it goes, for the statistics, and says it once for each
 * communicator. */
static void plan_note(const hm_know_t *know, hm_comm_t *comm, const hm_plan_t *plan, int levels, int depth)
{
    if (!know->profile_known || !isfinite(plan->predicted_ms[0]) || !isfinite(plan->predicted_ms[depth])) return;
    atomic_fetch_add(&comm->stats.plain_us, stats_us(plan->predicted_ms[0]));
    atomic_fetch_add(&comm->stats.plan_us, stats_us(plan->predicted_ms[depth]));
    if (atomic_fetch_add(&comm->stats.planned, 1) > 0 || comm->rank != 0 || !log_on(HM_LOG_INFO)) return;
    char text[160];
    size_t used = 0;
    for (int d = 1; d <= levels && used < sizeof text; d++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", %.3f ms at depth %d", plan->predicted_ms[d], d);
    comm_say(HM_LOG_INFO, comm, "predicted with profile %s: %.3f ms left alone%s; depth %d is planned",
             know->profile.name, plan->predicted_ms[0], text, plan->depth);
}

static hm_timed_t timed_of(const hm_plan_t *plan, int size, int depth)
{
    hm_timed_t timed = {.depth = depth, .size = size};
    if (isfinite(plan->model_ms[depth])) {
        timed.model_ms = plan->model_ms[depth];
        timed.predicted_ms = plan->predicted_ms[depth];
    }
    return timed;
}

hm_intent_t know_plan(hm_know_t *know, const hm_channel_t *channel, const hm_place_t *place, const hm_table_t *table,
                      uint64_t bytes)
{
    hm_plan_t plan;
    double factor[HM_MAX_LEVELS + 1];
    int levels = place->topo->levels, size = refine_size((double)bytes / place->topo->ranks);
    for (int d = 0; d <= levels; d++) factor[d] = refine_factor(&know->refine, size, d);
    hm_plan_options_t options = know_plan_options(channel);
    options.factor = factor;
    options.lanes = place->lanes;
    plan_choose(place->topo, know->profile_known ? &know->profile : NULL, table, &options, know->plan_memory, &plan);
    bool trial = refine_take(&know->refine, size, know->observe ? 0 : plan.depth) && options.force_depth < 0;
    plan_note(know, channel->comm, &plan, levels, trial ? 0 : plan.depth);
    return (hm_intent_t){
        .depth = plan.depth, .trial = trial, .timed = timed_of(&plan, size, know->observe || trial ? 0 : plan.depth)};
}
