/* Plain operations on streams: captured or not, order, copies, waiting. */
#include "cuda_jobs.h"
#include "cuda_parts.h"
#include "patience.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

enum {
    SMALL_COPY = 64 * 1024, /* bytes up to which a kernel copies: the copy engines may be busy with the job's own */
    SPIN_NANOSECONDS = 50 * 1000,    /* a wait asks without a pause for so long, */
    YIELD_NANOSECONDS = 2000 * 1000, /* then yields the core between questions until so long, */
    NAP_NANOSECONDS = 20 * 1000      /* then sleeps so long between them */
};

/* An error would show again in the replayed call, so whatever is unclear counts as capturing. */
int cuda_capturing(hm_context_t *context, void *stream)
{
    hm_cuda_entry_t entry;
    CUstreamCaptureStatus capture = CU_STREAM_CAPTURE_STATUS_NONE;
    if (cuda_enter(context, &entry) != 0) return 1;
    CUresult result = context->cuda->cuStreamIsCapturing_(stream, &capture);
    cuda_leave(context, &entry);
    return result != CUDA_SUCCESS || capture != CU_STREAM_CAPTURE_STATUS_NONE;
}

int cuda_join(hm_context_t *context, void *stream)
{
    hm_cuda_entry_t entry;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = cuda_begin(context, stream);
    if (status == 0) status = cuda_end(context, stream);
    cuda_leave(context, &entry);
    return status;
}

static int copy_enqueue(hm_context_t *context, CUstream stream, void *dst, const void *src, size_t bytes)
{
    CUdeviceptr to = (CUdeviceptr)(uintptr_t)dst, from = (CUdeviceptr)(uintptr_t)src;
    uint64_t carried = bytes;
    uint32_t followed = 0;
    void *arguments[] = {&to, &from, &carried, &followed};
    if (bytes <= SMALL_COPY)
        return cuda_launch(context, stream, HM_CUDA_stage, bytes / 16 / HM_BLOCK + 1, HM_BLOCK, false, arguments);
    return cuda_check(context, context->cuda->cuMemcpyAsync_(to, from, bytes, stream), "copying");
}

int cuda_copy(hm_context_t *context, void *stream, void *dst, const void *src, size_t bytes)
{
    hm_cuda_entry_t entry;
    if (bytes == 0) return 0;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = cuda_begin(context, stream);
    if (status == 0) status = copy_enqueue(context, stream, dst, src, bytes);
    if (status == 0) status = cuda_end(context, stream);
    cuda_leave(context, &entry);
    return status;
}

/* Waits for the event `done`. Polls: a driver's blocking wait could not be cancelled. Spins only as long as
 * ranks that arrive together need: NCCL's threads may want the core. */
static int done_wait(hm_context_t *context, double seconds, const atomic_int *cancel)
{
    hm_patience_t patience = patience_begin();
    for (;;) {
        CUresult result = context->cuda->cuEventQuery_(context->order.done);
        if (result != CUDA_ERROR_NOT_READY) return cuda_check(context, result, "work on the device");
        if (cancel != NULL && atomic_load_explicit(cancel, memory_order_relaxed) != 0) return -ECANCELED;
        double spent = patience_turn(&patience);
        if (spent >= seconds) return -ETIMEDOUT;
        if (spent > 1e-9 * YIELD_NANOSECONDS) {
            nanosleep(&(struct timespec){0, NAP_NANOSECONDS}, NULL);
        } else if (spent > 1e-9 * SPIN_NANOSECONDS) {
            sched_yield();
        }
    }
}

int cuda_wait(hm_context_t *context, void *stream, double seconds, const atomic_int *cancel)
{
    hm_cuda_entry_t entry;
    hm_cuda_order_t *order = &context->order;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    if (!order->awaited || order->last != stream) {
        status = cuda_begin(context, stream);
        if (status == 0) status = cuda_end(context, stream);
    }
    if (status == 0) status = done_wait(context, seconds, cancel);
    order->awaited = status == -ETIMEDOUT;
    cuda_leave(context, &entry);
    return status;
}

int cuda_claim(hm_context_t *context, void *stream, hm_claim_t *claim, uint32_t *word, uint32_t value)
{
    hm_cuda_entry_t entry;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    void *arguments[] = {&claim, &word, &value};
    status = cuda_begin(context, stream);
    if (status == 0) status = cuda_launch(context, stream, HM_CUDA_claim, 1, 1, false, arguments);
    if (status == 0) status = cuda_end(context, stream);
    cuda_leave(context, &entry);
    return status;
}
