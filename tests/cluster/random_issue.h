/* One random all-to-all of a rank, by the names that the library intercepts and by NCCL's own pncclX. */
#ifndef RANDOM_ISSUE_H
#define RANDOM_ISSUE_H

#include "random_data.h"
#include "ranks.h"

#include <pthread.h>
#include <stdatomic.h>

/* The functions of one way to NCCL. */
typedef struct way {
    ncclResult_t (*group_start)(void);
    ncclResult_t (*group_end)(void);
    ncclResult_t (*send)(const void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
    ncclResult_t (*recv)(void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
    ncclResult_t (*all_to_all)(const void *, void *, size_t, ncclDataType_t, ncclComm_t, cudaStream_t);
} way_t;

/* Past the library. Ends the process where the library is not preloaded. */
way_t way_plain(void);

typedef struct place {
    ncclComm_t comm;
    int ranks, rank;
} place_t;

/* Holds a stream back. Stays in its place until the stream has run. */
typedef struct gate {
    bool timed; /* another thread opens it after `us`; else the thread that makes the call, once it has returned */
    size_t us;
    atomic_bool open;
    pthread_t opener;
} gate_t;

/* One call on this rank: buffers, the drawn counts they were made for, and what is odd about it here. */
typedef struct call {
    const place_t *place;
    cudaStream_t stream[2]; /* legs that are `second` are on the second one */
    data_shape_t shape;
    data_buffers_t data;
    bool plain_first, split; /* split: legs are on both streams */
    bool gated;              /* a stream is held back, the second one where split; rows are written behind that */
    int fork_at;             /* the leg before which the process forks; -1: it does not */
    gate_t gate;
} call_t;

/* The call by the intercepted names; the only one that may fail: where its communicator is aborted meanwhile. */
ncclResult_t call_intercepted(const call_t *call);

/* Both ways, one after the other, behind the gate. Ends the process where one fails. The call stays in its place until
 * the streams have run. */
void call_both(const way_t *plain, call_t *call);

/* What a child of this process does with NCCL; its exit status is 0. */
void child_run(void) __attribute__((noreturn));

#endif
