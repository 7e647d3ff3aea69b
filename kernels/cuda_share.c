/* Memory that other processes on this machine can read. */
#include "cuda_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(CUipcMemHandle) <= HM_TICKET, "a ticket holds what CUDA needs to reach memory");

/* From the plain allocator: a pool's memory cannot be shared this way. Freed only when the context ends, since freeing
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
    shared->next = context->shares.own;
    context->shares.own = shared;
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
    hm_shared_t *opened = malloc(sizeof *opened);
    if (opened == NULL || cuda_enter(context, &entry) != 0) {
        free(opened);
        return -ENOTSUP;
    }
    memcpy(&handle, ticket, sizeof handle);
    CUresult result = context->cuda->cuIpcOpenMemHandle_(&memory, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
    cuda_leave(context, &entry);
    if (result != CUDA_SUCCESS) {
        free(opened);
        return -ENOTSUP;
    }
    *opened = (hm_shared_t){.next = context->shares.windows, .memory = memory};
    context->shares.windows = opened;
    *window = (void *)(uintptr_t)memory;
    return 0;
}

void cuda_abandon(hm_context_t *context)
{
    context->shares.abandoned = true;
}

bool cuda_share_pending(const hm_context_t *context)
{
    return context->shares.own != NULL && !context->shares.abandoned;
}

/* Memory and windows that may be in use stay as they are. */
void cuda_share_close(hm_context_t *context, bool idle)
{
    const hm_cuda_t *cuda = context->cuda;
    bool over = idle && !context->shares.abandoned;
    for (hm_shared_t *window = context->shares.windows, *next; window != NULL; window = next) {
        next = window->next;
        if (over) cuda->cuIpcCloseMemHandle_(window->memory);
        free(window);
    }
    for (hm_shared_t *shared = context->shares.own, *next; shared != NULL; shared = next) {
        next = shared->next;
        if (over) cuda->cuMemFree_(shared->memory);
        free(shared);
    }
    context->shares.windows = context->shares.own = NULL;
}
