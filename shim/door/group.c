/* Capture of groups: legs are held back, call by call. At the end a group that is one all-to-all of a caller that is
 * believed goes to call_run; of any other NCCL gets every call as it was made. */
#include "group.h"

#include "base/fork.h"
#include "base/settings.h"
#include "hooks.h"

#include <stdlib.h>

struct hm_pending {
    hm_pending_t *next;
    ncclComm_t *handle;
    const hm_real_t *real;
    bool blocking;
};

_Thread_local hm_group_t hm_group;

static void group_push(hm_group_t *group, const hm_real_t *real)
{
    if (group->depth < HM_GROUP_DEPTH) group->real[group->depth] = real;
    group->depth++;
}

/* Takes the innermost group away; the image that it was opened in, or `real` if none is open. */
static const hm_real_t *group_pop(hm_group_t *group, const hm_real_t *real)
{
    if (group->depth == 0) return real;
    group->depth--;
    return group->depth < HM_GROUP_DEPTH ? group->real[group->depth] : real;
}

static void group_capture(hm_group_t *group)
{
    if (group->legs == NULL) group->legs = legs_mine();
    group->legs->count = 0;
    group->capturing = true;
    group->error = ncclSuccess;
    group->comms = group->segments = group->segmented = 0;
}

static void group_uncapture(hm_group_t *group)
{
    for (int i = 0; i < group->comms; i++) comm_release(group->comm[i]);
    group->comms = 0;
    group->capturing = false;
}

/* Closes NCCL's group, which holds nothing of ours; `outside` until group_return. */
static ncclResult_t group_leave(void)
{
    hm_group_t *group = &hm_group;
    if (group->outside) return ncclSuccess;
    group->outside = true;
    return group->real[0]->ncclGroupEnd();
}

/* Opens it again. */
static ncclResult_t group_return(hm_group_t *group)
{
    if (!group->outside) return ncclSuccess;
    group->outside = false;
    return group->real[0]->ncclGroupStart();
}

/* The image of the one open group becomes that of its first communicator. */
static hm_reason_t group_move(hm_group_t *group, const hm_real_t *real)
{
    if (group_leave() != ncclSuccess) return HM_REASON_NESTED;
    group->real[0] = real;
    return group_return(group) == ncclSuccess ? HM_REASON_NONE : HM_REASON_NESTED;
}

/* Why a communicator's calls are not held back; NONE: they are. */
static hm_reason_t comm_refusal(hm_group_t *group, const hm_comm_t *comm)
{
    hm_reason_t closed = comm_closed(comm);
    if (!comm->blocking) return HM_REASON_NON_BLOCKING;
    if (comm->ranks < 2) return HM_REASON_ONE_RANK;
    if (closed != HM_REASON_NONE) return closed;
    if (atomic_load_explicit(&comm->cancelled, memory_order_relaxed) != 0) return HM_REASON_CANCELLED;
    if (group->comms == HM_GROUP_COMMS) return HM_REASON_SECOND_COMM;
    if (comm->real == group->real[0]) return HM_REASON_NONE;
    return group->comms == 0 && group->depth == 1 ? group_move(group, comm->real) : HM_REASON_SECOND_COMM;
}

/* Finds the leg's communicator, or says why it is not for capture. */
static hm_reason_t leg_comm_find(hm_group_t *group, ncclComm_t handle, hm_comm_t **found)
{
    for (int i = group->comms - 1; i >= 0; i--)
        if (group->comm[i]->handle == handle) {
            *found = group->comm[i];
            return HM_REASON_NONE;
        }
    hm_comm_t *comm = handle != NULL ? comm_find(handle) : NULL;
    if (comm == NULL) return HM_REASON_ARGUMENT;
    hm_reason_t reason = comm_refusal(group, comm);
    if (reason != HM_REASON_NONE) {
        comm_leave(comm, reason);
        comm_release(comm);
        return reason;
    }
    *found = group->comm[group->comms++] = comm;
    return HM_REASON_NONE;
}

void group_memory_lack(hm_comm_t *comm)
{
    comm_say(HM_LOG_WARN, comm, "no memory to record a group of %d ranks: this call and later ones fail", comm->ranks);
    comm_fail(comm, ncclSystemError);
}

/* Arguments that NCCL refuses at once: the job is to hear of it at once. */
static bool leg_refused(const hm_leg_t *leg)
{
    bool peer = leg->kind == HM_LEG_SEND || leg->kind == HM_LEG_RECV;
    return nccl_type_bytes(leg->type) == 0 || (peer && (leg->peer < 0 || leg->peer >= leg->comm->ranks));
}

