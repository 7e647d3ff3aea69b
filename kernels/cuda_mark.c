/* Times along streams. */
#include "cuda_parts.h"

#include <errno.h>

int cuda_mark(hm_context_t *context, void *stream, int slot)
{
    const hm_cuda_t *cuda = context->cuda;
    hm_cuda_entry_t entry;
    CUresult result = CUDA_SUCCESS;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    if (context->mark[slot] == NULL) result = cuda->cuEventCreate_(&context->mark[slot], CU_EVENT_DEFAULT);
    if (result == CUDA_SUCCESS) result = cuda->cuEventRecord_(context->mark[slot], stream);
    status = cuda_check(context, result, "recording a time");
    cuda_leave(context, &entry);
    return status;
}

/* An error of the device is not looked for here: it shows where work is waited for. */
int cuda_span(hm_context_t *context, int from, int to, double *ms)
{
    hm_cuda_entry_t entry;
    float read = 0;
    if (context->mark[from] == NULL || context->mark[to] == NULL) return -EAGAIN;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    CUresult result = context->cuda->event_elapsed(&read, context->mark[from], context->mark[to]);
    cuda_leave(context, &entry);
    if (result != CUDA_SUCCESS) return -EAGAIN;
    *ms = (double)read;
    return 0;
}

void cuda_mark_close(hm_context_t *context)
{
    for (int i = 0; i < HM_MARKS; i++)
        if (context->mark[i] != NULL) context->cuda->cuEventDestroy_(context->mark[i]);
}
