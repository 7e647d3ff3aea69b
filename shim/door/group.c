/* Capture of groups: legs are held back, call by call. At the end a group that is one all-to-all of a caller that is
 * believed goes to call_run; of any other NCCL gets every call as it was made. */
#include "group.h"

#include "hooks.h"
#include "pending.h"
#include "segment.h"

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

bool group_hold_whole(hm_leg_t *leg, const hm_lists_t *lists, ncclComm_t handle, ncclResult_t *result)
{
    hm_group_t *group = &hm_group;
    segment_close(group, false, NULL);
    if (segments_full(group)) {
        *result = group_flush(HM_REASON_NESTED);
        return false;
    }
    if (!group_hold(group, leg, handle, result)) return false;
    if (lists != NULL && !legs_lists_keep(group->legs, lists)) {
        group->legs->count--;
        group_memory_lack(leg->comm);
        *result = ncclSystemError;
        return false;
    }
    segment_close(group, false, NULL);
    return true;
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

/* Nobody ends the group's communicators from here on, until group_unuse. false: one of them has been ended. */
static bool group_use(const hm_group_t *group)
{
    for (int i = 0; i < group->comms; i++) {
        if (comm_use_begin(group->comm[i])) continue;
        while (i-- > 0) comm_use_end(group->comm[i]);
        return false;
    }
    return true;
}

static void group_unuse(const hm_group_t *group)
{
    for (int i = 0; i < group->comms; i++) comm_use_end(group->comm[i]);
}

/* The same after the other ranks were asked, which takes a while: an abort in that time is the job's to hear of now, as
 * NCCL may have freed the handle. */
static ncclResult_t group_replay_asked(hm_group_t *group)
{
    if (!group_use(group)) return ncclInvalidUsage;
    group_replay(group);
    group_unuse(group);
    return ncclSuccess;
}

/* ending: a communicator of which no other rank is asked; may be NULL. */
static ncclResult_t flush(hm_reason_t reason, ncclComm_t ending)
{
    hm_group_t *group = &hm_group;
    bool joined;
    segment_close(group, false, NULL);
    group->capturing = false;
    ncclResult_t result = segments_refuse(group, reason, ending, &joined);
    bool asked = group->outside;
    ncclResult_t back = group_return(group);
    if (result == ncclSuccess) result = back;
    if (result == ncclSuccess && asked)
        result = group_replay_asked(group);
    else if (result == ncclSuccess)
        group_replay(group);
    if (result == ncclSuccess && !joined) comms_leave(group, reason);
    group_uncapture(group);
    return result;
}

ncclResult_t group_flush(hm_reason_t reason)
{
    return flush(reason, NULL);
}

void group_flush_before_end(ncclComm_t ending)
{
    flush(HM_REASON_CANCELLED, ending); /* its outcome is not the end's */
}

/* What was held back goes to NCCL after all, and the group ends. The ranks have agreed on that, which takes a while: an
 * abort in that time must not leave NCCL with half a group. */
static ncclResult_t group_return_looked_at(hm_group_t *group)
{
    if (!group_use(group)) return ncclInvalidUsage;
    ncclResult_t result = group_return(group);
    if (result == ncclSuccess) group_replay(group);
    for (int i = 0; i < group->comms; i++) comm_use_lengthen(group->comm[i]);
    ncclResult_t end = group_leave();
    group_unuse(group);
    return result != ncclSuccess ? result : end;
}

/* The captured group's outermost end. */
static ncclResult_t group_finish(hm_group_t *group, const void *caller)
{
    ncclResult_t result = ncclSuccess;
    segment_close(group, true, caller);
    group->depth = 0;
    group->capturing = false;
    hm_answer_t answer = segments_decide(group, caller, &result);
    if (answer != HM_ANSWER_DONE && group->outside)
        result = group_return_looked_at(group);
    else if (answer != HM_ANSWER_DONE)
        group_replay(group);
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

/* NCCL has ended a group that was not captured. */
static ncclResult_t group_ended(hm_group_t *group, ncclResult_t result)
{
    if (group->depth > 0) return result;
    if (result == ncclSuccess) result = group->error;
    group->error = ncclSuccess;
    pending_settle(result == ncclSuccess || result == ncclInProgress);
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
