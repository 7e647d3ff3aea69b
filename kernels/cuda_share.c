/* Memory that other processes on this machine can read. */
#include "cuda_context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(CUipcMemHandle) <= HM_TICKET, "a ticket holds what CUDA needs to reach memory");

/* Of the plain allocator: a pool's memory cannot be shared this way. Never freed before the context ends, since that
 * may wait for all work of the device. */
int cuda_share(hm_context_t *context, size_t bytes, void **memory, unsigned char *ticket)
{
    const hm_cuda_t *cuda = context->cuda;
    hm_cuda_entry_t entry;
    CUipcMemHandle handle;
    hm_shared_t *shared = malloc(sizeof *shared);
    int status = shared == NULL ? -ENOMEM : cuda_enter(context, &entry);
    if (status == 0) {
        if (cuda->cuMemAlloc_(&shared->memory, bytes) != CUDA_SUCCESS) status = -ENOMEM;
        memset(ticket, 0, HM_TICKET);
        if (status == 0 && cuda->cuIpcGetMemHandle_(&handle, shared->memory) == CUDA_SUCCESS)
            memcpy(ticket, &handle, sizeof handle);
        cuda_leave(context, &entry);
    }
    if (status != 0) {
        free(shared);
        return status;
    }
    shared->next = context->shared;
    context->shared = shared;
    *memory = (void *)(uintptr_t)shared->memory;
    return 0;
}

int cuda_window_open(hm_context_t *context, const unsigned char *ticket, void **window)
{
    static const unsigned char nobody[HM_TICKET];
    hm_cuda_entry_t entry;
    CUipcMemHandle handle;
    CUdeviceptr memory;
    if (memcmp(ticket, nobody, HM_TICKET) == 0) return -ENOTSUP;
    memcpy(&handle, ticket, sizeof handle);
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    CUresult result = context->cuda->cuIpcOpenMemHandle_(&memory, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
    cuda_leave(context, &entry);
    if (result != CUDA_SUCCESS) return -ENOTSUP;
    *window = (void *)(uintptr_t)memory;
    return 0;
}

void cuda_window_close(hm_context_t *context, void *window)
{
    hm_cuda_entry_t entry;
    if (cuda_enter(context, &entry) != 0) return;
    context->cuda->cuIpcCloseMemHandle_((CUdeviceptr)(uintptr_t)window);
    cuda_leave(context, &entry);
}

void cuda_share_free(hm_context_t *context, bool idle)
{
    while (context->shared != NULL) {
        hm_shared_t *shared = context->shared;
        context->shared = shared->next;
        if (idle) context->cuda->cuMemFree_(shared->memory);
        free(shared);
    }
}
