/* The same call made two ways in one process: by the names that a preloaded library may stand behind, and by NCCL's own
 * second names (pncclX), which nothing stands before. Both drive the same communicator. */
#ifndef HM_TESTS_NCCL_PAIR_H
#define HM_TESTS_NCCL_PAIR_H

#include "nccl_job.h"

#include <stdbool.h>

typedef struct nccl_way {
    const char *name;
    ncclResult_t (*group_start)(void);
    ncclResult_t (*group_end)(void);
    ncclResult_t (*send)(const void *buffer, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                         cudaStream_t stream);
    ncclResult_t (*recv)(void *buffer, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                         cudaStream_t stream);
    mp_alltoall_t alltoall; /* NULL before NCCL 2.28 */
    mp_alltoall_t allgather;
} nccl_way_t;

typedef struct nccl_pair {
    nccl_way_t job, plain;
    bool preloaded; /* the two differ */
} nccl_pair_t;

/* One all-to-all; buffers and counts (in elements) per peer. */
typedef struct nccl_exchange {
    const void *const *send;
    void *const *recv;
    const size_t *send_count, *recv_count;
    int ranks;
    bool by_name; /* one ncclAlltoAll: counts are equal, buffers follow each other */
    ncclDataType_t type;
    ncclComm_t comm;
    cudaStream_t stream;
    /* What few jobs do. */
    const ncclDataType_t *send_type, *recv_type; /* per peer, with counts in elements of it; NULL: type everywhere */
    cudaStream_t second;                         /* of odd peers' sends and receives; NULL: stream */
    bool left_out;                               /* no sends and receives of nothing, but with oneself */
    int rank;                                    /* oneself, for left_out */
    void (*inside)(void);                        /* called in the midst of a group, or NULL */
} nccl_exchange_t;

/* 0, or -ENOENT after a sentence: the loaded NCCL has no second names. */
int nccl_pair_open(nccl_pair_t *pair);

ncclResult_t nccl_exchange_issue(const nccl_exchange_t *exchange, const nccl_way_t *way);

#endif
