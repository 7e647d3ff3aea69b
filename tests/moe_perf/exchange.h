/* The calls that are measured, alone in functions whose names a list of trusted callers can hold. */
#ifndef MP_EXCHANGE_H
#define MP_EXCHANGE_H

#include "nccl_job.h"

/* One send and one receive of each peer of an all-to-all; counts are elements of `type`, peers' parts lie one after
 * the other in the buffers. Both buffers may be NULL where all their counts are 0. */
typedef struct mp_exchange {
    const void *send;
    void *recv;
    const size_t *send_count, *recv_count; /* [ranks] */
    int ranks;
    ncclDataType_t type;
    size_t type_bytes;
    ncclComm_t comm;
    cudaStream_t stream;
} mp_exchange_t;

/* As PyTorch issues all_to_all_single: in one group, for each peer a send, then a receive; self and zeros too. */
ncclResult_t moe_perf_all_to_all_v(const mp_exchange_t *exchange);

/* As one ncclAlltoAll; all counts are equal. */
ncclResult_t moe_perf_all_to_all(const mp_exchange_t *exchange, mp_alltoall_t alltoall);

#endif