bool group_hold(hm_group_t *group, hm_leg_t *leg, ncclComm_t handle, ncclResult_t *result)
{
    hm_reason_t reason = leg_comm_find(group, handle, &leg->comm);
    if (reason == HM_REASON_NONE) leg->real = leg->comm->real;
    if (reason == HM_REASON_NONE && leg_refused(leg)) {
        *result = group_flush(HM_REASON_ARGUMENT);
        return false;
    }
    if (reason == HM_REASON_NONE && legs_add(group->legs, leg)) return true;
    if (reason == HM_REASON_NONE) {
        group_memory_lack(leg->comm);
        *result = ncclSystemError;
        return false;
    }
    *result = group_flush(HM_REASON_MIXED);
    return false;
}

/* What was captured since the last start or end becomes a segment of its own. ended: by an end, which goes on at
 * `return_address`. */
static void segment_close(hm_group_t *group, bool ended, const void *return_address)
{
    const hm_legs_t *legs = group->legs;
    int count = legs->count - group->segmented;
    if (count == 0) return;
    hm_segment_t segment = {.first = group->segmented, .count = count, .belief = HM_BELIEF_NOBODY};
    const hm_leg_t *leg = &legs->leg[segment.first];
    bool named = leg->kind == HM_LEG_ALLTOALL || leg->kind == HM_LEG_ALLTOALL_ALIAS;
    if (named)
        segment.belief = HM_BELIEF_ISSUER; /* the call itself says that all ranks make it */
    else if (ended)
        segment.belief = caller_belief(return_address, count >= 2 * leg->comm->ranks);
    group->segmented = legs->count;
    group->segment[group->segments++] = segment;
}

/* Room for the segment that is open and those that a nested group may still bring. */
static bool segments_full(const hm_group_t *group)
{
    return group->segments + 2 > HM_GROUP_SEGMENTS;
}

/* Whether a segment's legs on a communicator are something that the other ranks wait to agree on: *call, laid out. */
static bool segment_joins(const hm_group_t *group, const hm_segment_t *segment, hm_comm_t *comm, hm_call_t *call)
{
    bool whole;
    const hm_leg_t *leg = &group->legs->leg[segment->first];
    if (segment->belief == HM_BELIEF_NOBODY) return false;
    int i = 0;
    while (i < segment->count && leg[i].comm != comm) i++;
    if (i == segment->count) return false;
    if (legs_lay(leg, segment->count, comm, call, &whole) != HM_REASON_NO_RECORD)
        return whole || segment->belief == HM_BELIEF_ISSUER;
    group_memory_lack(comm);
    *call = (hm_call_t){.comm = comm, .refusal = HM_REASON_NO_RECORD};
    return true;
}

bool group_hold_whole(hm_leg_t *leg, ncclComm_t handle, ncclResult_t *result)
{
    hm_group_t *group = &hm_group;
    segment_close(group, false, NULL);
    if (segments_full(group)) {
        *result = group_flush(HM_REASON_NESTED);
        return false;
    }
    if (!group_hold(group, leg, handle, result)) return false;
    segment_close(group, false, NULL);
    return true;
}

/* Lets the other ranks know of all-to-alls among the segments that this rank cannot have replaced. *joined: there were
 * some. An error: a communicator failed, and nothing of the group may be made. */
static ncclResult_t segments_refuse(hm_group_t *group, hm_reason_t reason, bool *joined)
{
    *joined = false;
    for (int s = 0; s < group->segments; s++) {
        for (int c = 0; c < group->comms; c++) {
            hm_call_t call;
            ncclResult_t result = ncclSuccess;
            if (!segment_joins(group, &group->segment[s], group->comm[c], &call)) continue;
            *joined = true;
            if (call.refusal == HM_REASON_NONE) call.refusal = reason;
            call.enter = group_leave;
            if (group_run(&call, &result) == HM_ANSWER_DONE && result != ncclSuccess) return result;
        }
    }
    return ncclSuccess;
}

static void comms_leave(const hm_group_t *group, hm_reason_t reason)
{
    for (int i = 0; i < group->comms; i++) comm_leave(group->comm[i], reason);
}

/* Makes the captured calls. NCCL remembers an error until the end of the group; so do we, should it not. */
static void group_replay(hm_group_t *group)
{
    const hm_legs_t *legs = group->legs;
    for (int i = 0; i < legs->count; i++) {
        ncclResult_t result = leg_replay(&legs->leg[i]);
        if (result != ncclSuccess && result != ncclInProgress && group->error == ncclSuccess) group->error = result;
    }
}

