#include "front_double.h"

#include <stdio.h>
#include <string.h>

hm_double_t front_double;

static void note(const char *text, int peer)
{
    size_t at = strlen(front_double.calls);
    snprintf(front_double.calls + at, sizeof front_double.calls - at, peer < 0 ? "%s " : "%s%d ", text, peer);
}

static void call_note(const char *text, int peer, ncclComm_t comm)
{
    note(text, peer);
    if (front_double.made != NULL) front_double.made(comm);
}

static ncclResult_t start(void)
{
    note("<", -1);
    return front_double.start;
}

static ncclResult_t end(void)
{
    note(">", -1);
    return front_double.end;
}

static ncclResult_t send(const void *buff, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                         cudaStream_t stream)
{
    (void)buff, (void)count, (void)type, (void)stream;
    call_note("S", peer, comm);
    return front_double.send;
}

static ncclResult_t recv(void *buff, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream)
{
    (void)buff, (void)count, (void)type, (void)stream;
    call_note("R", peer, comm);
    return ncclSuccess;
}

static ncclResult_t all_to_all(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t type, ncclComm_t comm,
                               cudaStream_t stream)
{
    (void)sendbuff, (void)recvbuff, (void)type, (void)stream;
    front_double.count = count;
    call_note("A", -1, comm);
    return front_double.send;
}

static ncclResult_t all_to_all_config(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t type,
                                      ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t *config)
{
    (void)config;
    return all_to_all(sendbuff, recvbuff, count, type, comm, stream);
}

static ncclResult_t all_to_all_v(const void *sendbuff, const size_t *sendcounts, const size_t *sdispls, void *recvbuff,
                                 const size_t *recvcounts, const size_t *rdispls, ncclDataType_t type, ncclComm_t comm,
                                 cudaStream_t stream)
{
    (void)sdispls, (void)recvcounts, (void)rdispls;
    return all_to_all(sendbuff, recvbuff, sendcounts[front_double.ranks - 1], type, comm, stream);
}

static ncclResult_t ranks(const ncclComm_t comm, int *count)
{
    *count = front_double.ranks;
    return comm != NULL ? ncclSuccess : ncclInvalidArgument;
}

static ncclResult_t rank(const ncclComm_t comm, int *number)
{
    *number = 0;
    return comm != NULL ? ncclSuccess : ncclInvalidArgument;
}

const hm_real_t front_real = {.path = "double",
                              .ncclGroupStart = start,
                              .ncclGroupEnd = end,
                              .ncclSend = send,
                              .ncclRecv = recv,
                              .ncclAlltoAll = all_to_all,
                              .ncclAllToAll = all_to_all,
                              .ncclAlltoAllConfig = all_to_all_config,
                              .ncclAllToAllv = all_to_all_v,
                              .ncclCommCount = ranks,
                              .ncclCommUserRank = rank};

hm_answer_t call_run(const hm_call_t *call, ncclResult_t *result)
{
    front_double.runs++;
    front_double.call = *call;
    if (front_double.inside != NULL) front_double.inside(call);
    if (front_double.refusals < 8) front_double.refusal[front_double.refusals++] = call->refusal;
    if (front_double.enter && call->enter != NULL && (*result = call->enter()) != ncclSuccess) return HM_ANSWER_DONE;
    if (front_double.answer == HM_ANSWER_DONE) *result = ncclSuccess;
    return front_double.answer;
}

void call_replayed(struct hm_comm *comm, cudaStream_t stream)
{
    (void)comm;
    front_double.replayed += stream == front_double.call.stream && front_double.calls[0] != 0;
}

void state_destroy(struct hm_comm *comm)
{
    __atomic_add_fetch(&front_double.destroyed, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&front_double.aborted, comm->aborted, __ATOMIC_RELAXED);
}

int front_reset(void **state)
{
    (void)state;
    memset(&front_double, 0, sizeof front_double);
    front_double.answer = HM_ANSWER_DONE;
    front_double.enter = true;
    front_double.ranks = 4;
    return 0;
}
