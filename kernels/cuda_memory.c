/* Memory: a pool on the device, pinned memory, and the staging of small tables. */
#include "cuda_context.h"
#include "cuda_jobs.h"
#include "patience.h"

#include <errno.h>
#include <stdlib.h>

enum { STAGE_FIRST = 1024 * 1024 };
#define STAGE_WAIT_SECONDS 600.0

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
        if (peer == context->device || context->peers >> peer & 1) continue;
        if (cuda->cuDevicePrimaryCtxGetState_(peer, &flags, &active) != CUDA_SUCCESS || !active) continue;
        if (cuda->cuDeviceCanAccessPeer_(&reach, peer, context->device) != CUDA_SUCCESS || !reach) continue;
        CUmemAccessDesc access = {.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
        access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
        access.location.id = peer;
        if (cuda->cuMemPoolSetAccess_(context->pool, &access, 1) == CUDA_SUCCESS) context->peers |= 1ull << peer;
    }
}

int cuda_alloc(hm_context_t *context, size_t bytes, CUdeviceptr *memory)
{
    const hm_cuda_t *cuda = context->cuda;
    CUdeviceptr made;
    peers_open(context);
    CUresult result = cuda->cuMemAllocFromPoolAsync_(&made, bytes, context->pool, context->memory_stream);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        cuda->cuMemPoolTrimTo_(context->pool, 0);
        result = cuda->cuMemAllocFromPoolAsync_(&made, bytes, context->pool, context->memory_stream);
    }
    if (result == CUDA_SUCCESS) {
        result = cuda->cuEventRecord_(context->allocated, context->memory_stream);
        if (result != CUDA_SUCCESS) cuda->cuMemFreeAsync_(made, context->memory_stream);
    }
    int status = cuda_check(context, result, "allocating device memory");
    if (status != 0) return status;
    context->fresh = true;
    *memory = made;
    return 0;
}

void cuda_free(hm_context_t *context, CUdeviceptr memory)
{
    const hm_cuda_t *cuda = context->cuda;
    CUresult result = CUDA_SUCCESS;
    if (context->used) result = cuda->cuStreamWaitEvent_(context->memory_stream, context->done, 0);
    if (result == CUDA_SUCCESS) result = cuda->cuMemFreeAsync_(memory, context->memory_stream);
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

int cuda_host_alloc(hm_context_t *context, size_t bytes, void **memory)
{
    hm_cuda_entry_t entry;
    void *made = NULL;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = cuda_check(context, context->cuda->cuMemHostAlloc_(&made, bytes > 0 ? bytes : 1, CU_MEMHOSTALLOC_PORTABLE),
                        "allocating pinned memory");
    cuda_leave(context, &entry);
    if (status == 0) *memory = made;
    return status;
}

void cuda_host_free(hm_context_t *context, void *memory)
{
    hm_parked_t *parked = memory == NULL ? NULL : malloc(sizeof *parked);
    if (parked == NULL) return; /* out of memory: the pinned memory stays allocated */
    *parked = (hm_parked_t){context->parked, memory};
    context->parked = parked;
}

static int chunk_add(hm_context_t *context, size_t need)
{
    size_t bytes = context->stage == NULL ? STAGE_FIRST : 2 * context->stage->bytes;
    while (bytes < need) bytes *= 2;
    hm_stage_chunk_t *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL) return -ENOMEM;
    void *host = NULL;
    /* Pinned memory last: it can be given back only when the context ends. */
    int status = cuda_alloc(context, bytes, &chunk->device);
    if (status == 0) {
        status = cuda_check(context, context->cuda->cuMemHostAlloc_(&host, bytes, CU_MEMHOSTALLOC_PORTABLE),
                            "allocating pinned memory");
        if (status != 0) cuda_free(context, chunk->device);
    }
    if (status != 0) {
        free(chunk);
        return status;
    }
    chunk->host = host;
    chunk->bytes = bytes;
    chunk->next = context->stage;
    context->stage = chunk;
    return 0;
}

int cuda_stage_reserve(hm_context_t *context)
{
    return chunk_add(context, STAGE_FIRST);
}

/* Until earlier work, which reads the chunk, is done. It waits for nothing that this rank has yet to do. */
static bool stage_wait(hm_context_t *context)
{
    hm_patience_t patience = patience_begin();
    while (!cuda_idle(context) && patience_turn(&patience) < STAGE_WAIT_SECONDS)
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    return cuda_idle(context);
}

/* Only the newest, largest chunk serves; older ones wait for the end of the context. Other ranks may be at work on this
 * call already, so where there is no memory for a larger one, the call takes longer rather than fail. */
int cuda_stage(hm_context_t *context, size_t bytes, hm_stage_t *stage)
{
    hm_stage_chunk_t *chunk = context->stage;
    bytes = cuda_round(bytes);
    if (chunk != NULL && chunk->bytes - chunk->used < bytes && cuda_idle(context)) chunk->used = 0;
    if (chunk == NULL || chunk->bytes - chunk->used < bytes) {
        int status = chunk_add(context, bytes);
        bool fits = chunk != NULL && chunk->bytes >= bytes;
        if (status == -ENOMEM && fits && stage_wait(context)) status = 0, chunk->used = 0;
        if (status != 0) return status;
        chunk = context->stage;
    }
    *stage = (hm_stage_t){chunk->host + chunk->used, chunk->device + chunk->used};
    chunk->used += bytes;
    return 0;
}

int cuda_stage_send(hm_context_t *context, CUstream stream, const hm_stage_t *stage, size_t bytes)
{
    uint64_t carried = bytes, blocks = bytes / 16 / HM_BLOCK + 1;
    CUdeviceptr dst = stage->device;
    const void *src = stage->host;
    uint32_t followed = 1;
    void *arguments[] = {&dst, &src, &carried, &followed};
    if (blocks > (unsigned)context->processors) blocks = (unsigned)context->processors;
    return cuda_launch(context, stream, HM_CUDA_stage, blocks, HM_BLOCK, false, arguments);
}

void cuda_stage_free(hm_context_t *context)
{
    while (context->stage != NULL) {
        hm_stage_chunk_t *chunk = context->stage;
        context->stage = chunk->next;
        cuda_free(context, chunk->device);
        cuda_host_free(context, chunk->host);
        free(chunk);
    }
}
