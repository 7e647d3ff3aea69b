/* All-to-alls by name. The call itself says that every rank takes part, so no caller has to be believed. */
#include "call.h"
#include "comm.h"
#include "group.h"
#include "hooks.h"

/* One call as it was made: count elements to and from each rank, or counts and displacements per rank. */
typedef struct hm_named {
    const void *send;
    void *recv;
    size_t count;
    const hm_lists_t *lists; /* NULL: count everywhere */
    ncclDataType_t type;
} hm_named_t;

static void peer_lay(const hm_named_t *named, hm_record_t *record, int peer, size_t type_bytes, hm_call_t *call)
{
    const hm_lists_t *lists = named->lists;
    size_t at = (size_t)peer * named->count;
    size_t send_at = lists != NULL ? lists->send_starts[peer] : at;
    size_t recv_at = lists != NULL ? lists->recv_starts[peer] : at;
    record->send_bytes[peer] = type_bytes * (lists != NULL ? lists->send_counts[peer] : named->count);
    record->recv_bytes[peer] = type_bytes * (lists != NULL ? lists->recv_counts[peer] : named->count);
    record->send[peer] = named->send != NULL ? (const char *)named->send + send_at * type_bytes : NULL;
    record->recv[peer] = named->recv != NULL ? (char *)named->recv + recv_at * type_bytes : NULL;
    if ((named->send == NULL && record->send_bytes[peer] != 0) ||
        (named->recv == NULL && record->recv_bytes[peer] != 0))
        call->refusal = HM_REASON_ARGUMENT;
}

/* Lays the call out in the thread's record; what this rank cannot have replaced is said in call->refusal. */
static void named_lay(const hm_named_t *named, hm_comm_t *comm, hm_call_t *call)
{
    size_t type_bytes = nccl_type_bytes(named->type);
    hm_record_t *record = legs_record(comm->ranks);
    if (record == NULL) {
        group_memory_lack(comm);
        return;
    }
    if (type_bytes == 0) call->refusal = HM_REASON_ARGUMENT;
    for (int peer = 0; peer < comm->ranks; peer++) peer_lay(named, record, peer, type_bytes, call);
    call->send = record->send;
    call->recv = record->recv;
    call->send_bytes = record->send_bytes;
    call->recv_bytes = record->recv_bytes;
}

/* A call that is left alone, until NCCL has it. */
typedef struct hm_alone {
    hm_comm_t *comm; /* held and in use, so that nobody ends it just before NCCL gets it; NULL: none is known */
    bool tell;       /* call_replayed wants to know */
} hm_alone_t;

/* What became of a call that the library had: the ranks may have been asked, which takes a while, and an abort in that
 * time frees the handle. true: *result is what the job gets; else *alone is for named_left. */
static bool named_conclude(hm_comm_t *comm, hm_answer_t answer, hm_alone_t *alone, ncclResult_t *result)
{
    if (answer != HM_ANSWER_DONE && comm_use_begin(comm)) {
        comm_use_lengthen(comm);
        *alone = (hm_alone_t){comm, answer == HM_ANSWER_LEAVE_AND_TELL};
        return false;
    }
    if (answer != HM_ANSWER_DONE) *result = ncclInvalidUsage;
    comm_release(comm);
    return true;
}

/* Why a call by name is NCCL's alone; NONE: it is not. */
static hm_reason_t named_refusal(const hm_comm_t *comm)
{
    if (!comm->blocking) return HM_REASON_NON_BLOCKING;
    if (comm->ranks < 2) return HM_REASON_ONE_RANK;
    return hm_group.depth > 0 ? HM_REASON_MIXED : HM_REASON_NONE; /* of a group that is not held back any more */
}

/* true: *result is what the job gets; else *alone is for named_left. */
static bool named_run(const hm_named_t *named, ncclComm_t handle, cudaStream_t stream, hm_alone_t *alone,
                      ncclResult_t *result)
{
    *alone = (hm_alone_t){.comm = NULL};
    if (hm_group.busy) return false;
    hm_comm_t *comm = handle != NULL ? comm_find(handle) : NULL;
    if (comm == NULL) return false;
    hm_reason_t reason = named_refusal(comm);
    if (reason != HM_REASON_NONE) {
        comm_leave(comm, reason);
        comm_release(comm);
        return false;
    }
    hm_call_t call = {.comm = comm, .stream = stream};
    named_lay(named, comm, &call);
    return named_conclude(comm, group_run(&call, result), alone, result);
}

/* The call was made as it was, with this result. */
static ncclResult_t named_left(const hm_alone_t *alone, cudaStream_t stream, ncclResult_t result)
{
    if (alone->comm == NULL) return result;
    comm_use_end(alone->comm);
    if (alone->tell && result == ncclSuccess) call_replayed(alone->comm, stream);
    comm_release(alone->comm);
    return result;
}

