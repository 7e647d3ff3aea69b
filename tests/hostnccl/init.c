#include "comm.h"
#include "export.h"
#include "group.h"
#include "say.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct join {
    struct ncclComm *comm, **handle;
    ncclUniqueId id;
    int rank, ranks;
} join_t;

static ncclResult_t join_run(void *arg, char text[HOST_TEXT])
{
    join_t *join = arg;
    host_card_t mine = {.rank = join->rank};
    host_card_t *cards = calloc((size_t)join->ranks, sizeof *cards);
    ncclResult_t result = ncclSystemError;
    if (cards) {
        join->comm->id = bootstrap_nonce(&join->id);
        result = comm_open(join->comm, &mine, text);
        if (result == ncclSuccess)
            result =
                bootstrap_join(&join->comm->control.worker, &join->id, join->rank, join->ranks, &mine, cards, text);
        if (result == ncclSuccess) result = comm_connect(join->comm, join->rank, join->ranks, cards, text);
    }
    if (result != ncclSuccess) {
        *join->handle = NULL;
        comm_release(join->comm);
    }
    free(cards);
    free(join);
    return result;
}

static ncclResult_t init_rank(ncclComm_t *comm, int ranks, const ncclUniqueId *id, int rank, const ncclConfig_t *config)
{
    bool blocking = true;
    if (!comm || !id) return say_error(ncclInvalidArgument, "ncclCommInitRank: NULL where a communicator was expected");
    if (ranks < 1 || ranks > HOST_MAX_RANKS || rank < 0 || rank >= ranks)
        return say_error(ncclInvalidArgument, "ncclCommInitRank: rank %d of %d, expected 0 <= rank < ranks <= %d", rank,
                         ranks, HOST_MAX_RANKS);
    ncclResult_t result = config_blocking(config, &blocking);
    if (result != ncclSuccess) return result;
    join_t *join = calloc(1, sizeof *join);
    struct ncclComm *made = comm_create(blocking);
    if (!join || !made) {
        free(join);
        if (made) comm_release(made);
        return say_error(ncclSystemError, "no memory for a communicator");
    }
    *join = (join_t){made, comm, *id, rank, ranks};
    *comm = made;
    return group_init(join_run, join);
}

HOSTNCCL_API(ncclResult_t, ncclGetUniqueId, (ncclUniqueId * id))
{
    if (!id) return group_note(say_error(ncclInvalidArgument, "ncclGetUniqueId: NULL where an id was expected"));
    char text[HOST_TEXT] = "no memory or no random numbers for a unique id";
    ncclResult_t result = bootstrap_serve(id, text);
    return result == ncclSuccess ? result : say_error(result, "ncclGetUniqueId: %s", text);
}

HOSTNCCL_API(ncclResult_t, ncclCommInitRank, (ncclComm_t * comm, int nranks, ncclUniqueId commId, int rank))
{
    return group_note(init_rank(comm, nranks, &commId, rank, NULL));
}

HOSTNCCL_API(ncclResult_t, ncclCommInitRankConfig,
             (ncclComm_t * comm, int nranks, ncclUniqueId commId, int rank, ncclConfig_t *config))
{
    return group_note(init_rank(comm, nranks, &commId, rank, config));
}

/* One listener does for all; the other ids stay unused. */
HOSTNCCL_API(ncclResult_t, ncclCommInitRankScalable,
             (ncclComm_t * newcomm, int nranks, int myrank, int nId, ncclUniqueId *commIds, ncclConfig_t *config))
{
    if (nId < 1 || nId > nranks)
        return group_note(say_error(ncclInvalidArgument, "ncclCommInitRankScalable: %d ids for %d ranks", nId, nranks));
    return group_note(init_rank(newcomm, nranks, commIds, myrank, config));
}

HOSTNCCL_API(ncclResult_t, ncclCommInitAll, (ncclComm_t * comm, int ndev, const int *devlist))
{
    (void)comm, (void)ndev, (void)devlist;
    return group_note(say_error(ncclInvalidUsage,
                                "ncclCommInitAll: this library takes one rank per process or group "
                                "call; use ncclCommInitRank between ncclGroupStart and ncclGroupEnd"));
}

static ncclResult_t check_handle(const struct ncclComm *comm, const char *call)
{
    return comm_alive(comm) ? ncclSuccess : say_error(ncclInvalidArgument, "%s: not a communicator", call);
}

HOSTNCCL_API(ncclResult_t, ncclCommFinalize, (ncclComm_t comm))
{
    ncclResult_t result = check_handle(comm, "ncclCommFinalize");
    if (result != ncclSuccess) return result;
    if (atomic_load(&comm->stop)) return say_error(ncclInvalidUsage, "ncclCommFinalize: the communicator was revoked");
    if (comm->finalized) return say_error(ncclInvalidArgument, "ncclCommFinalize: finalized twice");
    comm_drain(comm);
    comm->finalized = true;
    if (!atomic_load(&comm->async)) comm_barrier(comm, worker_timeout());
    return (ncclResult_t)atomic_load(&comm->async);
}

/* Seconds that a rank waits for the others before it closes connections they might still read from. */
#define DESTROY_PATIENCE 5

HOSTNCCL_API(ncclResult_t, ncclCommDestroy, (ncclComm_t comm))
{
    ncclResult_t result = check_handle(comm, "ncclCommDestroy");
    if (result != ncclSuccess) return result;
    comm_drain(comm);
    if (!comm->finalized && !atomic_load(&comm->async) && !atomic_load(&comm->stop))
        comm_barrier(comm, DESTROY_PATIENCE);
    comm_stop(comm, HOST_ABORTED);
    char text[HOST_TEXT];
    if (fabric_unmatched(&comm->data, text))
        fprintf(stderr, "hostnccl: rank %d destroys a communicator that still has an unreceived message: %s\n",
                comm->rank, text);
    comm_release(comm);
    return ncclSuccess;
}

HOSTNCCL_API(ncclResult_t, ncclCommAbort, (ncclComm_t comm))
{
    ncclResult_t result = check_handle(comm, "ncclCommAbort");
    if (result != ncclSuccess) return result;
    comm_stop(comm, HOST_ABORTED);
    comm_release(comm);
    return ncclSuccess;
}

HOSTNCCL_API(ncclResult_t, ncclCommRevoke, (ncclComm_t comm, int revokeFlags))
{
    ncclResult_t result = check_handle(comm, "ncclCommRevoke");
    if (result != ncclSuccess) return result;
    if (revokeFlags != NCCL_REVOKE_DEFAULT)
        return say_error(ncclInvalidArgument, "ncclCommRevoke: flags %d, expected 0", revokeFlags);
    comm_stop(comm, HOST_REVOKED);
    return ncclSuccess;
}
