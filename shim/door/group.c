/* Capture of groups: a group that can still be one all-to-all is recorded, call by call, and NCCL is not told. At the
 * first sign that it is something else, and at the end if it is not complete, NCCL gets every call as it was made. */
#include "group.h"

#include "base/fork.h"
#include "caller.h"
#include "hooks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct hm_pending {
    hm_pending_t *next;
    ncclComm_t *handle;
    const hm_real_t *real;
    bool blocking;
};

_Thread_local hm_group_t hm_group;

static _Thread_local struct {
    const void *send[HM_INLINE_PEERS];
    void *recv[HM_INLINE_PEERS];
    size_t send_count[HM_INLINE_PEERS], recv_count[HM_INLINE_PEERS];
    int32_t order[2 * HM_INLINE_PEERS];
    uint8_t seen[HM_INLINE_PEERS];
} inline_room;

static pthread_key_t record_key;
static bool record_key_made;

/* At thread exit. Destructors that run later may still call NCCL: they get the inline room. */
static void record_free(void *memory)
{
    free(memory);
    memset(&hm_group.record, 0, sizeof hm_group.record);
}

static void record_key_make(void)
{
    record_key_made = pthread_key_create(&record_key, record_free) == 0;
}

static void record_use_inline(hm_record_t *record)
{
    *record = (hm_record_t){.peers = HM_INLINE_PEERS,
                            .send = inline_room.send,
                            .recv = inline_room.recv,
                            .send_count = inline_room.send_count,
                            .recv_count = inline_room.recv_count,
                            .order = inline_room.order,
                            .seen = inline_room.seen};
}

static bool record_grow(hm_record_t *record, int peers)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    size_t n = (size_t)peers;
    pthread_once(&once, record_key_make);
    char *memory = record_key_made ? malloc(n * (4 * sizeof(void *) + 2 * sizeof(int32_t) + 1)) : NULL;
    if (memory == NULL || pthread_setspecific(record_key, memory) != 0) {
        free(memory);
        return false;
    }
    free(record->memory);
    record->peers = peers;
    record->memory = memory;
    record->send = (const void **)memory;
    record->recv = (void **)(record->send + n);
    record->send_count = (size_t *)(record->recv + n);
    record->recv_count = record->send_count + n;
    record->order = (int32_t *)(record->recv_count + n);
    record->seen = (uint8_t *)(record->order + 2 * n);
    return true;
}

hm_record_t *group_record(int peers)
{
    hm_record_t *record = &hm_group.record;
    if (record->peers == 0) record_use_inline(record);
    if (peers > record->peers && !record_grow(record, peers)) return NULL;
    return record;
}

static void group_push(hm_group_t *group, const hm_real_t *real)
{
    if (group->depth < HM_GROUP_DEPTH) group->real[group->depth] = real;
    group->depth++;
}

/* Pops the innermost group. The NCCL that it was opened in, or `real` where no group is open. */
static const hm_real_t *group_pop(hm_group_t *group, const hm_real_t *real)
{
    if (group->depth == 0) return real;
    group->depth--;
    return group->depth < HM_GROUP_DEPTH ? group->real[group->depth] : real;
}

static void group_uncapture(hm_group_t *group)
{
    if (group->comm != NULL) comm_release(group->comm);
    group->comm = NULL;
    group->capturing = false;
}

/* Makes the recorded calls. NCCL reports their errors at the end of the group; they are kept in case it does not. */
static void group_replay(hm_group_t *group, const hm_real_t *real)
{
    const hm_record_t *record = &group->record;
    ncclComm_t comm = group->comm->handle;
    for (int i = 0; i < group->calls; i++) {
        int peer = record->order[i] / 2;
        ncclResult_t result =
            (record->order[i] % 2) != 0
                ? real->ncclRecv(record->recv[peer], record->recv_count[peer], group->type, peer, comm, group->stream)
                : real->ncclSend(record->send[peer], record->send_count[peer], group->type, peer, comm, group->stream);
        if (result != ncclSuccess && result != ncclInProgress && group->error == ncclSuccess) group->error = result;
    }
}

ncclResult_t group_flush(hm_reason_t reason, const hm_real_t *real)
{
    hm_group_t *group = &hm_group;
    if (group->comm != NULL)
        real = group->comm->real;
    else if (reason == HM_REASON_NESTED)
        real = group->real[0]; /* the inner group may be another NCCL's */
    ncclResult_t result = real->ncclGroupStart();
    if (result == ncclSuccess) {
        group->real[0] = real;
        if (group->calls != 0) group_replay(group, real);
    } else {
        group->depth = 0;
    }
    if (group->comm != NULL) comm_leave(group->comm, reason);
    group_uncapture(group);
    return result;
}