/* Inside a group an equal call is held back like legs. NCCL takes a count of 0 for a call that was not made, so it is
 * not one that all ranks are known to make. true: *result is what the caller gets. */
static bool equal_run(hm_leg_kind_t kind, const void *from, void *to, size_t count, ncclDataType_t type,
                      ncclComm_t comm, cudaStream_t stream, hm_alone_t *alone, ncclResult_t *result)
{
    hm_named_t named = {.send = from, .recv = to, .count = count, .type = type};
    hm_leg_t leg = {.stream = stream, .from = from, .to = to, .count = count, .type = type, .kind = kind};
    *result = ncclSuccess;
    if (count == 0) return false;
    if (!group_capturing()) return named_run(&named, comm, stream, alone, result);
    return group_hold_whole(&leg, NULL, comm, result) || *result != ncclSuccess;
}

ncclResult_t hook_ncclAlltoAll(const hm_real_t *real, const void *sendbuff, void *recvbuff, size_t count,
                               ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
    hm_alone_t alone = {.comm = NULL};
    ncclResult_t result;
    if (equal_run(HM_LEG_ALLTOALL, sendbuff, recvbuff, count, type, comm, stream, &alone, &result)) return result;
    return named_left(&alone, stream, real->ncclAlltoAll(sendbuff, recvbuff, count, type, comm, stream));
}

ncclResult_t hook_ncclAllToAll(const hm_real_t *real, const void *sendbuff, void *recvbuff, size_t count,
                               ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
    hm_alone_t alone = {.comm = NULL};
    ncclResult_t result;
    if (equal_run(HM_LEG_ALLTOALL_ALIAS, sendbuff, recvbuff, count, type, comm, stream, &alone, &result)) return result;
    return named_left(&alone, stream, real->ncclAllToAll(sendbuff, recvbuff, count, type, comm, stream));
}

/* A config may ask for more than the transfer, such as an event: NCCL must see it. It is the same on all ranks by
 * NCCL's rules, so whether there is one is known alike to all. */
ncclResult_t hook_ncclAlltoAllConfig(const hm_real_t *real, const void *sendbuff, void *recvbuff, size_t count,
                                     ncclDataType_t type, ncclComm_t comm, cudaStream_t stream,
                                     const ncclCollConfig_t *config)
{
    hm_alone_t alone = {.comm = NULL};
    ncclResult_t result = config != NULL && group_capturing() ? group_flush(HM_REASON_MIXED) : ncclSuccess;
    if (result != ncclSuccess) return result;
    if (config == NULL && equal_run(HM_LEG_ALLTOALL, sendbuff, recvbuff, count, type, comm, stream, &alone, &result))
        return result;
    hm_comm_t *known = config != NULL && comm != NULL ? comm_find(comm) : NULL;
    if (known != NULL) {
        comm_leave(known, HM_REASON_CONFIG);
        comm_release(known);
    }
    return named_left(&alone, stream, real->ncclAlltoAllConfig(sendbuff, recvbuff, count, type, comm, stream, config));
}

/* As equal_run, but for the count of 0. */
static bool listed_run(const hm_lists_t *lists, const void *from, void *to, ncclDataType_t type, ncclComm_t comm,
                       cudaStream_t stream, hm_alone_t *alone, ncclResult_t *result)
{
    hm_named_t named = {.send = from, .recv = to, .lists = lists, .type = type};
    hm_leg_t leg = {.stream = stream, .from = from, .to = to, .type = type, .kind = HM_LEG_ALLTOALL_LISTS};
    *result = ncclSuccess;
    if (!group_capturing()) return named_run(&named, comm, stream, alone, result);
    return group_hold_whole(&leg, lists, comm, result) || *result != ncclSuccess;
}

ncclResult_t hook_ncclAllToAllv(const hm_real_t *real, const void *sendbuff, const size_t *sendcounts,
                                const size_t *sdispls, void *recvbuff, const size_t *recvcounts, const size_t *rdispls,
                                ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
    hm_lists_t lists = {sendcounts, sdispls, recvcounts, rdispls};
    bool given = sendcounts != NULL && sdispls != NULL && recvcounts != NULL && rdispls != NULL;
    hm_alone_t alone = {.comm = NULL};
    ncclResult_t result = !given && group_capturing() ? group_flush(HM_REASON_ARGUMENT) : ncclSuccess;
    if (result != ncclSuccess) return result;
    if (given && listed_run(&lists, sendbuff, recvbuff, type, comm, stream, &alone, &result)) return result;
    return named_left(
        &alone, stream,
        real->ncclAllToAllv(sendbuff, sendcounts, sdispls, recvbuff, recvcounts, rdispls, type, comm, stream));
}
