/* Staging: memory through which the host hands small tables to the device. */
#ifndef HM_CUDA_STAGE_H
#define HM_CUDA_STAGE_H

#include "cuda_context.h"

/* A table on its way to the device. */
typedef struct hm_stage {
    unsigned char *host;
    CUdeviceptr device;
} hm_stage_t;

/* Memory for `bytes` of a table, both sides on 16 bytes. Valid until work enqueued before the next cuda_end is done.
 * Call before cuda_begin: it may allocate, or wait for earlier work where there is no memory. 0, or as cuda_check. */
int cuda_stage(hm_context_t *context, size_t bytes, hm_stage_t *stage);

/* Enqueues the carrying of the first `bytes` of a table, a multiple of 16. */
int cuda_stage_send(hm_context_t *context, CUstream stream, const hm_stage_t *stage, size_t bytes);

#endif
