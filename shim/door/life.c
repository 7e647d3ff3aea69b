/* Communicators come and go: every call that makes one is followed by a record, every call that ends one is preceded by
 * the end of its record. */
#include "comm.h"
#include "group.h"
#include "hooks.h"
#include "pending.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Hands captured calls to NCCL first. */
#define HM_FLUSH(real) \
    do { \
        ncclResult_t flushed = group_capturing() ? group_flush(HM_REASON_MIXED) : ncclSuccess; \
        if (flushed != ncclSuccess) return flushed; \
    } while (0)

/* The same before an end that must not wait for the communicator's other ranks. */
static void flush_before_end(ncclComm_t ending)
{
    if (group_capturing()) group_flush_before_end(ending);
}

/* NCCL_COMM_BLOCKING as NCCL reads it: once, with its first communicator; text that begins with no number is 0. Read
 * after NCCL's call, which may have put settings from its files into the environment. -1: neither 0 nor 1. */
static int environment_read(void)
{
    const char *text = getenv("NCCL_COMM_BLOCKING");
    if (text == NULL || *text == '\0') return -1;
    errno = 0;
    int value = (int)strtoll(text, NULL, 0); /* NCCL cuts it, too */
    return errno == 0 && (value == 0 || value == 1) ? value : -1;
}

/* What the variable was when this NCCL read it. */
static int environment_blocking(const hm_real_t *real)
{
    static atomic_int values[HM_REALS]; /* 2 more than the value; 0: not read yet */
    int value = atomic_load(&values[real->number]), now;
    if (value != 0) return value - 2;
    now = environment_read() + 2;
    return atomic_compare_exchange_strong(&values[real->number], &value, now) ? now - 2 : value - 2;
}

/* What NCCL makes of a config: NCCL_COMM_BLOCKING wins, then the config's field, then blocking. */
static bool config_blocking(const hm_real_t *real, const ncclConfig_t *config)
{
    int value = environment_blocking(real);
    if (value >= 0) return value == 1;
    return config == NULL || config->blocking == HM_NCCL_UNDEF_INT || config->blocking == 1;
}

/* A child without a config is like its parent; where that is unknown, non-blocking is the safe guess. */
static bool child_blocking(const hm_real_t *real, ncclComm_t parent, const ncclConfig_t *config)
{
    if (config != NULL || parent == NULL) return config_blocking(real, config);
    hm_comm_t *comm = comm_find(parent);
    bool blocking = comm != NULL && comm->blocking;
    if (comm != NULL) comm_release(comm);
    return blocking;
}

/* NCCL has made *comm, or not. */
static ncclResult_t life_begin(const hm_real_t *real, ncclComm_t *comm, const ncclConfig_t *config, ncclResult_t result)
{
    if (result == ncclSuccess || result == ncclInProgress)
        pending_add(comm, real, config_blocking(real, config), result);
    return result;
}

ncclResult_t hook_ncclCommInitRank(const hm_real_t *real, ncclComm_t *comm, int ranks, ncclUniqueId id, int rank)
{
    HM_FLUSH(real);
    return life_begin(real, comm, NULL, real->ncclCommInitRank(comm, ranks, id, rank));
}

ncclResult_t hook_ncclCommInitRankConfig(const hm_real_t *real, ncclComm_t *comm, int ranks, ncclUniqueId id, int rank,
                                         ncclConfig_t *config)
{
    HM_FLUSH(real);
    return life_begin(real, comm, config, real->ncclCommInitRankConfig(comm, ranks, id, rank, config));
}

ncclResult_t hook_ncclCommInitRankScalable(const hm_real_t *real, ncclComm_t *comm, int ranks, int rank, int ids,
                                           ncclUniqueId *id, ncclConfig_t *config)
{
    HM_FLUSH(real);
    return life_begin(real, comm, config, real->ncclCommInitRankScalable(comm, ranks, rank, ids, id, config));
}

ncclResult_t hook_ncclCommInitAll(const hm_real_t *real, ncclComm_t *comms, int devices, const int *list)
{
    HM_FLUSH(real);
    ncclResult_t result = real->ncclCommInitAll(comms, devices, list);
    for (int i = 0; comms != NULL && i < devices; i++) life_begin(real, &comms[i], NULL, result);
    return result;
}

ncclResult_t hook_ncclCommSplit(const hm_real_t *real, ncclComm_t comm, int color, int key, ncclComm_t *child,
                                ncclConfig_t *config)
{
    HM_FLUSH(real);
    ncclResult_t result = real->ncclCommSplit(comm, color, key, child, config);
    pending_add(child, real, child_blocking(real, comm, config), result);
    return result;
}

ncclResult_t hook_ncclCommShrink(const hm_real_t *real, ncclComm_t comm, int *excluded, int excluded_count,
                                 ncclComm_t *child, ncclConfig_t *config, int flags)
{
    if ((flags & HM_NCCL_SHRINK_ABORT) != 0) flush_before_end(comm);
    HM_FLUSH(real);
    bool blocking = child_blocking(real, comm, config);
    if ((flags & HM_NCCL_SHRINK_ABORT) != 0) comm_cancel(comm);
    ncclResult_t result = real->ncclCommShrink(comm, excluded, excluded_count, child, config, flags);
    pending_add(child, real, blocking, result);
    return result;
}

ncclResult_t hook_ncclCommGrow(const hm_real_t *real, ncclComm_t comm, int ranks, const ncclUniqueId *id, int rank,
                               ncclComm_t *child, ncclConfig_t *config)
{
    HM_FLUSH(real);
    ncclResult_t result = real->ncclCommGrow(comm, ranks, id, rank, child, config);
    pending_add(child, real, child_blocking(real, comm, config), result);
    return result;
}

/* The record goes last: NCCL may use our memory until its call returns. */
#define HM_END(name, aborts) \
    ncclResult_t hook_##name(const hm_real_t *real, ncclComm_t comm) \
    { \
        if (aborts) flush_before_end(comm); \
        HM_FLUSH(real); \
        hm_comm_t *known = comm_take(comm); \
        if (known != NULL && (aborts)) atomic_store(&known->aborted, 1); \
        ncclResult_t result = real->name(comm); \
        if (known != NULL) comm_release(known); \
        return result; \
    }

HM_END(ncclCommFinalize, false)
HM_END(ncclCommDestroy, false)
HM_END(ncclCommAbort, true)

ncclResult_t hook_ncclCommRevoke(const hm_real_t *real, ncclComm_t comm, int flags)
{
    flush_before_end(comm);
    comm_cancel(comm);
    return real->ncclCommRevoke(comm, flags);
}
