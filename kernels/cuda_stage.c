/* Staging: tables of jobs on their way to the device. */
#include "cuda_stage.h"

#include "cuda_jobs.h"
#include "cuda_memory.h"
#include "cuda_parts.h"
#include "patience.h"

#include <errno.h>
#include <stdlib.h>

enum { STAGE_FIRST = 1024 * 1024 };
#define STAGE_WAIT_SECONDS 600.0

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
        status = cuda_pinned_alloc(context, bytes, &host);
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

int cuda_stage_open(hm_context_t *context)
{
    return chunk_add(context, STAGE_FIRST);
}

/* Waits until earlier work, which reads the chunk, is done. That work needs nothing that this rank has yet to do. */
static bool stage_wait(hm_context_t *context)
{
    hm_patience_t patience = patience_begin();
    while (!cuda_idle(context) && patience_turn(&patience) < STAGE_WAIT_SECONDS)
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    return cuda_idle(context);
}

/* Only the newest and largest chunk is used; older ones are freed with the context. Other ranks may be at work on this
 * call already, so where there is no memory for a larger chunk, the call waits rather than fails. */
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
    if (blocks > (unsigned)context->device.processors) blocks = (unsigned)context->device.processors;
    return cuda_launch(context, stream, HM_CUDA_stage, blocks, HM_BLOCK, false, arguments);
}

void cuda_stage_close(hm_context_t *context)
{
    while (context->stage != NULL) {
        hm_stage_chunk_t *chunk = context->stage;
        context->stage = chunk->next;
        cuda_free(context, chunk->device);
        cuda_host_free(context, chunk->host);
        free(chunk);
    }
}