ncclResult_t hook_ncclGroupStart(const hm_real_t *real, const void *caller)
{
    hm_group_t *group = &hm_group;
    (void)caller;
    if (group->depth == 0 && !group->busy && !fork_child()) {
        group->capturing = true;
        group->error = ncclSuccess;
        group->calls = 0;
        group_push(group, real);
        return ncclSuccess;
    }
    if (group->capturing) {
        ncclResult_t result = group_flush(HM_REASON_NESTED, real);
        if (result != ncclSuccess) return result;
    }
    ncclResult_t result = real->ncclGroupStart();
    if (result == ncclSuccess) group_push(group, real);
    return result;
}

/* Why a group is not recorded, known from its first call. HM_REASON_NONE: it is recorded. */
static hm_reason_t group_begin(hm_group_t *group, ncclDataType_t type, hm_comm_t *comm, cudaStream_t stream)
{
    if (!comm->blocking) return HM_REASON_NON_BLOCKING;
    if (comm->ranks < 2) return HM_REASON_ONE_RANK;
    hm_reason_t closed = comm_closed(comm);
    if (closed != HM_REASON_NONE) return closed;
    if (atomic_load_explicit(&comm->cancelled, memory_order_relaxed)) return HM_REASON_CANCELLED;
    if (group_record(comm->ranks) == NULL) {
        comm_say(HM_LOG_WARN, comm, "no memory to record a group of %d ranks: the other ranks may wait for this one",
                 comm->ranks);
        return HM_REASON_NO_RECORD;
    }
    memset(group->record.seen, 0, (size_t)comm->ranks);
    group->type = type;
    group->stream = stream;
    return HM_REASON_NONE;
}

/* Why a call with these arguments does not fit those captured so far. HM_REASON_NONE: it fits. */
static hm_reason_t group_fit(hm_group_t *group, bool is_recv, const void *buff, size_t count, ncclDataType_t type,
                             int peer, ncclComm_t comm, cudaStream_t stream)
{
    if (group->comm == NULL) {
        group->comm = comm != NULL ? comm_find(comm) : NULL;
        if (group->comm == NULL) return HM_REASON_ARGUMENT;
        hm_reason_t reason = group_begin(group, type, group->comm, stream);
        if (reason != HM_REASON_NONE) return reason;
    }
    if (comm != group->comm->handle) return HM_REASON_SECOND_COMM;
    if (stream != group->stream) return HM_REASON_SECOND_STREAM;
    if (type != group->type) return HM_REASON_SECOND_TYPE;
    if (nccl_type_bytes(type) == 0 || peer < 0 || peer >= group->comm->ranks || (buff == NULL && count != 0))
        return HM_REASON_ARGUMENT;
    return (group->record.seen[peer] & (is_recv ? 2 : 1)) != 0 ? HM_REASON_REPEATED : HM_REASON_NONE;
}

ncclResult_t hook_ncclSend(const hm_real_t *real, const void *buff, size_t count, ncclDataType_t type, int peer,
                           ncclComm_t comm, cudaStream_t stream)
{
    hm_group_t *group = &hm_group;
    if (group->capturing) {
        hm_reason_t reason = group_fit(group, false, buff, count, type, peer, comm, stream);
        if (reason == HM_REASON_NONE) {
            hm_record_t *record = &group->record;
            record->send[peer] = buff;
            record->send_count[peer] = count;
            record->seen[peer] |= 1;
            record->order[group->calls++] = 2 * peer;
            return ncclSuccess;
        }
        ncclResult_t result = group_flush(reason, real);
        if (result != ncclSuccess) return result;
    }
    return real->ncclSend(buff, count, type, peer, comm, stream);
}

ncclResult_t hook_ncclRecv(const hm_real_t *real, void *buff, size_t count, ncclDataType_t type, int peer,
                           ncclComm_t comm, cudaStream_t stream)
{
    hm_group_t *group = &hm_group;
    if (group->capturing) {
        hm_reason_t reason = group_fit(group, true, buff, count, type, peer, comm, stream);
        if (reason == HM_REASON_NONE) {
            hm_record_t *record = &group->record;
            record->recv[peer] = buff;
            record->recv_count[peer] = count;
            record->seen[peer] |= 2;
            record->order[group->calls++] = 2 * peer + 1;
            return ncclSuccess;
        }
        ncclResult_t result = group_flush(reason, real);
        if (result != ncclSuccess) return result;
    }
    return real->ncclRecv(buff, count, type, peer, comm, stream);
}

