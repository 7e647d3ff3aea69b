/* The device of a context: which one, what it is like, and its kernels. */
#include "cuda_parts.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Kernels loaded into one CUDA context. Never unloaded: unloading waits for the device. */
typedef struct kernel_set {
    struct kernel_set *next;
    CUcontext device_context;
    CUfunction kernel[HM_CUDA_KERNEL_COUNT];
} kernel_set_t;

static pthread_mutex_t sets_lock = PTHREAD_MUTEX_INITIALIZER;
static kernel_set_t *sets;

/* The CUDA context that the work belongs to is the thread's. Where the thread has none or one of another device, it is
 * the primary context of the wanted device, which is what NCCL works in then. NCCL holds on to it, and so do we, for
 * good. */
int cuda_device_find(hm_context_t *context, int wanted)
{
    const hm_cuda_t *cuda = context->cuda;
    hm_cuda_device_t *device = &context->device;
    CUresult result = cuda->cuInit_(0);
    if (result == CUDA_SUCCESS) result = cuda->cuCtxGetCurrent_(&device->context);
    if (result == CUDA_SUCCESS && device->context != NULL) result = cuda->cuCtxGetDevice_(&device->number);
    bool other = device->context == NULL || (wanted >= 0 && device->number != wanted);
    if (result == CUDA_SUCCESS && other && wanted < 0) {
        cuda_say(context, "making a context", "no current context", "expected a thread with a current CUDA device");
        return -EIO;
    }
    if (result == CUDA_SUCCESS && other) result = cuda->cuDeviceGet_(&device->number, wanted);
    if (result == CUDA_SUCCESS && other) result = cuda->cuDevicePrimaryCtxRetain_(&device->context, device->number);
    return cuda_check(context, result, "finding the device");
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
    set->device_context = context->device.context;
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

/* The kernels of the context's CUDA context, loaded at the first call for it. Call with the lock held. */
static int kernel_set_find(hm_context_t *context, const kernel_set_t **found)
{
    kernel_set_t *set = sets;
    while (set != NULL && set->device_context != context->device.context) set = set->next;
    if (set == NULL) {
        set = calloc(1, sizeof *set);
        int status = set == NULL ? -ENOMEM : kernel_set_load(context, set);
        if (status != 0) {
            free(set);
            return status;
        }
        set->next = sets;
        sets = set;
    }
    *found = set;
    return 0;
}

static int kernels_load(hm_context_t *context)
{
    const kernel_set_t *set = NULL;
    int version = 0;
    pthread_mutex_lock(&sets_lock);
    int status = kernel_set_find(context, &set);
    pthread_mutex_unlock(&sets_lock);
    if (status != 0) return status;
    context->device.kernel = set->kernel;
    /* From 9.0 on their code has the instruction that waits for the kernel before. */
    CUresult result =
        context->cuda->cuFuncGetAttribute_(&version, CU_FUNC_ATTRIBUTE_PTX_VERSION, set->kernel[HM_CUDA_clear]);
    context->device.chains = result == CUDA_SUCCESS && version >= 90;
    return 0;
}

int cuda_device_open(hm_context_t *context)
{
    const hm_cuda_t *cuda = context->cuda;
    hm_cuda_device_t *device = &context->device;
    CUresult result =
        cuda->cuDeviceGetAttribute_(&device->processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device->number);
    if (result == CUDA_SUCCESS)
        result = cuda->cuDeviceGetAttribute_(&device->cache_bytes, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, device->number);
    int status = cuda_check(context, result, "asking what the device is like");
    return status != 0 ? status : kernels_load(context);
}
