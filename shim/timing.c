#include "timing.h"

#include "log.h"

#include <stdio.h>

/* Slots of one call's marks; two calls are under way at a time. */
enum { BEGIN, AGREED, END, STEPS, SLOTS = HM_MARKS / 2 };

static int slot_of(uint32_t call, int slot)
{
    return (int)(call % 2) * SLOTS + slot;
}

static uint32_t to_us(double ms)
{
    return ms <= 0 ? 0 : ms >= 4e6 ? UINT32_MAX : (uint32_t)(ms * 1e3) + 1;
}

/* A mark that could not be set leaves its call untimed. */
static void mark(hm_a2a_state_t *state, void *stream, int slot, bool *set)
{
    if (state->kernels->mark(state->context, stream, slot_of(state->timing.calls, slot)) != 0) *set = false;
}

static bool span(const hm_a2a_state_t *state, uint32_t call, int from, int to, double *ms)
{
    return state->kernels->span(state->context, slot_of(call, from), slot_of(call, to), ms) == 0;
}

/* Says, part by part, how a transfer went on this rank. */
static void steps_say(const hm_comm_t *comm, const hm_a2a_state_t *state, uint32_t call, double lead, double transfer)
{
    const hm_timed_t *timed = &state->timing.read;
    char text[SLOTS * 12];
    size_t used = 0;
    double ms;
    text[0] = '\0';
    for (int i = 0; i < timed->steps && used < sizeof text; i++)
        if (span(state, call, i == 0 ? AGREED : STEPS + i - 1, STEPS + i, &ms))
            used += (size_t)snprintf(text + used, sizeof text - used, " %.3f", ms);
    log_say(HM_LOG_TRACE, comm, "call %u, depth %d: %.3f ms until agreed, %.3f ms transfer:%s", (unsigned)call - 2,
            timed->depth, lead, transfer, text);
}

/* Reads what the call before the last took. */
static void timed_read(const hm_comm_t *comm, hm_a2a_state_t *state, uint32_t call)
{
    hm_times_t *timing = &state->timing;
    double lead, transfer;
    timing->lead_us = timing->transfer_us = 0;
    timing->read = timing->timed[call % 2];
    timing->timed[call % 2].planned = false;
    if (!timing->read.planned || !timing->read.marked) return;
    if (!span(state, call, BEGIN, AGREED, &lead) || !span(state, call, AGREED, END, &transfer)) return;
    timing->lead_us = to_us(lead);
    timing->transfer_us = to_us(transfer);
    if (log_on(HM_LOG_TRACE)) steps_say(comm, state, call, lead, transfer);
}

void timing_begin(const hm_comm_t *comm, hm_a2a_state_t *state)
{
    hm_times_t *timing = &state->timing;
    timing->calls++;
    timed_read(comm, state, timing->calls);
    timing->timed[timing->calls % 2] = (hm_timed_t){.marked = true};
}

void timing_joined(hm_a2a_state_t *state, void *stream)
{
    hm_timed_t *timed = &state->timing.timed[state->timing.calls % 2];
    if (timed->begun) return;
    timed->begun = true;
    mark(state, stream, BEGIN, &timed->marked);
}

void timing_agreed(hm_a2a_state_t *state, void *stream)
{
    mark(state, stream, AGREED, &state->timing.timed[state->timing.calls % 2].marked);
}

void timing_step(hm_a2a_state_t *state, void *stream)
{
    hm_timed_t *timed = &state->timing.timed[state->timing.calls % 2];
    if (!log_on(HM_LOG_TRACE) || STEPS + timed->steps >= SLOTS) return;
    mark(state, stream, STEPS + timed->steps++, &timed->marked);
}

void timing_plan(hm_a2a_state_t *state, const hm_timed_t *planned)
{
    hm_timed_t *timed = &state->timing.timed[state->timing.calls % 2];
    timed->depth = planned->depth;
    timed->size = planned->size;
    timed->model_ms = planned->model_ms;
    timed->predicted_ms = planned->predicted_ms;
}

void timing_end(hm_a2a_state_t *state, void *stream)
{
    hm_timed_t *timed = &state->timing.timed[state->timing.calls % 2];
    mark(state, stream, END, &timed->marked);
    timed->planned = true;
}

void timing_learn(hm_comm_t *comm, hm_a2a_state_t *state, bool known, uint32_t lead_us, uint32_t transfer_us)
{
    const hm_timed_t *read = &state->timing.read;
    if (!known || !read->planned) return;
    if (read->depth == 0) lead_us = 0; /* a call left alone is predicted without what looking at it costs */
    double ms = 1e-3 * ((double)lead_us + (double)transfer_us);
    refine_add(&state->refine, read->size, read->depth, read->model_ms, ms);
    if (read->depth > 0) {
        atomic_fetch_add(&comm->stats.timed, 1);
        atomic_fetch_add(&comm->stats.timed_us, (uint64_t)lead_us + transfer_us);
        atomic_fetch_add(&comm->stats.timed_lead_us, lead_us);
        atomic_fetch_add(&comm->stats.timed_plan_us, stats_us(read->predicted_ms));
    }
    if (comm->rank == 0 && log_on(HM_LOG_TRACE))
        log_say(HM_LOG_TRACE, comm, "depth %d took %.3f ms, predicted %.3f ms, unrefined %.3f ms", read->depth, ms,
                read->predicted_ms, read->model_ms);
}
