/* Memory: a pool on the device, and pinned memory. */
#include "cuda_memory.h"

#include "cuda_parts.h"

#include <stdlib.h>

/* A pool of our own, so that memory comes and goes in stream order without waiting for the device, and so that the
 * job's own pool keeps its settings. Memory stays in it until the context ends or the device runs short. */
int cuda_memory_open(hm_context_t *context)
{
    const hm_cuda_t *cuda = context->cuda;
    hm_cuda_memory_t *memory = &context->memory;
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .handleTypes = CU_MEM_HANDLE_TYPE_NONE};
    props.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    props.location.id = context->device.number;
    cuuint64_t keep = UINT64_MAX;
    CUresult result = cuda->cuMemPoolCreate_(&memory->pool, &props);
    if (result == CUDA_SUCCESS)
        result = cuda->cuMemPoolSetAttribute_(memory->pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep);
    if (result == CUDA_SUCCESS) result = cuda->cuStreamCreate_(&memory->stream, CU_STREAM_NON_BLOCKING);
    return cuda_check(context, result, "preparing a context's memory");
}

void cuda_memory_close(hm_context_t *context, bool idle)
{
    const hm_cuda_t *cuda = context->cuda;
    hm_cuda_memory_t *memory = &context->memory;
    while (memory->parked != NULL) {
        hm_parked_t *parked = memory->parked;
        memory->parked = parked->next;
        if (idle) cuda->cuMemFreeHost_(parked->memory);
        free(parked);
    }
    if (memory->pool != NULL) cuda->cuMemPoolDestroy_(memory->pool);
    if (memory->stream != NULL) cuda->cuStreamDestroy_(memory->stream);
}

/* In a process with several GPUs NCCL may hand our memory to a peer, and pools are closed to peers until opened. Only
 * devices that the process uses, lest others get a CUDA context for nothing. */
static void peers_open(hm_context_t *context)
{
    const hm_cuda_t *cuda = context->cuda;
    int count = 0;
    if (cuda->cuDeviceGetCount_(&count) != CUDA_SUCCESS) return;
    for (int peer = 0; peer < count && peer < 64; peer++) {
        unsigned flags;
        int active = 0, reach = 0;
        if (peer == context->device.number || (context->memory.peers >> peer & 1) != 0) continue;
        if (cuda->cuDevicePrimaryCtxGetState_(peer, &flags, &active) != CUDA_SUCCESS || active == 0) continue;
        CUresult result = cuda->cuDeviceCanAccessPeer_(&reach, peer, context->device.number);
        if (result != CUDA_SUCCESS || reach == 0) continue;
        CUmemAccessDesc access = {.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
        access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
        access.location.id = peer;
        if (cuda->cuMemPoolSetAccess_(context->memory.pool, &access, 1) == CUDA_SUCCESS)
            context->memory.peers |= 1ull << peer;
    }
}

int cuda_alloc(hm_context_t *context, size_t bytes, CUdeviceptr *memory)
{
    const hm_cuda_t *cuda = context->cuda;
    CUdeviceptr made;
    peers_open(context);
    CUresult result = cuda->cuMemAllocFromPoolAsync_(&made, bytes, context->memory.pool, context->memory.stream);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        cuda->cuMemPoolTrimTo_(context->memory.pool, 0);
        result = cuda->cuMemAllocFromPoolAsync_(&made, bytes, context->memory.pool, context->memory.stream);
    }
    if (result == CUDA_SUCCESS) {
        result = cuda_order_allocated(context, context->memory.stream);
        if (result != CUDA_SUCCESS) cuda->cuMemFreeAsync_(made, context->memory.stream);
    }
    int status = cuda_check(context, result, "allocating device memory");
    if (status != 0) return status;
    *memory = made;
    return 0;
}

void cuda_free(hm_context_t *context, CUdeviceptr memory)
{
    const hm_cuda_t *cuda = context->cuda;
    CUresult result = CUDA_SUCCESS;
    if (context->order.used) result = cuda->cuStreamWaitEvent_(context->memory.stream, context->order.done, 0);
    if (result == CUDA_SUCCESS) result = cuda->cuMemFreeAsync_(memory, context->memory.stream);
    cuda_check(context, result, "freeing device memory");
}

int cuda_memory_alloc(hm_context_t *context, size_t bytes, void **memory)
{
    hm_cuda_entry_t entry;
    CUdeviceptr made = 0;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = cuda_alloc(context, bytes > 0 ? bytes : 1, &made);
    cuda_leave(context, &entry);
    if (status == 0) *memory = (void *)(uintptr_t)made;
    return status;
}

void cuda_memory_free(hm_context_t *context, void *memory)
{
    hm_cuda_entry_t entry;
    if (memory == NULL || cuda_enter(context, &entry) != 0) return;
    cuda_free(context, (CUdeviceptr)(uintptr_t)memory);
    cuda_leave(context, &entry);
}

int cuda_pinned_alloc(hm_context_t *context, size_t bytes, void **memory)
{
    void *made = NULL;
    CUresult result = context->cuda->cuMemHostAlloc_(&made, bytes, CU_MEMHOSTALLOC_PORTABLE);
    if (result == CUDA_SUCCESS) *memory = made;
    return cuda_check(context, result, "allocating pinned memory");
}

int cuda_host_alloc(hm_context_t *context, size_t bytes, void **memory)
{
    hm_cuda_entry_t entry;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = cuda_pinned_alloc(context, bytes > 0 ? bytes : 1, memory);
    cuda_leave(context, &entry);
    return status;
}

void cuda_host_free(hm_context_t *context, void *memory)
{
    hm_parked_t *parked = memory == NULL ? NULL : malloc(sizeof *parked);
    if (parked == NULL) return; /* out of memory: the pinned memory stays allocated */
    *parked = (hm_parked_t){context->memory.parked, memory};
    context->memory.parked = parked;
}
