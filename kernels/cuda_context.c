/* Errors, the calling thread's device, the order of work between streams, and launching a kernel. */
#include "cuda_context.h"

#include <errno.h>
#include <stdio.h>

void cuda_say(hm_context_t *context, const char *what, const char *name, const char *text)
{
    char line[256];
    if (context->said) return;
    context->said = true;
    snprintf(line, sizeof line, "CUDA: %s failed: %s (%s)", what, text, name);
    if (hm_kernels_say != NULL) hm_kernels_say(line);
}

void cuda_say_nothing(hm_context_t *context)
{
    context->said = true;
}

int cuda_check(hm_context_t *context, CUresult result, const char *what)
{
    const char *name = NULL, *text = NULL;
    if (result == CUDA_SUCCESS) return 0;
    if (result == CUDA_ERROR_OUT_OF_MEMORY) return -ENOMEM;
    context->cuda->cuGetErrorName_(result, &name);
    context->cuda->cuGetErrorString_(result, &text);
    cuda_say(context, what, name != NULL ? name : "unknown error", text != NULL ? text : "no text");
    return -EIO;
}

int cuda_enter(hm_context_t *context, hm_cuda_entry_t *entry)
{
    const hm_cuda_t *cuda = context->cuda;
    CUcontext current = NULL;
    *entry = (hm_cuda_entry_t){.mode = CU_STREAM_CAPTURE_MODE_RELAXED};
    int status = cuda_check(context, cuda->cuCtxGetCurrent_(&current), "asking for the current context");
    if (status != 0) return status;
    if (current != context->device.context) {
        status = cuda_check(context, cuda->cuCtxPushCurrent_(context->device.context), "making the device current");
        if (status != 0) return status;
        entry->pushed = true;
    }
    cuda->cuThreadExchangeStreamCaptureMode_(&entry->mode);
    return 0;
}

void cuda_leave(hm_context_t *context, const hm_cuda_entry_t *entry)
{
    CUstreamCaptureMode mode = entry->mode;
    context->cuda->cuThreadExchangeStreamCaptureMode_(&mode);
    if (entry->pushed) context->cuda->cuCtxPopCurrent_(&(CUcontext){NULL});
}

int cuda_order_open(hm_context_t *context)
{
    hm_cuda_order_t *order = &context->order;
    CUresult result = context->cuda->cuEventCreate_(&order->done, CU_EVENT_DISABLE_TIMING);
    if (result == CUDA_SUCCESS) result = context->cuda->cuEventCreate_(&order->allocated, CU_EVENT_DISABLE_TIMING);
    return cuda_check(context, result, "making a context");
}

void cuda_order_close(hm_context_t *context)
{
    hm_cuda_order_t *order = &context->order;
    if (order->done != NULL) context->cuda->cuEventDestroy_(order->done);
    if (order->allocated != NULL) context->cuda->cuEventDestroy_(order->allocated);
    *order = (hm_cuda_order_t){.used = false};
}

int cuda_begin(hm_context_t *context, CUstream stream)
{
    const hm_cuda_t *cuda = context->cuda;
    hm_cuda_order_t *order = &context->order;
    CUresult result = CUDA_SUCCESS;
    /* CU_STREAM_PER_THREAD is another stream in every thread. */
    if (order->used && (order->last != stream || stream == CU_STREAM_PER_THREAD))
        result = cuda->cuStreamWaitEvent_(stream, order->done, 0);
    if (result == CUDA_SUCCESS && order->fresh) {
        result = cuda->cuStreamWaitEvent_(stream, order->allocated, 0);
        order->fresh = result != CUDA_SUCCESS;
    }
    return cuda_check(context, result, "ordering a stream");
}

/* An event for each piece of work, not one when it is needed: by then the job may have destroyed the stream. */
int cuda_end(hm_context_t *context, CUstream stream)
{
    hm_cuda_order_t *order = &context->order;
    int status = cuda_check(context, context->cuda->cuEventRecord_(order->done, stream), "recording an event");
    if (status != 0) return status;
    order->last = stream;
    order->used = true;
    order->awaited = false;
    return 0;
}

CUresult cuda_order_allocated(hm_context_t *context, CUstream stream)
{
    CUresult result = context->cuda->cuEventRecord_(context->order.allocated, stream);
    if (result == CUDA_SUCCESS) context->order.fresh = true;
    return result;
}

bool cuda_idle(const hm_context_t *context)
{
    return !context->order.used || context->cuda->cuEventQuery_(context->order.done) == CUDA_SUCCESS;
}

int cuda_launch(hm_context_t *context, CUstream stream, hm_cuda_kernel_t kernel, uint64_t blocks, unsigned threads,
                bool chained, void **arguments)
{
    static const char *const name[] = {
#define HM_CUDA_KERNEL(kernel) "launching " #kernel,
        HM_CUDA_KERNELS(HM_CUDA_KERNEL)
#undef HM_CUDA_KERNEL
    };
    const hm_cuda_t *cuda = context->cuda;
    CUfunction function = context->device.kernel[kernel];
    CUresult result;
    if (blocks > INT32_MAX) return -EINVAL;
    if (chained && context->device.chains && cuda->launch_with != NULL) {
        CUlaunchAttribute early = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION};
        early.value.programmaticStreamSerializationAllowed = 1;
        CUlaunchConfig config = {.gridDimX = (unsigned)blocks,
                                 .gridDimY = 1,
                                 .gridDimZ = 1,
                                 .blockDimX = threads,
                                 .blockDimY = 1,
                                 .blockDimZ = 1,
                                 .hStream = stream,
                                 .attrs = &early,
                                 .numAttrs = 1};
        result = cuda->launch_with(&config, function, arguments, NULL);
    } else {
        result = cuda->cuLaunchKernel_(function, (unsigned)blocks, 1, 1, threads, 1, 1, 0, stream, arguments, NULL);
    }
    return cuda_check(context, result, name[kernel]);
}
