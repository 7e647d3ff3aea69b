#include "device.h"

#include "say.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

/* The part of the CUDA driver's interface that is needed; the library is there only where a GPU is, so it is opened at
 * run time and its header is not asked for. */
#define CUDA_SUCCESS 0
#define CUDA_ERROR_NOT_READY 600
#define CU_STREAM_NON_BLOCKING 1
#define CU_STREAM_WAIT_VALUE_EQ 1
typedef int cu_result_t;
typedef int cu_device_t;
typedef unsigned long long cu_deviceptr_t;

#define CUDA_CALLS(X) \
    X(cuInit, (unsigned flags)) \
    X(cuGetErrorString, (cu_result_t result, const char **text)) \
    X(cuDeviceGetCount, (int *count)) \
    X(cuDeviceGet, (cu_device_t * device, int ordinal)) \
    X(cuDeviceGetName, (char *name, int bytes, cu_device_t device)) \
    X(cuDeviceGetPCIBusId, (char *name, int bytes, cu_device_t device)) \
    X(cuDevicePrimaryCtxRetain, (void **context, cu_device_t device)) \
    X(cuCtxSetCurrent, (void *context)) \
    X(cuStreamCreate, (void **stream, unsigned flags)) \
    X(cuStreamDestroy_v2, (void *stream)) \
    X(cuStreamQuery, (void *stream)) \
    X(cuStreamWaitValue32_v2, (void *stream, cu_deviceptr_t word, uint32_t value, unsigned flags)) \
    X(cuMemAlloc_v2, (cu_deviceptr_t * memory, size_t bytes)) \
    X(cuMemFree_v2, (cu_deviceptr_t memory)) \
    X(cuMemAllocHost_v2, (void **memory, size_t bytes)) \
    X(cuMemFreeHost, (void *memory)) \
    X(cuMemcpyHtoD_v2, (cu_deviceptr_t dst, const void *src, size_t bytes)) \
    X(cuMemcpyDtoH_v2, (void *dst, cu_deviceptr_t src, size_t bytes))

static struct {
#define X(name, params) cu_result_t(*name) params;
    CUDA_CALLS(X)
#undef X
} cu;

static int cuda_failed(const char *what, cu_result_t result)
{
    const char *text = NULL;
    if (result == CUDA_SUCCESS) return 0;
    cu.cuGetErrorString(result, &text);
    say("%s: CUDA says: %s", what, text ? text : "unknown error");
    return -EIO;
}

static int cuda_open(int local_rank, char *label, size_t label_bytes)
{
    int count = 0;
    cu_device_t device = 0;
    void *context;
    char bus[32] = "", name[64] = "";
    if (cuda_failed("cuInit", cu.cuInit(0)) || cuda_failed("cuDeviceGetCount", cu.cuDeviceGetCount(&count)))
        return -EIO;
    if (!count) {
        say("expected at least one GPU, found none");
        return -EIO;
    }
    /* The primary context is the one that NCCL, through the runtime, uses too. */
    if (cuda_failed("cuDeviceGet", cu.cuDeviceGet(&device, local_rank % count)) ||
        cuda_failed("cuDevicePrimaryCtxRetain", cu.cuDevicePrimaryCtxRetain(&context, device)) ||
        cuda_failed("cuCtxSetCurrent", cu.cuCtxSetCurrent(context)))
        return -EIO;
    cu.cuDeviceGetPCIBusId(bus, sizeof(bus), device);
    cu.cuDeviceGetName(name, sizeof(name), device);
    snprintf(label, label_bytes, "%d [%s] %s", local_rank % count, bus, name);
    return 0;
}

static int cuda_stream_create(void **stream)
{
    return cuda_failed("cuStreamCreate", cu.cuStreamCreate(stream, CU_STREAM_NON_BLOCKING));
}

static void cuda_stream_destroy(void *stream)
{
    cu.cuStreamDestroy_v2(stream);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Spins only as long as short calls take: a spinning thread takes a core from NCCL's own, which carry the data where
 * the network is a socket. */
static int cuda_stream_wait(void *stream, double seconds)
{
    double start = seconds_now(), waited = 0;
    cu_result_t result;
    while ((result = cu.cuStreamQuery(stream)) == CUDA_ERROR_NOT_READY && waited < seconds) {
        waited = seconds_now() - start;
        if (waited < 0.002)
            sched_yield();
        else
            nanosleep(&(struct timespec){0, 20000}, NULL);
    }
    if (result != CUDA_ERROR_NOT_READY) return cuda_failed("cuStreamQuery", result);
    say("the stream was not idle after %g s", seconds);
    return -ETIMEDOUT;
}

/* The device reads page-locked memory of the host at the host's address. */
static int cuda_stream_hold(void *stream, const volatile uint32_t *word)
{
    return cuda_failed("cuStreamWaitValue32",
                       cu.cuStreamWaitValue32_v2(stream, (cu_deviceptr_t)(uintptr_t)word, 1, CU_STREAM_WAIT_VALUE_EQ));
}

static void cuda_free(mp_buffer_t *buffer)
{
    if (buffer->host) cu.cuMemFreeHost(buffer->host);
    if (buffer->device) cu.cuMemFree_v2((cu_deviceptr_t)(uintptr_t)buffer->device);
    *buffer = (mp_buffer_t){0};
}

static int cuda_alloc(size_t bytes, mp_buffer_t *buffer)
{
    cu_deviceptr_t memory;
    void *host;
    if (cuda_failed("cuMemAlloc", cu.cuMemAlloc_v2(&memory, bytes ? bytes : 1))) return -ENOMEM;
    if (cuda_failed("cuMemAllocHost", cu.cuMemAllocHost_v2(&host, bytes ? bytes : 1))) {
        cu.cuMemFree_v2(memory);
        return -ENOMEM;
    }
    *buffer = (mp_buffer_t){(void *)(uintptr_t)memory, host, bytes};
    return 0;
}

static int cuda_upload(const mp_buffer_t *buffer, size_t bytes)
{
    if (!bytes) return 0;
    return cuda_failed("cuMemcpyHtoD",
                       cu.cuMemcpyHtoD_v2((cu_deviceptr_t)(uintptr_t)buffer->device, buffer->host, bytes));
}

static int cuda_download(const mp_buffer_t *buffer, size_t bytes)
{
    if (!bytes) return 0;
    return cuda_failed("cuMemcpyDtoH",
                       cu.cuMemcpyDtoH_v2(buffer->host, (cu_deviceptr_t)(uintptr_t)buffer->device, bytes));
}

static const mp_device_t device_cuda = {"cuda",           cuda_open,        cuda_stream_create, cuda_stream_destroy,
                                        cuda_stream_wait, cuda_stream_hold, cuda_alloc,         cuda_free,
                                        cuda_upload,      cuda_download};

const mp_device_t *device_cuda_find(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        say("the loaded libnccl.so.2 is a real NCCL, which needs GPUs, but there is no CUDA driver: %s", dlerror());
        return NULL;
    }
#define X(name, params) \
    *(void **)&cu.name = dlsym(library, #name); \
    if (!cu.name) { \
        say("the CUDA driver lacks %s", #name); \
        return NULL; \
    }
    CUDA_CALLS(X)
#undef X
    return &device_cuda;
}
