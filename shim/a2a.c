#include "agree.h"
#include "exec.h"
#include "hello.h"
#include "timing.h"
#include "window.h"

#include "log.h"
#include "settings.h"

#include "../planner/plan.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROW_BYTES_MIN 32 /* smaller rows: the map costs as much as the copies */
#define OBSERVE_FIRST 4  /* observe mode looks at the first calls, then at every OBSERVE_EVERY-th */
#define OBSERVE_EVERY 64
#define SCRATCH_STEP ((size_t)1 << 20)

/* What one pass over the agreed table says. */
typedef struct verdict {
    hm_reason_t reason; /* HM_REASON_NONE: carry it out */
    int depth;
    size_t width;     /* bytes of a piece of a row */
    size_t need;      /* scratch on the rank that needs most */
    hm_timed_t timed; /* what is predicted, for when its time is known */
} verdict_t;

static hm_plan_options_t plan_options(const hm_a2a_state_t *state)
{
    return (hm_plan_options_t){.force_depth = (int)settings_get()->depth,
                               .most_slices = state->kernels->slices,
                               .force_slices = (int)settings_get()->slices,
                               .own_beside = state->kernels->own_rows_beside};
}

/* The width that makes so many pieces, or a few less: a multiple of 16 bytes where rows are. */
static size_t width_of(size_t row_bytes, size_t pieces)
{
    size_t width = ((row_bytes + pieces - 1) / pieces + 15) / 16 * 16;
    return width < row_bytes ? width : row_bytes;
}

/* Bytes that count against the cap beside new scratch. */
static size_t scratch_kept(const hm_a2a_state_t *state)
{
    return state->kept + (state->scratch_shared ? state->capacity : 0);
}

/* The most scratch that a call can have: what is there, or what may still be made. */
static size_t scratch_most(const hm_a2a_state_t *state)
{
    size_t cap = settings_get()->max_scratch, kept = scratch_kept(state), more = kept < cap ? cap - kept : 0;
    return more > state->capacity ? more : state->capacity;
}

/* The widest pieces that keep scratch under the cap on every rank; 0 if not even 16 bytes of a row do. */
static size_t width_choose(hm_a2a_state_t *state, int depth, size_t *need)
{
    hm_paths_t *const *paths = state->paths[depth];
    size_t cap = scratch_most(state), row_bytes = state->table.row_bytes, lanes = (size_t)state_lanes(state, depth);
    hm_plan_options_t options = plan_options(state);
    size_t wanted = width_of(row_bytes, lanes * (size_t)plan_slices(state->topo, &state->table, depth, &options));
    *need = layout_need(paths, &state->table, state->distinct, wanted, state->work);
    if (*need <= cap) return wanted;
    *need = layout_need(paths, &state->table, state->distinct, row_bytes, state->work);
    size_t fixed = layout_need(paths, &state->table, state->distinct, 0, state->work);
    if (fixed >= cap) return 0;
    size_t width = (size_t)((double)row_bytes * (double)(cap - fixed) / (double)(*need - fixed)) / 16 * 16;
    if (width == 0) return 0;
    width = width_of(row_bytes, (row_bytes + width - 1) / width);
    *need = layout_need(paths, &state->table, state->distinct, width, state->work);
    return *need <= cap ? width : 0;
}

/* Keeps what is predicted, of the call left alone and as it goes, for the statistics, and says it once for each
 * communicator. */
