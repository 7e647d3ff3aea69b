/* One all-to-all of known rows, for jobs that do something odd around it. */
#ifndef ROUGH_CALL_H
#define ROUGH_CALL_H

#include "random_data.h"
#include "ranks.h"

typedef struct call {
    data_buffers_t data;
    data_shape_t shape;
} call_t;

/* `rows` rows of 512 bytes for every peer, out of six tokens. */
void call_make(const ranks_t *ranks, size_t rows, uint64_t salt, call_t *call);
/* Ends the process where a byte is wrong; frees the call. */
void call_check(const ranks_t *ranks, size_t rows, uint64_t salt, call_t *call);

/* The function that issues groups, for HIERMOE_TRUST. */
ncclResult_t odd_all_to_all(const ranks_t *ranks, const call_t *call, ncclComm_t comm, cudaStream_t stream);

/* All of it, and the stream waited for. */
void round_run(const ranks_t *ranks, ncclComm_t comm, cudaStream_t stream, size_t rows, uint64_t salt);

#endif
