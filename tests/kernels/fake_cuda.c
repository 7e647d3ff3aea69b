#include "fake_cuda.h"

#include <stdlib.h>
#include <string.h>

fake_cuda_t fake_cuda;

static CUcontext pushed[8];

/* The context of a device is its number and one more. */
static CUcontext context_of(CUdevice device)
{
    return (CUcontext)(intptr_t)(device + 1);
}

static CUresult made(void **handle)
{
    *handle = malloc(1);
    fake_cuda.alive++;
    return CUDA_SUCCESS;
}

static CUresult gone(void *handle)
{
    free(handle);
    fake_cuda.alive--;
    return CUDA_SUCCESS;
}

static CUresult memory_made(CUdeviceptr *memory, size_t bytes)
{
    *memory = (CUdeviceptr)(uintptr_t)malloc(bytes);
    fake_cuda.device_bytes += bytes;
    fake_cuda.alive++;
    return CUDA_SUCCESS;
}

CUresult cuInit(unsigned flags)
{
    return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorName(CUresult error, const char **text)
{
    *text = error == CUDA_ERROR_NO_BINARY_FOR_GPU ? "CUDA_ERROR_NO_BINARY_FOR_GPU" : "another";
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    *text = error == CUDA_ERROR_NO_BINARY_FOR_GPU ? "no kernel image" : "another error";
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int number)
{
    *device = number;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
    *count = 1;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    *value = 64 + (int)attribute * 0 + device * 0;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active)
{
    *flags = 0;
    *active = device == 0;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    *context = context_of(device);
    fake_cuda.retained++;
    return CUDA_SUCCESS;
}

CUresult cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer)
{
    *can = device == peer;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
    *context = fake_cuda.pushed > 0   ? pushed[fake_cuda.pushed - 1]
               : fake_cuda.device < 0 ? NULL
                                      : context_of(fake_cuda.device);
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    CUcontext current;
    cuCtxGetCurrent(&current);
    *device = (CUdevice)(intptr_t)current - 1;
    return current == NULL ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent(CUcontext context)
{
    pushed[fake_cuda.pushed++] = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext *context)
{
    *context = pushed[--fake_cuda.pushed];
    return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    *module = (CUmodule)(uintptr_t)image;
    return fake_cuda.module_load;
}

CUresult cuModuleUnload(CUmodule module)
{
    return module != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    *function = (CUfunction)(uintptr_t)name;
    return module != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function)
{
    *value = function != NULL && attribute == CU_FUNC_ATTRIBUTE_PTX_VERSION ? 80 : 0;
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y,
                        unsigned threads_z, unsigned shared, CUstream stream, void **arguments, void **extra)
{
    (void)y, (void)z, (void)threads_y, (void)threads_z, (void)shared, (void)stream, (void)extra;
    fake_cuda.launched++;
    if (strcmp((const char *)function, "ncclDevKernel_HierMoE_claim") == 0) {
        fake_cuda.claim.blocks = x;
        fake_cuda.claim.threads = threads;
        memcpy(&fake_cuda.claim.claim, arguments[0], sizeof(void *));
        memcpy(&fake_cuda.claim.word, arguments[1], sizeof(void *));
        memcpy(&fake_cuda.claim.value, arguments[2], sizeof(unsigned));
    }
    return function != NULL && x > 0 && threads > 0 && arguments != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *props)
{
    return props != NULL ? made((void **)pool) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
    return gone(pool);
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void *value)
{
    (void)attribute;
    return pool != NULL && value != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc *access, size_t count)
{
    return pool != NULL && access != NULL && count > 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep)
{
    return pool != NULL && keep == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *memory, size_t bytes, CUmemoryPool pool, CUstream stream)
{
    if (pool == NULL || stream == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (fake_cuda.pool_allocations == 0) return CUDA_ERROR_OUT_OF_MEMORY;
    fake_cuda.pool_allocations--;
    return memory_made(memory, bytes);
}

CUresult cuMemFreeAsync(CUdeviceptr memory, CUstream stream)
{
    return stream != NULL ? gone((void *)(uintptr_t)memory) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    (void)flags;
    *memory = malloc(bytes);
    fake_cuda.pinned_bytes += bytes;
    fake_cuda.alive++;
    return CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void *memory)
{
    return gone(memory);
}

CUresult cuMemAlloc(CUdeviceptr *memory, size_t bytes)
{
    return memory_made(memory, bytes);
}

CUresult cuMemFree(CUdeviceptr memory)
{
    return gone((void *)(uintptr_t)memory);
}

CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr memory)
{
    (void)handle, (void)memory;
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuIpcOpenMemHandle(CUdeviceptr *memory, CUipcMemHandle handle, unsigned flags)
{
    (void)memory, (void)handle, (void)flags;
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuIpcCloseMemHandle(CUdeviceptr memory)
{
    return memory != 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    (void)to, (void)from, (void)bytes, (void)stream;
    return CUDA_SUCCESS;
}

CUresult cuMemsetD8Async(CUdeviceptr memory, unsigned char value, size_t bytes, CUstream stream)
{
    (void)value, (void)stream;
    fake_cuda.zeroed = (const void *)(uintptr_t)memory;
    fake_cuda.zeroed_bytes = bytes;
    return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    (void)flags;
    return made((void **)stream);
}

CUresult cuStreamDestroy(CUstream stream)
{
    return gone(stream);
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status)
{
    (void)stream;
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    (void)stream, (void)flags;
    fake_cuda.waited++;
    return event != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    static CUstreamCaptureMode current = CU_STREAM_CAPTURE_MODE_GLOBAL;
    CUstreamCaptureMode before = current;
    current = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    (void)flags;
    return made((void **)event);
}

CUresult cuEventDestroy(CUevent event)
{
    return gone(event);
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
    (void)stream;
    fake_cuda.recorded++;
    return event != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuEventQuery(CUevent event)
{
    if (event == NULL) return CUDA_ERROR_INVALID_VALUE;
    fake_cuda.asked++;
    if (fake_cuda.busy == 0) return CUDA_SUCCESS;
    fake_cuda.busy--;
    return CUDA_ERROR_NOT_READY;
}

/* By the name that all drivers have. */
#undef cuEventElapsedTime
CUresult cuEventElapsedTime(float *ms, CUevent from, CUevent to);
CUresult cuEventElapsedTime(float *ms, CUevent from, CUevent to)
{
    *ms = 0;
    return from != NULL && to != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
