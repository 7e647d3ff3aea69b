/* Work beside the job's stream: a stream of our own between two events on the job's. */
#include "cuda_beside.h"

#include "cuda_parts.h"

int cuda_beside_open(hm_context_t *context)
{
    const hm_cuda_t *cuda = context->cuda;
    hm_cuda_beside_t *beside = &context->beside;
    CUresult result = cuda->cuStreamCreate_(&beside->stream, CU_STREAM_NON_BLOCKING);
    if (result == CUDA_SUCCESS) result = cuda->cuEventCreate_(&beside->forked, CU_EVENT_DISABLE_TIMING);
    if (result == CUDA_SUCCESS) result = cuda->cuEventCreate_(&beside->joined, CU_EVENT_DISABLE_TIMING);
    return cuda_check(context, result, "preparing work beside a stream");
}

void cuda_beside_close(hm_context_t *context)
{
    const hm_cuda_t *cuda = context->cuda;
    hm_cuda_beside_t *beside = &context->beside;
    if (beside->stream != NULL) cuda->cuStreamDestroy_(beside->stream);
    if (beside->forked != NULL) cuda->cuEventDestroy_(beside->forked);
    if (beside->joined != NULL) cuda->cuEventDestroy_(beside->joined);
}

int cuda_beside_begin(hm_context_t *context)
{
    const hm_cuda_t *cuda = context->cuda;
    CUstream stream = context->beside.stream;
    CUresult result = cuda->cuStreamWaitEvent_(stream, context->beside.forked, 0);
    /* The job's stream has yet to wait for the allocation too, so that the order stays fresh. */
    if (result == CUDA_SUCCESS && context->order.fresh)
        result = cuda->cuStreamWaitEvent_(stream, context->order.allocated, 0);
    return cuda_check(context, result, "ordering work beside a stream");
}

int cuda_beside_end(hm_context_t *context)
{
    CUresult result = context->cuda->cuEventRecord_(context->beside.joined, context->beside.stream);
    return cuda_check(context, result, "recording an event");
}

int cuda_fork(hm_context_t *context, void *stream)
{
    hm_cuda_entry_t entry;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = cuda_check(context, context->cuda->cuEventRecord_(context->beside.forked, stream), "recording an event");
    cuda_leave(context, &entry);
    return status;
}

/* An event that was never recorded holds nothing up. */
int cuda_merge(hm_context_t *context, void *stream)
{
    hm_cuda_entry_t entry;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = cuda_begin(context, stream);
    if (status == 0)
        status = cuda_check(context, context->cuda->cuStreamWaitEvent_(stream, context->beside.joined, 0),
                            "ordering a stream");
    if (status == 0) status = cuda_end(context, stream);
    cuda_leave(context, &entry);
    return status;
}
