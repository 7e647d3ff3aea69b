/* The CUDA driver's functions, found at run time: the library needs no CUDA library to load. Types come from cuda.h. */
#ifndef HM_CUDA_DRIVER_H
#define HM_CUDA_DRIVER_H

#include <cuda.h>

/* Names are macros in cuda.h that expand to the exported symbol of this header's binary interface (cuMemFree_v2). */
#define HM_CUDA_CALLS(X) \
    X(cuInit) \
    X(cuGetErrorName) \
    X(cuGetErrorString) \
    X(cuDeviceGet) \
    X(cuDeviceGetCount) \
    X(cuDeviceGetAttribute) \
    X(cuDevicePrimaryCtxGetState) \
    X(cuDevicePrimaryCtxRetain) \
    X(cuDeviceCanAccessPeer) \
    X(cuCtxGetCurrent) \
    X(cuCtxGetDevice) \
    X(cuCtxPushCurrent) \
    X(cuCtxPopCurrent) \
    X(cuModuleLoadData) \
    X(cuModuleUnload) \
    X(cuModuleGetFunction) \
    X(cuFuncGetAttribute) \
    X(cuLaunchKernel) \
    X(cuMemPoolCreate) \
    X(cuMemPoolDestroy) \
    X(cuMemPoolSetAttribute) \
    X(cuMemPoolSetAccess) \
    X(cuMemPoolTrimTo) \
    X(cuMemAllocFromPoolAsync) \
    X(cuMemFreeAsync) \
    X(cuMemHostAlloc) \
    X(cuMemAlloc) \
    X(cuMemFree) \
    X(cuIpcGetMemHandle) \
    X(cuIpcOpenMemHandle) \
    X(cuIpcCloseMemHandle) \
    X(cuMemFreeHost) \
    X(cuMemcpyAsync) \
    X(cuMemsetD8Async) \
    X(cuStreamCreate) \
    X(cuStreamDestroy) \
    X(cuStreamIsCapturing) \
    X(cuStreamWaitEvent) \
    X(cuThreadExchangeStreamCaptureMode) \
    X(cuEventCreate) \
    X(cuEventDestroy) \
    X(cuEventRecord) \
    X(cuEventQuery)

typedef struct hm_cuda {
#define HM_CUDA_FIELD(name) __typeof__(&name) name##_;
    HM_CUDA_CALLS(HM_CUDA_FIELD)
#undef HM_CUDA_FIELD
    CUresult (*load_function)(CUfunction); /* cuFuncLoad; NULL before CUDA 12.4 */
    /* cuEventElapsedTime: the form that all drivers have; cuda.h names a newer one. */
    CUresult (*event_elapsed)(float *, CUevent, CUevent);
    CUresult (*launch_with)(const CUlaunchConfig *, CUfunction, void **, void **); /* cuLaunchKernelEx; 11.8 */
} hm_cuda_t;

/* The driver's functions, or NULL with *why set to a plain sentence. Loads libcuda.so.1 and initialises nothing. The
 * same answer on every call, from any thread. */
const hm_cuda_t *cuda_driver_open(const char **why);

/* The kernels' fat binary, embedded in the library. */
extern const unsigned char hm_cuda_image[] __attribute__((visibility("hidden")));

#endif
