/* Making and ending contexts; errors; the order of work between streams. */
#include "cuda_context.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Kernels loaded into one CUDA context. Never unloaded: unloading waits for the device. */
typedef struct kernel_set {
    struct kernel_set *next;
    CUcontext device_context;
    CUfunction kernel[HM_CUDA_KERNEL_COUNT];
} kernel_set_t;

static pthread_mutex_t sets_lock = PTHREAD_MUTEX_INITIALIZER;
static kernel_set_t *sets;

static void cuda_say(hm_context_t *context, const char *what, const char *name, const char *text)
{
    char line[256];
    if (context->said) return;
    context->said = true;
    snprintf(line, sizeof line, "CUDA: %s failed: %s (%s)", what, text, name);
    if (hm_kernels_say != NULL) hm_kernels_say(line);
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
    if (current != context->device_context) {
        status = cuda_check(context, cuda->cuCtxPushCurrent_(context->device_context), "making the device current");
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

int cuda_begin(hm_context_t *context, CUstream stream)
{
    const hm_cuda_t *cuda = context->cuda;
    CUresult result = CUDA_SUCCESS;
    /* CU_STREAM_PER_THREAD is another stream in every thread. */
    if (context->used && (context->last != stream || stream == CU_STREAM_PER_THREAD))
        result = cuda->cuStreamWaitEvent_(stream, context->done, 0);
    if (result == CUDA_SUCCESS && context->fresh) {
        result = cuda->cuStreamWaitEvent_(stream, context->allocated, 0);
        context->fresh = result != CUDA_SUCCESS;
    }
    return cuda_check(context, result, "ordering a stream");
}

/* An event for each piece of work, not one when it is needed: by then the job may have destroyed the stream. */
int cuda_end(hm_context_t *context, CUstream stream)
{
    int status = cuda_check(context, context->cuda->cuEventRecord_(context->done, stream), "recording an event");
    if (status != 0) return status;
    context->last = stream;
    context->used = true;
    return 0;
}

bool cuda_idle(const hm_context_t *context)
{
    return !context->used || context->cuda->cuEventQuery_(context->done) == CUDA_SUCCESS;
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
    CUfunction function = context->kernel[kernel];
    CUresult result;
    if (blocks > INT32_MAX) return -EINVAL;
    if (chained && context->chains && cuda->launch_with != NULL) {
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

/* Whether kernels wait by themselves for the one before them: their code has the instruction from 9.0 on. */
static bool kernels_chain(const hm_context_t *context)
{
    int version = 0;
    CUresult result =
        context->cuda->cuFuncGetAttribute_(&version, CU_FUNC_ATTRIBUTE_PTX_VERSION, context->kernel[HM_CUDA_clear]);
    return result == CUDA_SUCCESS && version >= 90;
}

static int kernel_set_load(hm_context_t *context, kernel_set_t *set)
{
    static const char *const name[] = {
#define HM_CUDA_KERNEL(kernel) "ncclDevKernel_HierMoE_" #kernel,
        HM_CUDA_KERNELS(HM_CUDA_KERNEL)
#undef HM_CUDA_KERNEL
    };
    const hm_cuda_t *cuda = context->cuda;
    CUmodule module;
    set->device_context = context->device_context;
    int status = cuda_check(context, cuda->cuModuleLoadData_(&module, hm_cuda_image), "loading the kernels");
    if (status != 0) return status;
    for (int i = 0; i < HM_CUDA_KERNEL_COUNT && status == 0; i++) {
        status = cuda_check(context, cuda->cuModuleGetFunction_(&set->kernel[i], module, name[i]), name[i]);
        /* Lazy loading would load at the first launch, and loading may wait for kernels that run. */
        if (status == 0 && cuda->load_function != NULL)
            status = cuda_check(context, cuda->load_function(set->kernel[i]), name[i]);
    }
    if (status != 0) cuda->cuModuleUnload_(module);
    return status;
}

int cuda_kernels_load(hm_context_t *context)
{
    int status = 0;
    pthread_mutex_lock(&sets_lock);
    kernel_set_t *set = sets;
    while (set != NULL && set->device_context != context->device_context) set = set->next;
    if (set == NULL) {
        set = calloc(1, sizeof *set);
        status = set == NULL ? -ENOMEM : kernel_set_load(context, set);
        if (status == 0) {
            set->next = sets;
            sets = set;
        } else {
            free(set);
        }
    }
    pthread_mutex_unlock(&sets_lock);
    if (status != 0) return status;
    context->kernel = set->kernel;
    context->chains = kernels_chain(context);
    return 0;
}

/* A pool of our own, so that memory comes and goes in stream order without waiting for the device, and so that the
 * job's own pool keeps its settings. Memory stays in it until the context ends or the device runs short. */
static CUresult pool_create(hm_context_t *context)
{
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .handleTypes = CU_MEM_HANDLE_TYPE_NONE};
    props.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    props.location.id = context->device;
    cuuint64_t keep = UINT64_MAX;
    CUresult result = context->cuda->cuMemPoolCreate_(&context->pool, &props);
    if (result != CUDA_SUCCESS) return result;
    return context->cuda->cuMemPoolSetAttribute_(context->pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep);
}

/* The CUDA context that the work belongs to: the thread's, or where that has none or another device's, the primary one
 * of the wanted device, which is what NCCL works in then. NCCL holds on to it, and so do we for good. */
static int device_find(hm_context_t *context, int wanted)
{
    const hm_cuda_t *cuda = context->cuda;
    CUresult result = cuda->cuInit_(0);
    if (result == CUDA_SUCCESS) result = cuda->cuCtxGetCurrent_(&context->device_context);
    if (result == CUDA_SUCCESS && context->device_context != NULL) result = cuda->cuCtxGetDevice_(&context->device);
    bool other = context->device_context == NULL || (wanted >= 0 && context->device != wanted);
    if (result == CUDA_SUCCESS && other && wanted < 0) {
        cuda_say(context, "making a context", "no current context", "expected a thread with a current CUDA device");
        return -EIO;
    }
    if (result == CUDA_SUCCESS && other) result = cuda->cuDeviceGet_(&context->device, wanted);
    if (result == CUDA_SUCCESS && other)
        result = cuda->cuDevicePrimaryCtxRetain_(&context->device_context, context->device);
    return cuda_check(context, result, "finding the device");
}

static int context_fill(hm_context_t *context)
{
    const hm_cuda_t *cuda = context->cuda;
    CUevent *const events[] = {&context->allocated, &context->forked, &context->joined, &context->done};
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < sizeof events / sizeof events[0] && result == CUDA_SUCCESS; i++)
        result = cuda->cuEventCreate_(events[i], CU_EVENT_DISABLE_TIMING);
    return cuda_check(context, result, "making a context");
}

static int context_prepare(hm_context_t *context)
{
    const hm_cuda_t *cuda = context->cuda;
    CUresult result =
        cuda->cuDeviceGetAttribute_(&context->processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, context->device);
    if (result == CUDA_SUCCESS)
        result = cuda->cuDeviceGetAttribute_(&context->cache_bytes, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, context->device);
    if (result == CUDA_SUCCESS) result = pool_create(context);
    if (result == CUDA_SUCCESS) result = cuda->cuStreamCreate_(&context->memory_stream, CU_STREAM_NON_BLOCKING);
    if (result == CUDA_SUCCESS) result = cuda->cuStreamCreate_(&context->beside, CU_STREAM_NON_BLOCKING);
    int status = cuda_check(context, result, "preparing a context");
    if (status == 0) status = cuda_kernels_load(context);
    if (status == 0) status = cuda_stage_reserve(context);
    return status != 0 ? status : cuda_scan_reserve(context);
}

int cuda_prepare(hm_context_t *context)
{
    hm_cuda_entry_t entry;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = context_prepare(context);
    cuda_leave(context, &entry);
    return status;
}

/* Shared scratch is worth a short wait for the last kernels of a communicator that ended in order. */
static bool context_idle(const hm_context_t *context)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    int tries = context->shared != NULL && !context->abandoned ? 200 : 0;
    while (!cuda_idle(context) && tries-- > 0) nanosleep(&pause, NULL);
    return cuda_idle(context);
}

/* Gives back what there is. Pinned memory that the device may still write to is left allocated. */
static void context_empty(hm_context_t *context)
{
    const hm_cuda_t *cuda = context->cuda;
    bool idle = context_idle(context);
    cuda_stage_free(context);
    cuda_share_free(context, idle);
    cuda_scan_free(context);
    while (context->parked != NULL) {
        hm_parked_t *parked = context->parked;
        context->parked = parked->next;
        if (idle) cuda->cuMemFreeHost_(parked->memory);
        free(parked);
    }
    if (!idle && hm_kernels_say != NULL)
        hm_kernels_say("CUDA: a context ended with work still on the device; its pinned memory stays allocated");
    if (context->pool != NULL) cuda->cuMemPoolDestroy_(context->pool);
    if (context->memory_stream != NULL) cuda->cuStreamDestroy_(context->memory_stream);
    if (context->beside != NULL) cuda->cuStreamDestroy_(context->beside);
    if (context->allocated != NULL) cuda->cuEventDestroy_(context->allocated);
    if (context->forked != NULL) cuda->cuEventDestroy_(context->forked);
    if (context->joined != NULL) cuda->cuEventDestroy_(context->joined);
    if (context->done != NULL) cuda->cuEventDestroy_(context->done);
    for (int i = 0; i < HM_MARKS; i++)
        if (context->mark[i] != NULL) cuda->cuEventDestroy_(context->mark[i]);
}

int cuda_context_create(const void *hook, hm_context_t **context)
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
    int status = device_find(made, wanted != NULL ? *wanted : -1);
    made->cuda->cuThreadExchangeStreamCaptureMode_(&mode);
    if (status == 0) status = cuda_enter(made, &entry);
    if (status == 0) {
        status = context_fill(made);
        if (status != 0) context_empty(made);
        cuda_leave(made, &entry);
    }
    if (status == 0)
        *context = made;
    else
        free(made);
    return status;
}

void cuda_context_destroy(hm_context_t *context)
{
    hm_cuda_entry_t entry;
    if (context == NULL) return;
    context->said = true; /* the process may be ending and its CUDA context be gone */
    if (cuda_enter(context, &entry) == 0) {
        context_empty(context);
        cuda_leave(context, &entry);
    }
    free(context);
}
