/* The way of one all-to-all, from the recognised call to its replacement or its refusal. */
#ifndef HM_CALL_H
#define HM_CALL_H

#include "nccl_abi.h"

#include <stdbool.h>

struct hm_comm;

/* Calls that are all-to-alls by name, and the group form that PyTorch issues. */
typedef enum hm_form { HM_FORM_GROUP, HM_FORM_ALLTOALL, HM_FORM_ALLTOALLV, HM_FORMS } hm_form_t;

/* One recognised all-to-all of this rank. Arrays have comm->ranks entries, indexed by peer; counts are elements of
 * `type`. A buffer may be NULL where its count is 0. Lives on the caller's stack or in the thread's capture record. */
typedef struct hm_call {
    struct hm_comm *comm;
    cudaStream_t stream;
    ncclDataType_t type;
    size_t type_bytes;
    hm_form_t form;
    const void *const *send;
    void *const *recv;
    const size_t *send_count;
    const size_t *recv_count;
} hm_call_t;

typedef enum hm_answer {
    HM_ANSWER_DONE,          /* *result is what the job gets */
    HM_ANSWER_LEAVE,         /* nothing was enqueued that the job could see: the caller makes the call as it was */
    HM_ANSWER_LEAVE_AND_TELL /* the same, and the caller tells by call_replayed once NCCL has it, so that it is timed */
} hm_answer_t;

/* Runs the call in place of NCCL, or says what to do with it. The reason for leaving it is counted in the
 * communicator's statistics. */
hm_answer_t call_run(const hm_call_t *call, ncclResult_t *result);

/* A call that was to be told of is enqueued. */
void call_replayed(struct hm_comm *comm, cudaStream_t stream);

/* Frees what call_run keeps per communicator (comm->state). */
void state_destroy(struct hm_comm *comm);

#endif