ncclResult_t group_flush(hm_reason_t reason)
{
    hm_group_t *group = &hm_group;
    bool joined;
    segment_close(group, false, NULL);
    group->capturing = false;
    ncclResult_t result = segments_refuse(group, reason, &joined);
    ncclResult_t back = group_return(group);
    if (result == ncclSuccess) result = back;
    if (result == ncclSuccess) group_replay(group);
    if (result == ncclSuccess && !joined) comms_leave(group, reason);
    group_uncapture(group);
    return result;
}

hm_answer_t group_run(const hm_call_t *call, ncclResult_t *result)
{
    hm_group_t *group = &hm_group;
    if (atomic_load_explicit(&call->comm->cancelled, memory_order_acquire) != 0) {
        comm_leave(call->comm, HM_REASON_CANCELLED);
        return HM_ANSWER_LEAVE;
    }
    group->busy = true; /* should a call come from inside call_run: it is not captured over the record */
    hm_answer_t answer = call_run(call, result);
    group->busy = false;
    return answer;
}

/* Once for each communicator; the log says the same words once in a process. Rank 0 speaks for the others unless the
 * function has no name here: then they may know it by one. */
static void stranger_say(const hm_group_t *group, hm_comm_t *comm, const void *caller)
{
    hm_call_t call;
    char names[700];
    bool whole = false;
    if (settings_get()->mode == HM_MODE_OFF || comm->stats.left[HM_REASON_UNTRUSTED] != 0) return;
    const hm_segment_t *segment = &group->segment[0];
    if (legs_lay(group->legs->leg + segment->first, segment->count, comm, &call, &whole) != HM_REASON_NONE) return;
    bool named = caller_describe(caller, names, sizeof names);
    comm_say(
        named && comm->rank > 0 ? HM_LOG_INFO : HM_LOG_WARN, comm,
        "an all-to-all is left alone, as its caller is not known to issue whole ones on every rank: %s; if it does, "
        "set HIERMOE_TRUST to a part of its name, or to shape",
        names);
}

/* What becomes of a group that is one segment on one communicator, as nearly all are. */
static hm_answer_t segment_run(hm_group_t *group, const void *caller, ncclResult_t *result)
{
    hm_call_t call;
    hm_comm_t *comm = group->comm[0];
    const hm_segment_t *segment = &group->segment[0];
    if (!segment_joins(group, segment, comm, &call)) {
        bool stranger = segment->belief == HM_BELIEF_NOBODY && segment->count == 2 * comm->ranks;
        if (stranger) stranger_say(group, comm, caller);
        comm_leave(comm, stranger ? HM_REASON_UNTRUSTED : HM_REASON_PARTIAL);
        return HM_ANSWER_LEAVE;
    }
    call.enter = group_leave;
    return group_run(&call, result);
}

/* What becomes of the captured group. */
static hm_answer_t group_decide(hm_group_t *group, const void *caller, ncclResult_t *result)
{
    bool joined;
    if (group->segments == 0) return HM_ANSWER_LEAVE;
    if (group->segments == 1 && group->comms == 1) return segment_run(group, caller, result);
    hm_reason_t reason = group->comms > 1 ? HM_REASON_SECOND_COMM : HM_REASON_NESTED;
    *result = segments_refuse(group, reason, &joined);
    if (*result == ncclSuccess && !joined) comms_leave(group, reason);
    return *result == ncclSuccess ? HM_ANSWER_LEAVE : HM_ANSWER_DONE;
}

/* The captured group's outermost end. */
static ncclResult_t group_finish(hm_group_t *group, const void *caller)
{
    ncclResult_t result = ncclSuccess;
    segment_close(group, true, caller);
    group->depth = 0;
    group->capturing = false;
    hm_answer_t answer = group_decide(group, caller, &result);
    if (answer != HM_ANSWER_DONE) result = group_return(group);
    if (answer != HM_ANSWER_DONE && result == ncclSuccess) group_replay(group);
    ncclResult_t end = group->outside ? ncclSuccess : group_leave();
    if (result == ncclSuccess) result = end;
    if (result == ncclSuccess) result = group->error;
    if (answer == HM_ANSWER_LEAVE_AND_TELL && result == ncclSuccess)
        call_replayed(group->comm[0], group->legs->leg[group->segment[0].first].stream);
    group->outside = false;
    group->error = ncclSuccess;
    group_uncapture(group);
    return result;
}

static void pending_settle(hm_group_t *group, bool made)
{
    while (group->pending != NULL) {
        hm_pending_t *pending = group->pending;
        group->pending = pending->next;
        if (made && *pending->handle != NULL) comm_add(*pending->handle, pending->real, pending->blocking);
        free(pending);
    }
}

/* NCCL has ended a group that was not captured. */
static ncclResult_t group_ended(hm_group_t *group, ncclResult_t result)
{
    if (group->depth > 0) return result;
    if (result == ncclSuccess) result = group->error;
    group->error = ncclSuccess;
    pending_settle(group, result == ncclSuccess || result == ncclInProgress);
    return result;
}

