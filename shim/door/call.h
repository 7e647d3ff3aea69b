/* One all-to-all on its way through the door: from a recognised call to its replacement or its refusal. */
#ifndef HM_CALL_H
#define HM_CALL_H

#include "base/stats.h"
#include "nccl_abi.h"

#include <stddef.h>

struct hm_comm;

/* One recognised all-to-all of this rank. Arrays have comm->ranks entries, indexed by peer. A buffer may be NULL where
 * its bytes are 0. Lives on the caller's stack or in the thread's capture record. */
typedef struct hm_call {
    struct hm_comm *comm;
    cudaStream_t stream;
    const void *const *send;
    void *const *recv;
    const size_t *send_bytes, *recv_bytes;
    hm_reason_t refusal; /* why this rank cannot have it replaced; the other ranks hear of it. NONE: it can */
    /* Called once before the library's own first NCCL call for it, NULL for nothing to do. An error ends the call. */
    ncclResult_t (*enter)(void);
} hm_call_t;

typedef enum hm_answer {
    HM_ANSWER_DONE,          /* *result is what the job gets */
    HM_ANSWER_LEAVE,         /* nothing was enqueued that the job could see: the caller makes the call as it was */
    HM_ANSWER_LEAVE_AND_TELL /* the same, and the caller tells by call_replayed once NCCL has it, so that it is timed */
} hm_answer_t;

/* Runs the call in place of NCCL, or says what to do with it. The reason for leaving it is counted in the
 * communicator's statistics. Outside any group of NCCL's once `enter` has returned. */
hm_answer_t call_run(const hm_call_t *call, ncclResult_t *result);

/* A call that was to be told of is enqueued. */
void call_replayed(struct hm_comm *comm, cudaStream_t stream);

/* Frees what call_run keeps per communicator (comm->state). */
void state_destroy(struct hm_comm *comm);

#endif
