/* Device memory in stream order: neither call waits for the device. */
#ifndef HM_CUDA_MEMORY_H
#define HM_CUDA_MEMORY_H

#include "cuda_context.h"

/* 0, or as cuda_check. Both inside cuda_enter and cuda_leave. */
int cuda_alloc(hm_context_t *context, size_t bytes, CUdeviceptr *memory);
/* Behind all work of the context so far. */
void cuda_free(hm_context_t *context, CUdeviceptr memory);

/* Pinned memory that both sides see; 0, or as cuda_check. Inside cuda_enter and cuda_leave. Given back by
 * cuda_host_free. */
int cuda_pinned_alloc(hm_context_t *context, size_t bytes, void **memory);

#endif