/* Holds back the start or end of a group inside the captured one. false: there is no room for it. */
static bool nested_hold(hm_group_t *group, hm_leg_kind_t kind, const void *caller)
{
    hm_leg_t leg = {.real = group->real[0], .kind = kind};
    segment_close(group, kind == HM_LEG_END, caller);
    if (segments_full(group) || !legs_add(group->legs, &leg)) return false;
    group->segmented = group->legs->count;
    return true;
}

ncclResult_t hook_ncclGroupStart(const hm_real_t *real, const void *caller)
{
    hm_group_t *group = &hm_group;
    if (group->capturing && real == group->real[0] && group->depth < HM_GROUP_DEPTH &&
        nested_hold(group, HM_LEG_START, caller)) {
        group_push(group, real);
        return ncclSuccess;
    }
    ncclResult_t result = group->capturing ? group_flush(HM_REASON_NESTED) : ncclSuccess;
    if (result == ncclSuccess) result = real->ncclGroupStart();
    if (result != ncclSuccess) return result;
    if (group->depth == 0 && !group->busy) group_capture(group);
    group_push(group, real);
    return ncclSuccess;
}

ncclResult_t hook_ncclGroupEnd(const hm_real_t *real, const void *caller)
{
    hm_group_t *group = &hm_group;
    if (group->capturing && group->depth == 1) return group_finish(group, caller);
    if (group->capturing && nested_hold(group, HM_LEG_END, caller)) {
        group_pop(group, real);
        return ncclSuccess;
    }
    ncclResult_t result = group->capturing ? group_flush(HM_REASON_NESTED) : ncclSuccess;
    if (result != ncclSuccess) return result;
    real = group_pop(group, real);
    result = real->ncclGroupEnd();
    return group->depth > 0 ? result : group_ended(group, result);
}

ncclResult_t hook_ncclSend(const hm_real_t *real, const void *buff, size_t count, ncclDataType_t type, int peer,
                           ncclComm_t comm, cudaStream_t stream)
{
    hm_group_t *group = &hm_group;
    if (group->capturing) {
        ncclResult_t result = ncclSuccess;
        hm_leg_t leg = {
            .stream = stream, .from = buff, .count = count, .type = type, .peer = peer, .kind = HM_LEG_SEND};
        if (group_hold(group, &leg, comm, &result) || result != ncclSuccess) return result;
    }
    return real->ncclSend(buff, count, type, peer, comm, stream);
}

ncclResult_t hook_ncclRecv(const hm_real_t *real, void *buff, size_t count, ncclDataType_t type, int peer,
                           ncclComm_t comm, cudaStream_t stream)
{
    hm_group_t *group = &hm_group;
    if (group->capturing) {
        ncclResult_t result = ncclSuccess;
        hm_leg_t leg = {.stream = stream, .to = buff, .count = count, .type = type, .peer = peer, .kind = HM_LEG_RECV};
        if (group_hold(group, &leg, comm, &result) || result != ncclSuccess) return result;
    }
    return real->ncclRecv(buff, count, type, peer, comm, stream);
}

ncclResult_t hook_ncclGroupSimulateEnd(const hm_real_t *real, ncclSimInfo_t *info)
{
    hm_group_t *group = &hm_group;
    if (group->capturing) {
        ncclResult_t result = group_flush(HM_REASON_SIMULATED);
        if (result != ncclSuccess) return result;
    }
    real = group_pop(group, real);
    if (real->ncclGroupSimulateEnd == NULL) return ncclInternalError;
    return group_ended(group, real->ncclGroupSimulateEnd(info));
}

void group_comm_add(ncclComm_t *handle, const hm_real_t *real, bool blocking, ncclResult_t result)
{
    hm_group_t *group = &hm_group;
    if ((result != ncclSuccess && result != ncclInProgress) || handle == NULL) return;
    if (group->depth == 0) {
        if (*handle != NULL) comm_add(*handle, real, blocking);
        return;
    }
    hm_pending_t *pending = malloc(sizeof *pending);
    if (pending == NULL) {
        comm_say(HM_LOG_WARN, NULL, "no memory to record a communicator: its calls are left alone");
        return;
    }
    *pending = (hm_pending_t){.next = group->pending, .handle = handle, .real = real, .blocking = blocking};
    group->pending = pending;
}

/* The forking thread's open groups stay with the parent. */
static void group_after_fork(void)
{
    hm_group = (hm_group_t){.depth = 0};
}

__attribute__((constructor)) static void group_fork_prepare(void)
{
    static hm_fork_handler_t handler = {.run = group_after_fork};
    fork_handler_add(&handler);
}
