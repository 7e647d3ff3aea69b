/* The way of one all-to-all behind the door: README.md draws it. */
#include "door/call.h"

#include "base/log.h"
#include "base/settings.h"
#include "carry/exec.h"
#include "carry/prepare.h"
#include "guided.h"
#include "meet/meet.h"
#include "state.h"

#include <errno.h>

/* What is to become of a call. */
typedef struct verdict {
    hm_reason_t reason; /* HM_REASON_NONE: carry it out */
    bool decided;       /* the call could be replaced: what it takes is worth knowing */
    hm_decision_t decision;
    hm_agreement_t agreement;
} verdict_t;

/* Why an agreed call cannot be replaced, whatever it would gain; NONE: it can. */
static hm_reason_t table_reason(const hm_parts_t *parts, const hm_agreement_t *agreement)
{
    if (!agreement->able || agreement->heard == HM_HEARD_ALONG) return agreement->reason;
    if (agreement->bytes / (uint64_t)parts->place.topo->ranks < settings_get()->min_bytes) return HM_REASON_TOO_SMALL;
    return parts->agree.ballot.table.row_bytes < HM_ROW_BYTES_MIN ? HM_REASON_ROWS_TOO_SMALL : HM_REASON_NONE;
}

/* Judges an agreed table. Alike on all ranks. */
static void table_judge(hm_parts_t *parts, const hm_guided_t *guided, verdict_t *verdict)
{
    const hm_agreement_t *agreement = &verdict->agreement;
    verdict->reason = table_reason(parts, agreement);
    verdict->decided = verdict->reason == HM_REASON_NONE;
    const hm_table_t *table = verdict->decided ? &parts->agree.ballot.table : NULL;
    verdict->decision = agreement->heard == HM_HEARD_ALONG
                            ? guided_decide(guided, parts)
                            : know_decide(&parts->know, &parts->channel, &parts->place, agreement, table);
    if (verdict->decided) verdict->reason = verdict->decision.reason;
}

/* Counts the copies among the rows that were looked at, whatever becomes of the call. */
static void rows_note(hm_comm_t *comm, const hm_ballot_t *ballot)
{
    const uint32_t *raw = ballot->table.raw + (size_t)comm->rank * (size_t)comm->ranks;
    uint64_t all = 0;
    for (int r = 0; r < comm->ranks; r++) all += raw[r];
    atomic_fetch_add(&comm->stats.rows, all);
    atomic_fetch_add(&comm->stats.distinct, ballot->distinct[comm->rank]);
}

static void replaced_note(hm_comm_t *comm, const hm_load_t *load)
{
    const hm_table_t *table = load->table;
    const uint32_t *raw = table->raw + (size_t)comm->rank * (size_t)comm->ranks;
    atomic_fetch_add(&comm->stats.replaced, 1);
    atomic_fetch_add(&comm->stats.depth[load->depth], 1);
    for (int r = 0; r < comm->ranks; r++)
        if (r != comm->rank)
            stats_raw_add(&comm->stats, &comm->seat, place_node(load->place, r), (uint64_t)raw[r] * table->row_bytes);
}

/* Steps 3 to 5: equal rows, the agreement on them, and what is planned. 0, or the communicator is lost. */
static int call_agree(const hm_call_t *call, hm_parts_t *parts, size_t row_bytes, hm_guided_t *guided,
                      verdict_t *verdict)
{
    hm_know_t *know = &parts->know;
    hm_channel_t *channel = &parts->channel;
    const hm_agreement_t *agreement = &verdict->agreement;
    hm_word_t word = know_word(know, row_bytes);
    word.said = guided != NULL ? &guided->said : NULL;
    int status = channel->kernels->join(channel->context, channel->stream);
    if (status == 0) clock_joined(&know->clock, channel);
    if (status == 0) status = agree_run(&parts->agree, channel, &parts->place, call, &word, &verdict->agreement);
    atomic_fetch_add(&call->comm->stats.agreements, 1);
    if (status != 0) return status;
    bool held = !agreement->able && agreement->reason == HM_REASON_STREAM_HELD;
    hold_note(&know->hold, held);
    if (held) { /* on all ranks: nobody looked at the call after all */
        clock_drop(&know->clock);
        verdict->reason = HM_REASON_STREAM_HELD;
        return 0;
    }
    clock_table(&know->clock);
    know_times_take(know, call->comm, agreement);
    guided_note(guided, parts, agreement);
    table_judge(parts, guided, verdict);
    if (agreement->able && agreement->heard != HM_HEARD_ALONG) rows_note(call->comm, &parts->agree.ballot);
    return 0;
}

