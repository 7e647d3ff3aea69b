/* All-to-alls by name. The call itself says that every rank takes part, so no caller has to be trusted. */
#include "base/fork.h"
#include "call.h"
#include "comm.h"
#include "group.h"
#include "hooks.h"

/* One call as it was made: count elements to and from each rank, or counts and displacements per rank. */
typedef struct hm_named {
    hm_form_t form;
    const void *send;
    void *recv;
    size_t count;
    const size_t *send_counts, *send_starts, *recv_counts, *recv_starts; /* NULL: count everywhere */
    ncclDataType_t type;
} hm_named_t;

/* Lays the call out in the thread's record. HM_REASON_NONE, or why not. */
static hm_reason_t named_lay(const hm_named_t *call, const hm_comm_t *comm)
{
    size_t bytes = nccl_type_bytes(call->type);
    if (!comm->blocking) return HM_REASON_NON_BLOCKING;
    if (comm->ranks < 2) return HM_REASON_ONE_RANK;
    if (bytes == 0) return HM_REASON_ARGUMENT;
    hm_record_t *record = group_record(comm->ranks);
    if (record == NULL) return HM_REASON_NO_RECORD;
    for (int peer = 0; peer < comm->ranks; peer++) {
        size_t at = (size_t)peer;
        record->send_count[peer] = call->send_counts != NULL ? call->send_counts[peer] : call->count;
        record->recv_count[peer] = call->send_counts != NULL ? call->recv_counts[peer] : call->count;
        size_t send_at = call->send_counts != NULL ? call->send_starts[peer] : at * call->count;
        size_t recv_at = call->send_counts != NULL ? call->recv_starts[peer] : at * call->count;
        if ((call->send == NULL && record->send_count[peer] != 0) ||
            (call->recv == NULL && record->recv_count[peer] != 0))
            return HM_REASON_ARGUMENT;
        record->send[peer] = call->send != NULL ? (const char *)call->send + send_at * bytes : NULL;
        record->recv[peer] = call->recv != NULL ? (char *)call->recv + recv_at * bytes : NULL;
    }
    return HM_REASON_NONE;
}

/* true: replaced, *result is what the job gets. false: the caller makes NCCL's call, then named_left. *alone: set to
 * the communicator, with a reference, where call_replayed must be told of that call. */
static bool named_run(const hm_named_t *call, ncclComm_t handle, cudaStream_t stream, hm_comm_t **alone,
                      ncclResult_t *result)
{
    if (hm_group.depth > 0 || hm_group.busy || fork_child()) return false;
    hm_comm_t *comm = handle != NULL ? comm_find(handle) : NULL;
    if (comm == NULL) return false;
    hm_answer_t answer = HM_ANSWER_LEAVE;
    hm_reason_t reason = named_lay(call, comm);
    if (reason == HM_REASON_NONE)
        answer = group_run(comm, call->form, call->type, stream, result);
    else
        comm_leave(comm, reason);
    if (answer == HM_ANSWER_LEAVE_AND_TELL)
        *alone = comm;
    else
        comm_release(comm);
    return answer == HM_ANSWER_DONE;
}

/* After NCCL's call, which gave this result. */
static ncclResult_t named_left(hm_comm_t *alone, cudaStream_t stream, ncclResult_t result)
{
    if (alone != NULL) {
        if (result == ncclSuccess) call_replayed(alone, stream);
        comm_release(alone);
    }
    return result;
}

/* Inside a group the call is one of many: NCCL gets them all. */
static ncclResult_t named_flush(const hm_real_t *real)
{
    return group_capturing() ? group_flush(HM_REASON_MIXED, real) : ncclSuccess;
}

/* For NCCL a call with count 0 does nothing, so other ranks need not make it: it is not looked at. */
static bool equal_run(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t type, ncclComm_t comm,
                      cudaStream_t stream, hm_comm_t **alone, ncclResult_t *result)
{
    hm_named_t call = {.form = HM_FORM_ALLTOALL, .send = sendbuff, .recv = recvbuff, .count = count, .type = type};
    return count != 0 && named_run(&call, comm, stream, alone, result);
}

ncclResult_t hook_ncclAlltoAll(const hm_real_t *real, const void *sendbuff, void *recvbuff, size_t count,
                               ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
    hm_comm_t *alone = NULL;
    ncclResult_t result = named_flush(real);
    if (result != ncclSuccess || equal_run(sendbuff, recvbuff, count, type, comm, stream, &alone, &result))
        return result;
    return named_left(alone, stream, real->ncclAlltoAll(sendbuff, recvbuff, count, type, comm, stream));
}

ncclResult_t hook_ncclAllToAll(const hm_real_t *real, const void *sendbuff, void *recvbuff, size_t count,
                               ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
    hm_comm_t *alone = NULL;
    ncclResult_t result = named_flush(real);
    if (result != ncclSuccess || equal_run(sendbuff, recvbuff, count, type, comm, stream, &alone, &result))
        return result;
    return named_left(alone, stream, real->ncclAllToAll(sendbuff, recvbuff, count, type, comm, stream));
}

/* A config may ask for more than the transfer, such as an event: NCCL must see it. It is the same on all ranks by
 * NCCL's rules, so whether there is one is known alike to all. */
ncclResult_t hook_ncclAlltoAllConfig(const hm_real_t *real, const void *sendbuff, void *recvbuff, size_t count,
                                     ncclDataType_t type, ncclComm_t comm, cudaStream_t stream,
                                     const ncclCollConfig_t *config)
{
    hm_comm_t *alone = NULL;
    ncclResult_t result = named_flush(real);
    if (result != ncclSuccess) return result;
    if (config == NULL && equal_run(sendbuff, recvbuff, count, type, comm, stream, &alone, &result)) return result;
    hm_comm_t *known = config != NULL && comm != NULL && !fork_child() ? comm_find(comm) : NULL;
    if (known != NULL) {
        comm_leave(known, HM_REASON_CONFIG);
        comm_release(known);
    }
    return named_left(alone, stream, real->ncclAlltoAllConfig(sendbuff, recvbuff, count, type, comm, stream, config));
}

ncclResult_t hook_ncclAllToAllv(const hm_real_t *real, const void *sendbuff, const size_t *sendcounts,
                                const size_t *sdispls, void *recvbuff, const size_t *recvcounts, const size_t *rdispls,
                                ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
    hm_named_t call = {.form = HM_FORM_ALLTOALLV,
                       .send = sendbuff,
                       .recv = recvbuff,
                       .send_counts = sendcounts,
                       .send_starts = sdispls,
                       .recv_counts = recvcounts,
                       .recv_starts = rdispls,
                       .type = type};
    hm_comm_t *alone = NULL;
    ncclResult_t result = named_flush(real);
    if (result != ncclSuccess) return result;
    if (sendcounts != NULL && sdispls != NULL && recvcounts != NULL && rdispls != NULL &&
        named_run(&call, comm, stream, &alone, &result))
        return result;
    return named_left(
        alone, stream,
        real->ncclAllToAllv(sendbuff, sendcounts, sdispls, recvbuff, recvcounts, rdispls, type, comm, stream));
}
