#include "export.h"
#include "group.h"
#include "reduce.h"
#include "say.h"

#include <stdlib.h>

/* What every communication call checks at once. Fills in the task's stream and element size. */
static ncclResult_t check_task(host_task_t *task, cudaStream_t stream, const char *call)
{
    ncclResult_t result = comm_check(task->comm, call);
    if (result != ncclSuccess) return result;
    task->element = reduce_type_bytes(task->type);
    task->stream = stream_find((void *)stream);
    if (!task->element) return say_error(ncclInvalidArgument, "%s: %d is no data type", call, (int)task->type);
    if (!task->stream) return say_error(ncclInvalidArgument, "%s: the stream is none of hostncclStreamCreate", call);
    if (task->root < 0 || task->root >= task->comm->ranks)
        return say_error(ncclInvalidArgument, "%s: rank %d, expected 0 to %d", call, task->root, task->comm->ranks - 1);
    if (task->count > HOST_MAX_BYTES / task->element / (size_t)task->comm->ranks)
        return say_error(ncclInvalidArgument, "%s: %zu elements are more than this library can name", call,
                         task->count);
    return ncclSuccess;
}

static ncclResult_t check_buffer(const host_task_t *task, bool in, bool out, const char *call)
{
    if (task->count && ((in && !task->in) || (out && !task->out)))
        return say_error(ncclInvalidArgument, "%s: %zu elements with a NULL buffer", call, task->count);
    return ncclSuccess;
}

static ncclResult_t submit_p2p(host_task_t *task, cudaStream_t stream, const char *call)
{
    ncclResult_t result = check_task(task, stream, call);
    if (result == ncclSuccess) result = check_buffer(task, task->send, !task->send, call);
    return group_note(result == ncclSuccess ? group_add(task, 1) : result);
}

HOSTNCCL_API(ncclResult_t, ncclSend,
             (const void *sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
              cudaStream_t stream))
{
    host_task_t task = {HOST_P2P,       .send = true,     .comm = comm, .in = sendbuff,
                        .count = count, .type = datatype, .root = peer};
    return submit_p2p(&task, stream, "ncclSend");
}

HOSTNCCL_API(ncclResult_t, ncclRecv,
             (void *recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm, cudaStream_t stream))
{
    host_task_t task = {HOST_P2P, .comm = comm, .out = recvbuff, .count = count, .type = datatype, .root = peer};
    return submit_p2p(&task, stream, "ncclRecv");
}

/* All-to-all, gather and scatter: sends to the ranks of one range, receives from those of another, in equal blocks. */
static ncclResult_t submit_blocks(const host_task_t *base, const int sends[2], const int receives[2], const char *call)
{
    ncclResult_t result = check_buffer(base, sends[0] < sends[1], receives[0] < receives[1], call);
    if (result != ncclSuccess) return group_note(result);
    size_t used = 0, bytes = base->count * base->element;
    host_task_t *tasks = calloc(2 * (size_t)base->comm->ranks, sizeof *tasks);
    if (!tasks) return group_note(say_error(ncclSystemError, "%s: no memory", call));
    for (int i = sends[0]; i < sends[1]; i++) {
        tasks[used] = *base;
        tasks[used].send = true;
        tasks[used].in = (const char *)base->in + (sends[1] - sends[0] > 1 ? (size_t)i * bytes : 0);
        tasks[used++].root = i;
    }
    for (int i = receives[0]; i < receives[1]; i++) {
        tasks[used] = *base;
        tasks[used].out = (char *)base->out + (receives[1] - receives[0] > 1 ? (size_t)i * bytes : 0);
        tasks[used++].root = i;
    }
    result = group_add(tasks, used);
    free(tasks);
    return group_note(result);
}

HOSTNCCL_API(ncclResult_t, ncclAlltoAll,
             (const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, ncclComm_t comm,
              cudaStream_t stream))
{
    host_task_t task = {HOST_P2P, .comm = comm, .in = sendbuff, .out = recvbuff, .count = count, .type = datatype};
    ncclResult_t result = check_task(&task, stream, "ncclAlltoAll");
    if (result != ncclSuccess || !count) return group_note(result);
    return submit_blocks(&task, (int[]){0, comm->ranks}, (int[]){0, comm->ranks}, "ncclAlltoAll");
}