static void plan_note(hm_comm_t *comm, const hm_a2a_state_t *state, const hm_plan_t *plan, int depth)
{
    if (!state->profile_known || !isfinite(plan->predicted_ms[0]) || !isfinite(plan->predicted_ms[depth])) return;
    atomic_fetch_add(&comm->stats.plain_us, stats_us(plan->predicted_ms[0]));
    atomic_fetch_add(&comm->stats.plan_us, stats_us(plan->predicted_ms[depth]));
    if (atomic_fetch_add(&comm->stats.planned, 1) > 0 || comm->rank != 0 || !log_on(HM_LOG_INFO)) return;
    char text[160];
    size_t used = 0;
    for (int d = 1; d <= state->topo->levels && used < sizeof text; d++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", %.3f ms at depth %d", plan->predicted_ms[d], d);
    log_say(HM_LOG_INFO, comm, "predicted with profile %s: %.3f ms left alone%s; depth %d is planned",
            state->profile.name, plan->predicted_ms[0], text, plan->depth);
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

/* Judges an agreed table. Alike on all ranks. */
static verdict_t table_plan(hm_comm_t *comm, hm_a2a_state_t *state, const hm_agreement_t *agreement)
{
    hm_plan_t plan;
    double factor[HM_MAX_LEVELS + 1];
    verdict_t verdict = {.reason = agreement->reason};
    timing_learn(comm, state, agreement->timed, agreement->lead_us, agreement->transfer_us);
    if (!agreement->able) return verdict;
    verdict.reason = HM_REASON_TOO_SMALL;
    if (agreement->bytes / (uint64_t)state->topo->ranks < settings_get()->min_bytes) return verdict;
    verdict.reason = HM_REASON_ROWS_TOO_SMALL;
    if (state->table.row_bytes < ROW_BYTES_MIN) return verdict;
    int size = refine_size((double)agreement->bytes / state->topo->ranks);
    for (int d = 0; d <= state->topo->levels; d++) factor[d] = refine_factor(&state->refine, size, d);
    hm_plan_options_t options = plan_options(state);
    options.factor = factor;
    plan_choose(state->topo, state->profile_known ? &state->profile : NULL, &state->table, &options, state->plan_memory,
                &plan);
    bool trial = refine_take(&state->refine, size, state->observe ? 0 : plan.depth) && options.force_depth < 0;
    plan_note(comm, state, &plan, trial ? 0 : plan.depth);
    verdict.timed = timed_of(&plan, size, state->observe || trial ? 0 : plan.depth);
    verdict.reason = trial ? HM_REASON_TRIAL : HM_REASON_NO_GAIN;
    if (trial || plan.depth == 0) return verdict;
    verdict.depth = plan.depth;
    verdict.reason = HM_REASON_NONE;
    return verdict;
}

/* Makes the route of a depth on all ranks, once. *ready: all have it. 0, or the communicator is lost. */
static int route_prepare(const hm_call_t *call, hm_a2a_state_t *state, int depth, bool *ready)
{
    *ready = state->route_ready[depth];
    if (*ready) return 0;
    bool mine = state_route_prepare(state, call->comm, depth) == 0;
    int status = agree_all(call, state, mine, ready);
    if (status == 0) state->route_ready[depth] = *ready;
    return status;
}

/* New scratch that only its rank reads. What near ranks could read is kept, and counts. */
static int scratch_grow(const hm_call_t *call, hm_a2a_state_t *state, size_t need, size_t capacity, bool *ready)
{
    void *memory = NULL;
    size_t kept = scratch_kept(state), cap = settings_get()->max_scratch;
    *ready = false;
    state->refused = capacity;
    if (capacity + kept > cap) capacity = kept < cap ? cap - kept : 0;
    if (capacity < need) return 0;
    bool spare = state->spare != NULL && state->spare_bytes >= capacity; /* it could not be freed anyway */
    bool mine = spare || state_scratch_alloc(state, capacity, &memory) == 0;
    int status = agree_all(call, state, mine, ready);
    if (status != 0 || !*ready) {
        state->kernels->free(state->context, memory);
        return status;
    }
    if (!state->scratch_stays) state->kernels->free(state->context, state->scratch);
    state->scratch = spare ? state->spare : memory;
    if (spare) state->spare = NULL;
    state->scratch_stays = spare;
    state->scratch_shared = false;
    state->windows = HM_WINDOWS_OFF;
    state->capacity = capacity;
    state->kept = kept;
    state->refused = 0;
    return 0;
}

/* Gives the scratch of all ranks room for `need` bytes, or leaves it as it is where one cannot. Same results. */
static int scratch_prepare(const hm_call_t *call, hm_a2a_state_t *state, size_t need, bool *ready)
{
    size_t capacity = (need + need / 4) / SCRATCH_STEP * SCRATCH_STEP + SCRATCH_STEP, cap = scratch_most(state);
    if (capacity > cap) capacity = cap; /* need is not above it */
    *ready = need <= state->capacity;
    if (*ready || (state->refused != 0 && capacity >= state->refused)) return 0;
    int status = window_scratch_prepare(call, state, capacity, ready);
    return status != 0 || *ready ? status : scratch_grow(call, state, need, capacity, ready);
}

/* Makes sure that every rank has the route, the job memory and the scratch for a verdict: what a rank lacks, it says in
 * one more agreement, which all ranks hold because all see that it is due. 0, or the communicator is lost. */
static int verdict_prepare(const hm_call_t *call, hm_a2a_state_t *state, verdict_t *verdict)
{
    bool ready;
    int status = route_prepare(call, state, verdict->depth, &ready);
    verdict->reason = HM_REASON_NO_MEMORY;
    if (status != 0 || !ready) return status;
    verdict->width = width_choose(state, verdict->depth, &verdict->need);
    verdict->reason = HM_REASON_SCRATCH_CAP;
    if (verdict->width == 0) return 0;
    status = scratch_prepare(call, state, verdict->need, &ready);
    verdict->reason = ready ? HM_REASON_NONE : HM_REASON_NO_MEMORY;
    return status;
}

static void communicator_lose(const hm_call_t *call, const hm_a2a_state_t *state, int status)
{
    comm_fail(call->comm, state_result(status));
    if (status == -ECANCELED) return;
    log_say(HM_LOG_WARN, call->comm, "agreement %u did not come about: %s", state->sequence,
            status == -ETIMEDOUT ? "a rank stayed away for HIERMOE_TIMEOUT" : "the exchange failed");
}

/* Finds out the row size and holds the agreement with it: two rounds where the expected size does not fit. */
static int call_agree(const hm_call_t *call, hm_a2a_state_t *state, size_t row_bytes, hm_identity_t *identity,
                      hm_agreement_t *agreement)
{
    size_t fixed = settings_get()->row_bytes;
    if (fixed != 0) row_bytes = fixed;
    /* Rows that will be refused are not looked at: that takes memory for each of them. */
    if (row_bytes < ROW_BYTES_MIN) row_bytes = 0;
    for (int round = 0; round < 2; round++) {
        int status = agree_table(call, state, row_bytes, identity, agreement);
        if (status != 0 || !agreement->able || agreement->row_fits) return status;
        if (fixed != 0 || agreement->gcd == 0) break;
        row_bytes = agreement->gcd;
        if (row_bytes < ROW_BYTES_MIN) break;
    }
    if (agreement->row_fits) return 0;
    agreement->able = false;
    agreement->reason = agreement->gcd == 0                            ? HM_REASON_TOO_SMALL
                        : fixed >= ROW_BYTES_MIN                       ? HM_REASON_ROW_BYTES_MISFIT
                        : fixed != 0 || agreement->gcd < ROW_BYTES_MIN ? HM_REASON_ROWS_TOO_SMALL
                                                                       : HM_REASON_CALLS_DIFFER;
    return 0;
}

static void replaced_count(hm_comm_t *comm, const hm_a2a_state_t *state, const verdict_t *verdict)
{
    const uint32_t *raw = state->table.raw + (size_t)comm->rank * (size_t)comm->ranks;
    uint64_t rows = 0;
    for (int r = 0; r < comm->ranks; r++)
        if (r != comm->rank) rows += raw[r];
    atomic_fetch_add(&comm->stats.replaced, 1);
    atomic_fetch_add(&comm->stats.depth[verdict->depth], 1);
    atomic_fetch_add(&comm->stats.bytes_raw, rows * state->table.row_bytes);
}

/* Counts the copies among the rows that were looked at, whatever becomes of the call. */
static void rows_count(hm_comm_t *comm, const hm_a2a_state_t *state)
{
    const uint32_t *raw = state->table.raw + (size_t)comm->rank * (size_t)comm->ranks;
    uint64_t rows = 0;
    for (int r = 0; r < comm->ranks; r++) rows += raw[r];
    atomic_fetch_add(&comm->stats.rows, rows);
    atomic_fetch_add(&comm->stats.distinct, state->distinct[comm->rank]);
}

/* Agrees, plans, and carries the call out or leaves it alone. */
static hm_answer_t call_replace(const hm_call_t *call, hm_a2a_state_t *state, size_t row_bytes, ncclResult_t *result)
{
    hm_identity_t identity;
    hm_agreement_t agreement;
    verdict_t verdict = {.reason = HM_REASON_NONE};
    timing_begin(call->comm, state);
    int status = call_agree(call, state, row_bytes, &identity, &agreement);
    atomic_fetch_add(&call->comm->stats.agreements, 1);
    if (status == 0) verdict = table_plan(call->comm, state, &agreement);
    bool worth = status == 0 && (verdict.reason == HM_REASON_NONE || verdict.reason == HM_REASON_TRIAL);
    if (status == 0 && agreement.able) rows_count(call->comm, state);
    if (status == 0 && agreement.gcd != 0)
        learn_note(&state->learn, agreement.able ? state->table.row_bytes : 0, agreement.gcd, worth);
    if (worth && state->observe) verdict.reason = HM_REASON_OBSERVE;
    if (status == 0 && verdict.reason == HM_REASON_NONE) status = verdict_prepare(call, state, &verdict);
    if (status != 0) {
        communicator_lose(call, state, status);
        *result = comm_failure(call->comm);
        return HM_ANSWER_DONE;
    }
    timing_agreed(state, call->stream);
    timing_plan(state, &verdict.timed);
    if (verdict.reason != HM_REASON_NONE) {
        stats_leave(call->comm, verdict.reason);
        bool tell = verdict.reason == HM_REASON_NO_GAIN || verdict.reason == HM_REASON_OBSERVE ||
                    verdict.reason == HM_REASON_TRIAL;
        return tell ? HM_ANSWER_LEAVE_AND_TELL : HM_ANSWER_LEAVE;
    }
    *result = exec_run(call, state, verdict.depth, verdict.width, &identity);
    timing_end(state, call->stream);
    if (*result == ncclSuccess) {
        replaced_count(call->comm, state, &verdict);
    } else {
        /* Some ranks' messages may be on their way already: no later call can be matched any more. */
        comm_fail(call->comm, *result);
        if (!atomic_load(&call->comm->cancelled))
            log_say(HM_LOG_WARN, call->comm, "a replaced call could not be enqueued: NCCL result %d", (int)*result);
    }
    return HM_ANSWER_DONE;
}

/* Whether this call is to be agreed on at all: in observe mode only now and then. */
static hm_expectation_t call_expect(hm_a2a_state_t *state)
{
    if (state->observe) {
        uint64_t seen = state->observed++;
        if (seen >= OBSERVE_FIRST && seen % OBSERVE_EVERY != 0) return (hm_expectation_t){.agree = false};
    }
    return learn_expect(&state->learn);
}

/* Whether the communicator's fate says what becomes of every call: then *answer and, where it is DONE, *result. */
static bool fate_settles(hm_comm_t *comm, hm_answer_t *answer, ncclResult_t *result)
{
    hm_reason_t closed = comm_closed(comm);
    ncclResult_t failure = comm_failure(comm);
    if (closed != HM_REASON_NONE) stats_leave(comm, closed);
    if (failure != ncclSuccess) *result = failure;
    *answer = failure != ncclSuccess ? HM_ANSWER_DONE : HM_ANSWER_LEAVE;
    return closed != HM_REASON_NONE || failure != ncclSuccess;
}

/* With the state's lock held. What past calls teach comes first: it costs next to nothing, asking the driver does. */
static hm_answer_t call_run(const hm_call_t *call, hm_a2a_state_t *state, ncclResult_t *result)
{
    hm_answer_t answer;
    if (fate_settles(call->comm, &answer, result)) return answer; /* another thread's call may have settled it */
    hm_expectation_t expectation = call_expect(state);
    if (!expectation.agree) {
        stats_leave(call->comm, state->observe ? HM_REASON_OBSERVE : HM_REASON_NO_COPIES);
        return HM_ANSWER_LEAVE;
    }
    if (state->kernels->capturing(state->context, call->stream)) {
        stats_leave(call->comm, HM_REASON_CAPTURING);
        return HM_ANSWER_LEAVE;
    }
    if (!state->met) hello_run(call, state);
    if (fate_settles(call->comm, &answer, result)) return answer;
    return call_replace(call, state, expectation.row_bytes, result);
}

void a2a_replayed(hm_comm_t *comm, cudaStream_t stream)
{
    hm_a2a_state_t *state = comm->a2a;
    if (state == NULL) return;
    pthread_mutex_lock(&state->lock);
    if (comm->fate == 0) timing_end(state, stream);
    pthread_mutex_unlock(&state->lock);
}

/* A rank without the state closes the communicator where all ranks lack it, and otherwise fails: the other ranks are
 * about to agree, and a call of plain NCCL would be matched with their words. */
static void state_lack(hm_comm_t *comm, hm_reason_t reason)
{
    if (reason != HM_REASON_NO_MEMORY) {
        comm_close(comm, reason);
        return;
    }
    log_say(HM_LOG_WARN, comm, "this rank cannot take part in the agreement: this call and later ones fail");
    comm_fail(comm, ncclSystemError);
}

hm_answer_t a2a_run(const hm_call_t *call, ncclResult_t *result)
{
    hm_reason_t reason;
    hm_answer_t answer;
    hm_comm_t *comm = call->comm;
    if (fate_settles(comm, &answer, result)) return answer;
    if (comm->a2a == NULL && state_create(comm, &reason) == NULL) {
        state_lack(comm, reason);
        fate_settles(comm, &answer, result);
        return answer;
    }
    pthread_mutex_lock(&comm->a2a->lock);
    answer = call_run(call, comm->a2a, result);
    pthread_mutex_unlock(&comm->a2a->lock);
    return answer;
}