/* An agreement or a vote did not come about: what the ranks do next is not known to each other. */
static ncclResult_t communicator_lose(hm_parts_t *parts, int status)
{
    hm_comm_t *comm = parts->channel.comm;
    comm_fail(comm, channel_result(status));
    const char *why = status == -ETIMEDOUT ? "another rank stayed away for HIERMOE_TIMEOUT"
                      : status == -EBUSY   ? "this rank's stream was held back by the job for HIERMOE_TIMEOUT"
                                           : "the exchange failed";
    if (status != -ECANCELED)
        comm_say(HM_LOG_WARN, comm, "agreement %u did not come about: %s", parts->agree.ballot.sequence, why);
    return comm_failure(comm);
}

/* Step 6. */
static ncclResult_t call_carry(const hm_load_t *load, hm_parts_t *parts)
{
    hm_comm_t *comm = parts->channel.comm;
    ncclResult_t result = exec_run(load, &parts->carry, &parts->channel, &parts->know.clock);
    clock_end(&parts->know.clock, &parts->channel);
    if (result == ncclSuccess) {
        replaced_note(comm, load);
        return result;
    }
    /* Some ranks' messages may be on their way already: no later call can be matched any more. */
    comm_fail(comm, result);
    if (!atomic_load(&comm->cancelled))
        comm_say(HM_LOG_WARN, comm, "a replaced call could not be enqueued: NCCL result %d", (int)result);
    return result;
}

/* Steps 3 to 6: agrees, plans, and carries the call out or leaves it alone. */
static hm_answer_t call_replace(const hm_call_t *call, hm_parts_t *parts, size_t row_bytes, hm_guided_t *guided,
                                ncclResult_t *result)
{
    verdict_t verdict = {.reason = HM_REASON_NONE};
    hm_clock_t *clock = &parts->know.clock;
    const hm_ballot_t *ballot = &parts->agree.ballot;
    clock_begin(clock, &parts->channel);
    int status = call_agree(call, parts, row_bytes, guided, &verdict);
    hm_load_t load = {.call = call,
                      .place = &parts->place,
                      .board = &parts->agree.board,
                      .table = &ballot->table,
                      .distinct = ballot->distinct,
                      .rows = &parts->agree.rows,
                      .depth = verdict.decision.depth};
    bool along = verdict.agreement.heard == HM_HEARD_ALONG;
    if (status == 0 && verdict.reason == HM_REASON_NONE && !along) {
        status = prepare_run(&parts->carry, &parts->channel, &load, &verdict.reason);
        if (verdict.reason != HM_REASON_NONE) know_refuse(&parts->know, verdict.reason, &verdict.decision);
    }
    if (status != 0) {
        *result = communicator_lose(parts, status);
        return HM_ANSWER_DONE;
    }
    if (verdict.reason != HM_REASON_STREAM_HELD) clock_agreed(clock, &parts->channel, &verdict.decision.timed);
    if (verdict.reason == HM_REASON_NONE) {
        *result = along ? guided_follow(guided, parts, call) : call_carry(&load, parts);
        if (*result == ncclSuccess && !along) *result = guided_carried(guided, parts, &load, &verdict.decision);
        return HM_ANSWER_DONE;
    }
    comm_leave(call->comm, verdict.reason);
    return verdict.decided ? HM_ANSWER_LEAVE_AND_TELL : HM_ANSWER_LEAVE;
}

