/* What the calling thread's NCCL group holds so far. NCCL keeps its groups per thread, and so does this. */
#ifndef HM_GROUP_H
#define HM_GROUP_H

#include "base/stats.h"
#include "call.h"
#include "comm.h"

#include <stdbool.h>
#include <stdint.h>

#define HM_GROUP_DEPTH 8   /* nested groups whose NCCL image is remembered */
#define HM_INLINE_PEERS 64 /* larger communicators cost one allocation per thread */

/* Room for one send and one receive per peer. */
typedef struct hm_record {
    int peers;
    const void **send;
    void **recv;
    size_t *send_count, *recv_count;
    int32_t *order; /* calls in the order made: 2 * peer for a send, 2 * peer + 1 for a receive */
    uint8_t *seen;  /* per peer: 1 send, 2 receive */
    void *memory;   /* NULL while the inline room is used */
} hm_record_t;

typedef struct hm_pending hm_pending_t;

typedef struct hm_group {
    bool capturing;                        /* the outermost group is open, and NCCL does not know yet */
    bool busy;                             /* the record is in use by call_run */
    int depth;                             /* open groups, the captured one included */
    const hm_real_t *real[HM_GROUP_DEPTH]; /* the image that each open group is for */
    ncclResult_t error;                    /* first error of a replayed call: due at the end of the group */
    hm_comm_t *comm;                       /* of the captured calls, with a reference; NULL before the first one */
    cudaStream_t stream;
    ncclDataType_t type;
    int calls; /* captured */
    hm_record_t record;
    hm_pending_t *pending; /* communicators to record when the outermost group ends */
} hm_group_t;

extern _Thread_local hm_group_t hm_group;

static inline bool group_capturing(void)
{
    return hm_group.capturing;
}

/* Hands everything captured so far to NCCL, in order, and stops capturing: from here on the group is NCCL's. `real` is
 * the image of the call that made it necessary. An error means that NCCL could not open its group. */
ncclResult_t group_flush(hm_reason_t reason, const hm_real_t *real);

/* The thread's record with room for `peers`, outside any group. NULL: no memory. */
hm_record_t *group_record(int peers);

/* Runs an all-to-all that lies in the thread's record: call_run's answer. */
hm_answer_t group_run(hm_comm_t *comm, hm_form_t form, ncclDataType_t type, cudaStream_t stream, ncclResult_t *result);

/* comm_add for *handle, now or when the outermost open group ends: NCCL may fill the handle in only there. `result` is
 * what the creating call returned. */
void group_comm_add(ncclComm_t *handle, const hm_real_t *real, bool blocking, ncclResult_t result);

#endif
