/* Communicators the job made: one record each, found by handle. */
#ifndef HM_COMM_H
#define HM_COMM_H

#include "base/log.h"
#include "base/stats.h"
#include "nccl_abi.h"
#include "real.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct hm_comm {
    ncclComm_t handle;
    const hm_real_t *real; /* functions of the NCCL image that made it */
    int ranks, rank;       /* never change; 0 ranks where NCCL did not tell, as for non-blocking communicators */
    bool blocking;         /* false where a config or NCCL_COMM_BLOCKING=0 asked for non-blocking */
    atomic_int cancelled;  /* set by abort, revoke, finalize and destroy: waits in the library end with an error */
    atomic_int use;        /* HM_USE_*: what the library itself is about to do with the handle; comm_use_begin */
    atomic_int users;      /* references held by calls in flight, plus one by the table; 0: the record is free */
    atomic_int aborted;    /* by ncclCommAbort or a revoke: other ranks may still be at work */
    atomic_int fate;       /* what becomes of every later call: comm_close, comm_fail; 0: calls are looked at */
    unsigned number;       /* 0, 1, ... in order of creation in this process; for messages */
    int64_t began_ms;      /* when it was made, ms since 1970; for statistics */
    hm_stats_seat_t seat;  /* comm_seat_set; for statistics */
    atomic_int seated;     /* `seat` is set, and stays as it is */
    hm_stats_t stats;
    struct hm_state *state; /* owned by state.c; NULL in a new record */
} hm_comm_t;

/* Records a communicator that NCCL has just made, and asks NCCL for its size if it is blocking. An older record of the
 * same handle is forgotten. Out of memory: said, and the communicator stays unknown. */
void comm_add(ncclComm_t handle, const hm_real_t *real, bool blocking);

/* The record, with a reference that comm_release gives back; NULL if this communicator was never seen. Takes no lock
 * when the calling thread asked for the same communicator lately. */
hm_comm_t *comm_find(ncclComm_t handle);

/* The last reference of a forgotten communicator writes its statistics and frees its state. */
void comm_release(hm_comm_t *comm);

/* Cancels waits; the record stays, so that children can be made from it. For revoke. Unknown handles are ignored.
 * Returns once no call inside the library uses the handle, as comm_take does. */
void comm_cancel(ncclComm_t handle);

/* Cancels waits and takes the record out of the table; call before NCCL gets to destroy, abort or finalize it. The
 * caller releases the record once NCCL is done, when nothing of it is on a stream any more. NULL if unknown.
 * Returns once no call inside the library uses the handle (comm_use_begin): from then on NCCL may free it. */
hm_comm_t *comm_take(ncclComm_t handle);

/* While a call is inside the library, it hands the handle to NCCL only between comm_use_begin and comm_use_end. Whoever
 * cancels the communicator waits for that; afterwards comm_use_begin says false, as NCCL may have freed the handle. One
 * thread at a time, without nesting. */
enum { HM_USE_NONE, HM_USE_SHORT, HM_USE_LONG };

/* For calls that wait for no other rank: sends and receives inside a group, questions. false: cancelled. */
static inline bool comm_use_begin(hm_comm_t *comm)
{
    atomic_store(&comm->use, HM_USE_SHORT); /* then read cancelled; who cancels writes cancelled, then reads use */
    if (atomic_load(&comm->cancelled) == 0) return true;
    atomic_store(&comm->use, HM_USE_NONE);
    return false;
}

/* The one call that follows may wait for other ranks, and NCCL's abort ends it. So whoever cancels waits only a moment:
 * the calling thread may have lost its core just before that call. */
static inline void comm_use_lengthen(hm_comm_t *comm)
{
    atomic_store(&comm->use, HM_USE_LONG);
}

static inline void comm_use_end(hm_comm_t *comm)
{
    atomic_store(&comm->use, HM_USE_NONE);
}

/* Waits for the use of a communicator whose `cancelled` is set: for a short one until it is over, for a long one 0.2 s
 * at most. */
void comm_use_wait(const hm_comm_t *comm);

/* comm_take and comm_release at once: for a communicator that is gone already. */
void comm_drop(ncclComm_t handle);

/* The one verdict on whether a communicator is usable; the first one stays. comm_close: all ranks leave every call
 * alone from here on, for this reason. comm_fail: every later all-to-all fails with `result`, because this rank missed
 * one or the ranks can no longer tell which messages belong together. Any thread. */
static inline void comm_close(hm_comm_t *comm, hm_reason_t reason)
{
    int undecided = 0;
    atomic_compare_exchange_strong(&comm->fate, &undecided, (int)reason);
}

static inline void comm_fail(hm_comm_t *comm, ncclResult_t result)
{
    int undecided = 0;
    atomic_compare_exchange_strong(&comm->fate, &undecided, -(int)result);
}

/* The reason of comm_close, else HM_REASON_NONE. */
static inline hm_reason_t comm_closed(const hm_comm_t *comm)
{
    int fate = atomic_load_explicit(&comm->fate, memory_order_relaxed);
    return fate > 0 ? (hm_reason_t)fate : HM_REASON_NONE;
}

/* The result of comm_fail, else ncclSuccess. */
static inline ncclResult_t comm_failure(const hm_comm_t *comm)
{
    int fate = atomic_load_explicit(&comm->fate, memory_order_relaxed);
    return fate < 0 ? (ncclResult_t)-fate : ncclSuccess;
}

/* Notes for the statistics where this rank sits. Once, when the ranks have met. */
static inline void comm_seat_set(hm_comm_t *comm, const hm_stats_seat_t *seat)
{
    if (atomic_load(&comm->seated) != 0) return;
    comm->seat = *seat;
    atomic_store_explicit(&comm->seated, 1, memory_order_release);
}

/* Says one line about a communicator, or about none where comm is NULL: log_say with its rank. */
void comm_say(hm_log_t level, const hm_comm_t *comm, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Counts a call left alone; the first one for this communicator and reason is said at debug level INFO. */
void comm_leave(hm_comm_t *comm, hm_reason_t reason);

/* The NCCL that made the communicator, or `other` if it is not known. */
const hm_real_t *comm_real(ncclComm_t handle, const hm_real_t *other);

#endif
