/* The CUDA back end: its interface, and the making and ending of contexts out of their parts. */
#include "cuda_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* Work that still runs when a context ends is worth a short wait only for the sake of shared memory: then a
 * communicator that ended in order gives it back. */
static bool idle_soon(const hm_context_t *context)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    int tries = cuda_share_pending(context) ? 200 : 0;
    while (!cuda_idle(context) && tries-- > 0) nanosleep(&pause, NULL);
    return cuda_idle(context);
}

/* Gives back what there is. */
static void context_close(hm_context_t *context)
{
    bool idle = idle_soon(context);
    cuda_stage_close(context);
    cuda_share_close(context, idle);
    cuda_scan_close(context);
    cuda_memory_close(context, idle);
    if (!idle && hm_kernels_say != NULL)
        hm_kernels_say("CUDA: a context ended with work still on the device; its pinned memory stays allocated");
    cuda_beside_close(context);
    cuda_order_close(context);
    cuda_mark_close(context);
}

static int context_create(const void *hook, hm_context_t **context)
{
    const int *wanted = hook;
    const char *why;
    hm_cuda_entry_t entry;
    hm_context_t *made = calloc(1, sizeof *made);
    if (made == NULL) return -ENOMEM;
    made->cuda = cuda_driver_open(&why);
    /* The job may be capturing a graph, on this thread or another; without this its capture would be lost. */
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    made->cuda->cuThreadExchangeStreamCaptureMode_(&mode);
    int status = cuda_device_find(made, wanted != NULL ? *wanted : -1);
    made->cuda->cuThreadExchangeStreamCaptureMode_(&mode);
    if (status == 0) status = cuda_enter(made, &entry);
    if (status == 0) {
        status = cuda_order_open(made);
        if (status != 0) context_close(made);
        cuda_leave(made, &entry);
    }
    if (status == 0)
        *context = made;
    else
        free(made);
    return status;
}

static int context_prepare(hm_context_t *context)
{
    hm_cuda_entry_t entry;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = cuda_device_open(context);
    if (status == 0) status = cuda_memory_open(context);
    if (status == 0) status = cuda_beside_open(context);
    if (status == 0) status = cuda_stage_open(context);
    if (status == 0) status = cuda_scan_open(context);
    cuda_leave(context, &entry);
    return status;
}

static void context_destroy(hm_context_t *context)
{
    hm_cuda_entry_t entry;
    if (context == NULL) return;
    cuda_say_nothing(context);
    if (cuda_enter(context, &entry) == 0) {
        context_close(context);
        cuda_leave(context, &entry);
    }
    free(context);
}

static const hm_kernels_t cuda_kernels = {
    .name = "cuda",
    .on_gpu = true,
    .own_rows_beside = true,
    .rails_gather = true,
    .lanes_over_tcp = true,
    .slices = 1,
    .fit_bytes = (size_t)256 << 20, /* NVLink and kernels come to their speed late */
    .context_create = context_create,
    .prepare = context_prepare,
    .context_destroy = context_destroy,
    .alloc = cuda_memory_alloc,
    .free = cuda_memory_free,
    .host_alloc = cuda_host_alloc,
    .host_free = cuda_host_free,
    .capturing = cuda_capturing,
    .join = cuda_join,
    .copy = cuda_copy,
    .wait = cuda_wait,
    .claim = cuda_claim,
    .identify_bytes = cuda_identify_bytes,
    .identify = cuda_identify,
    .period_bytes = cuda_period_bytes,
    .period = cuda_period,
    .tokens_bytes = cuda_tokens_bytes,
    .tokens = cuda_tokens,
    .invert_bytes = cuda_invert_bytes,
    .invert = cuda_invert,
    .sum = cuda_sum,
    .pick = cuda_pick,
    .map = cuda_map,
    .move = cuda_move,
    .fork = cuda_fork,
    .move_beside = cuda_move_beside,
    .merge = cuda_merge,
    .share = cuda_share,
    .window_open = cuda_window_open,
    .abandon = cuda_abandon,
    .mark = cuda_mark,
    .span = cuda_span,
};

const hm_kernels_t *kernels_cuda_open(const char **why)
{
    return cuda_driver_open(why) != NULL ? &cuda_kernels : NULL;
}