/* busy: an NCCL call from inside call_run is not captured, because that would overwrite the record in use. */
hm_answer_t group_run(hm_comm_t *comm, hm_form_t form, ncclDataType_t type, cudaStream_t stream, ncclResult_t *result)
{
    hm_group_t *group = &hm_group;
    hm_call_t call = {.comm = comm,
                      .stream = stream,
                      .type = type,
                      .type_bytes = nccl_type_bytes(type),
                      .form = form,
                      .send = group->record.send,
                      .recv = group->record.recv,
                      .send_count = group->record.send_count,
                      .recv_count = group->record.recv_count};
    if (atomic_load_explicit(&comm->cancelled, memory_order_acquire)) {
        comm_leave(comm, HM_REASON_CANCELLED);
        return HM_ANSWER_LEAVE;
    }
    group->busy = true;
    hm_answer_t answer = call_run(&call, result);
    group->busy = false;
    return answer;
}

/* What becomes of the captured group. */
static hm_answer_t group_replace(hm_group_t *group, const void *caller, ncclResult_t *result)
{
    /* No peer occurs twice in a direction: the number of calls tells whether one is missing. */
    hm_reason_t reason = group->calls != 2 * group->comm->ranks ? HM_REASON_PARTIAL
                         : !caller_trusted(caller)              ? HM_REASON_UNTRUSTED
                                                                : HM_REASON_NONE;
    if (reason == HM_REASON_NONE) return group_run(group->comm, HM_FORM_GROUP, group->type, group->stream, result);
    comm_leave(group->comm, reason);
    return HM_ANSWER_LEAVE;
}

/* Hands the whole captured group to NCCL. */
static ncclResult_t group_pass(hm_group_t *group, const hm_real_t *real)
{
    ncclResult_t result = real->ncclGroupStart();
    if (result != ncclSuccess) return result;
    if (group->calls != 0) group_replay(group, real);
    result = real->ncclGroupEnd();
    return result == ncclSuccess ? group->error : result;
}

static ncclResult_t group_finish(hm_group_t *group, const hm_real_t *real, const void *caller)
{
    ncclResult_t result = ncclSuccess;
    group->depth = 0;
    group->capturing = false;
    if (group->comm != NULL) real = group->comm->real;
    hm_answer_t answer = group->calls != 0 ? group_replace(group, caller, &result) : HM_ANSWER_LEAVE;
    if (answer != HM_ANSWER_DONE) result = group_pass(group, real);
    if (answer == HM_ANSWER_LEAVE_AND_TELL && result == ncclSuccess) call_replayed(group->comm, group->stream);
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

ncclResult_t hook_ncclGroupEnd(const hm_real_t *real, const void *caller)
{
    hm_group_t *group = &hm_group;
    if (group->capturing) return group_finish(group, group_pop(group, real), caller);
    real = group_pop(group, real);
    return group_ended(group, real->ncclGroupEnd());
}

ncclResult_t hook_ncclGroupSimulateEnd(const hm_real_t *real, ncclSimInfo_t *info)
{
    hm_group_t *group = &hm_group;
    if (group->capturing) {
        ncclResult_t result = group_flush(HM_REASON_SIMULATED, real);
        if (result != ncclSuccess) return result;
    }
    real = group_pop(group, real);
    if (real->ncclGroupSimulateEnd == NULL) return ncclInternalError;
    return group_ended(group, real->ncclGroupSimulateEnd(info));
}

void group_comm_add(ncclComm_t *handle, const hm_real_t *real, bool blocking, ncclResult_t result)
{
    hm_group_t *group = &hm_group;
    if ((result != ncclSuccess && result != ncclInProgress) || handle == NULL || fork_child()) return;
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
    hm_group.capturing = false;
    hm_group.depth = 0;
    hm_group.comm = NULL;
    hm_group.pending = NULL;
}

__attribute__((constructor)) static void group_fork_prepare(void)
{
    static hm_fork_handler_t handler = {.run = group_after_fork};
    fork_handler_add(&handler);
}
