/* Work beside the job's stream, between cuda_fork and cuda_merge. */
#ifndef HM_CUDA_BESIDE_H
#define HM_CUDA_BESIDE_H

#include "cuda_context.h"

/* Orders context->beside.stream behind the last fork, and behind nothing that came after it; end marks the end of new
 * work on that stream. 0, or as cuda_check. */
int cuda_beside_begin(hm_context_t *context);
int cuda_beside_end(hm_context_t *context);

#endif
