/* What the GPU tests need of the driver beside the back end: a current context, streams, timed events. */
#ifndef HM_TESTS_GPU_H
#define HM_TESTS_GPU_H

#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define GPU_CALLS(X) \
    X(cuInit) \
    X(cuDeviceGet) \
    X(cuDeviceGetName) \
    X(cuDevicePrimaryCtxRetain) \
    X(cuCtxSetCurrent) \
    X(cuStreamCreate) \
    X(cuStreamSynchronize) \
    X(cuEventCreate) \
    X(cuEventRecord) \
    X(cuMemcpyDtoDAsync) \
    X(cuMemsetD8Async)

static struct {
#define GPU_FIELD(name) __typeof__(&name) name##_;
    GPU_CALLS(GPU_FIELD)
#undef GPU_FIELD
    CUresult (*elapsed)(float *, CUevent, CUevent);
} gpu;

#define GPU_TEXT(symbol) #symbol
#define GPU_SYMBOL(symbol) GPU_TEXT(symbol)

/* 0 with device 0's primary context current, else a reason on standard error. */
static int gpu_open(void)
{
    CUdevice device;
    CUcontext context;
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL), *symbol;
    if (library == NULL) {
        fprintf(stderr, "no CUDA driver\n");
        return -1;
    }
#define GPU_FIND(name) \
    symbol = dlsym(library, GPU_SYMBOL(name)); \
    memcpy(&gpu.name##_, &symbol, sizeof symbol);
    GPU_CALLS(GPU_FIND)
#undef GPU_FIND
    symbol = dlsym(library, "cuEventElapsedTime");
    memcpy(&gpu.elapsed, &symbol, sizeof symbol);
    if (gpu.cuInit_(0) != CUDA_SUCCESS || gpu.cuDeviceGet_(&device, 0) != CUDA_SUCCESS ||
        gpu.cuDevicePrimaryCtxRetain_(&context, device) != CUDA_SUCCESS ||
        gpu.cuCtxSetCurrent_(context) != CUDA_SUCCESS) {
        fprintf(stderr, "no CUDA device\n");
        return -1;
    }
    return 0;
}

static inline CUstream gpu_stream(void)
{
    CUstream stream = NULL;
    gpu.cuStreamCreate_(&stream, CU_STREAM_NON_BLOCKING);
    return stream;
}

#endif
