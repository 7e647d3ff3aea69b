/* Stands for the CUDA back end where the library is built without nvcc. */
#include "kernels.h"

const hm_kernels_t *kernels_cuda_open(const char **why)
{
    *why = "libhiermoe.so was built without CUDA";
    return NULL;
}