HOSTNCCL_API(ncclResult_t, ncclGather,
             (const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
              cudaStream_t stream))
{
    host_task_t task = {HOST_P2P,       .comm = comm,     .in = sendbuff, .out = recvbuff,
                        .count = count, .type = datatype, .root = root};
    ncclResult_t result = check_task(&task, stream, "ncclGather");
    if (result != ncclSuccess || !count) return group_note(result);
    int all = comm->rank == root ? comm->ranks : 0;
    return submit_blocks(&task, (int[]){root, root + 1}, (int[]){0, all}, "ncclGather");
}

HOSTNCCL_API(ncclResult_t, ncclScatter,
             (const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
              cudaStream_t stream))
{
    host_task_t task = {HOST_P2P,       .comm = comm,     .in = sendbuff, .out = recvbuff,
                        .count = count, .type = datatype, .root = root};
    ncclResult_t result = check_task(&task, stream, "ncclScatter");
    if (result != ncclSuccess || !count) return group_note(result);
    int all = comm->rank == root ? comm->ranks : 0;
    return submit_blocks(&task, (int[]){0, all}, (int[]){root, root + 1}, "ncclScatter");
}

static ncclResult_t submit_collective(host_task_t *task, cudaStream_t stream, bool reduces, bool in, bool out,
                                      const char *call)
{
    ncclResult_t result = check_task(task, stream, call);
    if (result == ncclSuccess) result = check_buffer(task, in, out, call);
    if (result == ncclSuccess && reduces && !reduce_supported(task->type, task->op))
        result = say_error(ncclInvalidArgument,
                           "%s: operation %d on data type %d; this library has sum, product, minimum and maximum of "
                           "8, 32 and 64 bit integers, float and double",
                           call, (int)task->op, (int)task->type);
    if (result != ncclSuccess || !task->count) return group_note(result); /* NCCL drops empty collectives */
    return group_note(group_add(task, 1));
}

HOSTNCCL_API(ncclResult_t, ncclAllReduce,
             (const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
              ncclComm_t comm, cudaStream_t stream))
{
    host_task_t task = {HOST_ALLREDUCE, .comm = comm,     .in = sendbuff, .out = recvbuff,
                        .count = count, .type = datatype, .op = op};
    return submit_collective(&task, stream, true, true, true, "ncclAllReduce");
}

HOSTNCCL_API(ncclResult_t, ncclReduceScatter,
             (const void *sendbuff, void *recvbuff, size_t recvcount, ncclDataType_t datatype, ncclRedOp_t op,
              ncclComm_t comm, cudaStream_t stream))
{
    host_task_t task = {HOST_REDUCE_SCATTER, .comm = comm,     .in = sendbuff, .out = recvbuff,
                        .count = recvcount,  .type = datatype, .op = op};
    return submit_collective(&task, stream, true, true, true, "ncclReduceScatter");
}

HOSTNCCL_API(ncclResult_t, ncclReduce,
             (const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op, int root,
              ncclComm_t comm, cudaStream_t stream))
{
    host_task_t task = {HOST_REDUCE,    .comm = comm,     .in = sendbuff, .out = recvbuff,
                        .count = count, .type = datatype, .op = op,       .root = root};
    return submit_collective(&task, stream, true, true, comm_alive(comm) && comm->rank == root, "ncclReduce");
}

HOSTNCCL_API(ncclResult_t, ncclAllGather,
             (const void *sendbuff, void *recvbuff, size_t sendcount, ncclDataType_t datatype, ncclComm_t comm,
              cudaStream_t stream))
{
    host_task_t task = {HOST_ALLGATHER,  .comm = comm,       .in = sendbuff,
                        .out = recvbuff, .count = sendcount, .type = datatype};
    return submit_collective(&task, stream, false, true, true, "ncclAllGather");
}

HOSTNCCL_API(ncclResult_t, ncclBroadcast,
             (const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
              cudaStream_t stream))
{
    host_task_t task = {HOST_BROADCAST, .comm = comm,     .in = sendbuff, .out = recvbuff,
                        .count = count, .type = datatype, .root = root};
    return submit_collective(&task, stream, false, comm_alive(comm) && comm->rank == root, true, "ncclBroadcast");
}

HOSTNCCL_API(ncclResult_t, ncclBcast,
             (void *buff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm, cudaStream_t stream))
{
    return pncclBroadcast(buff, buff, count, datatype, root, comm, stream);
}