/* Whether the communicator's fate says what becomes of every call: then *answer and, where it is DONE, *result. */
static bool fate_settles(hm_comm_t *comm, hm_answer_t *answer, ncclResult_t *result)
{
    hm_reason_t closed = comm_closed(comm);
    ncclResult_t failure = comm_failure(comm);
    if (closed != HM_REASON_NONE) comm_leave(comm, closed);
    if (failure != ncclSuccess) *result = failure;
    *answer = failure != ncclSuccess ? HM_ANSWER_DONE : HM_ANSWER_LEAVE;
    return closed != HM_REASON_NONE || failure != ncclSuccess;
}

/* With the state's lock held. What past calls teach comes first: it costs next to nothing, asking the driver does. */
static hm_answer_t call_look(const hm_call_t *call, hm_state_t *state, ncclResult_t *result)
{
    hm_answer_t answer;
    hm_parts_t *parts = &state->parts;
    hm_channel_t *channel = &parts->channel;
    if (fate_settles(call->comm, &answer, result)) return answer; /* another thread's call may have settled it */
    hm_reason_t alone;
    hm_intent_t intent = know_expect(&parts->know, &alone);
    if (hold_skips(&parts->know.hold) && intent.look) alone = HM_REASON_STREAM_HELD;
    if (alone != HM_REASON_NONE) {
        comm_leave(call->comm, alone);
        return HM_ANSWER_LEAVE;
    }
    if (channel->kernels->capturing(channel->context, call->stream)) {
        comm_leave(call->comm, HM_REASON_CAPTURING);
        return HM_ANSWER_LEAVE;
    }
    if (call->enter != NULL && (*result = call->enter()) != ncclSuccess) return HM_ANSWER_DONE;
    channel->stream = call->stream;
    if (!state->met) state->met = meet_run(parts);
    if (fate_settles(call->comm, &answer, result)) return answer;
    if (!state->met) {
        hold_note(&parts->know.hold, true);
        comm_leave(call->comm, HM_REASON_STREAM_HELD);
        return HM_ANSWER_LEAVE;
    }
    hm_guided_t guided;
    return call_replace(call, parts, intent.row_bytes, guided_take(&guided, parts, call), result);
}

void call_replayed(hm_comm_t *comm, cudaStream_t stream)
{
    hm_state_t *state = comm->state;
    if (state == NULL) return;
    pthread_mutex_lock(&state->lock);
    if (atomic_load(&comm->fate) == 0) {
        state->parts.channel.stream = stream;
        clock_end(&state->parts.know.clock, &state->parts.channel);
    }
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
    comm_say(HM_LOG_WARN, comm, "this rank cannot take part in the agreement: this call and later ones fail");
    comm_fail(comm, ncclSystemError);
}

hm_answer_t call_run(const hm_call_t *call, ncclResult_t *result)
{
    hm_reason_t reason;
    hm_answer_t answer;
    hm_comm_t *comm = call->comm;
    if (fate_settles(comm, &answer, result)) return answer;
    if (comm->state == NULL && state_create(comm, &reason) != 0) {
        state_lack(comm, reason);
        fate_settles(comm, &answer, result);
        return answer;
    }
    pthread_mutex_lock(&comm->state->lock);
    answer = call_look(call, comm->state, result);
    pthread_mutex_unlock(&comm->state->lock);
    /* The communicator may have been aborted meanwhile: NCCL must not get a handle that it has freed. */
    if (atomic_load(&comm->cancelled) == 0) return answer;
    if (answer != HM_ANSWER_DONE) *result = channel_result(-ECANCELED);
    return HM_ANSWER_DONE;
}
