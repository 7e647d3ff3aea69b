/* A libcuda.so.1 for tests of the CUDA back end's host part: memory is the process's own, kernels do nothing. */
#ifndef HM_FAKE_CUDA_H
#define HM_FAKE_CUDA_H

#include <cuda.h>

typedef struct fake_cuda {
    CUresult module_load; /* what it answers */
    int pool_allocations; /* that succeed before there is no memory; below 0: all */
    int busy;             /* events are not ready for so many questions */
    CUdevice device;      /* of the thread's context; below 0: it has none */
    /* What it saw. */
    int alive; /* pools, streams, events and memory that were made and not given back */
    int retained, pushed, launched, asked, waited, recorded;
    size_t device_bytes, pinned_bytes; /* asked for, given back or not */
    const void *zeroed;                /* the last memory that was to be cleared, and how much */
    size_t zeroed_bytes;
    struct {
        unsigned blocks, threads;
        void *claim, *word;
        unsigned value;
    } claim; /* the last launch of that kernel */
} fake_cuda_t;

/* All zero: works, and the thread is at device 0. */
extern fake_cuda_t fake_cuda;

#endif
