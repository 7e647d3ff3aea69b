/* What a context of the CUDA back end holds, part by part, and the steps that all its work takes. One file writes each
 * part; the others read it. Built on this: cuda_device.c, cuda_memory.c and cuda_stage.c, then what launches work,
 * then cuda.c, which makes and ends contexts. */
#ifndef HM_CUDA_CONTEXT_H
#define HM_CUDA_CONTEXT_H

#include "cuda_driver.h"
#include "kernels.h"

#include <stdbool.h>

#define HM_CUDA_KERNELS(X) \
    X(clear) \
    X(print) \
    X(gather) X(number) X(compare) X(label) X(count) X(period) X(settle) X(pick) X(map) X(move) X(stage) X(claim) \
    X(mark_clear) X(mark_first) X(mark_number) X(mark_check) \
    X(invert_count) X(invert_offset) X(invert_fill) X(invert_sort) X(sum)

typedef enum hm_cuda_kernel {
#define HM_CUDA_KERNEL(name) HM_CUDA_##name,
    HM_CUDA_KERNELS(HM_CUDA_KERNEL)
#undef HM_CUDA_KERNEL
        HM_CUDA_KERNEL_COUNT
} hm_cuda_kernel_t;

/* Written by cuda_device.c. */
typedef struct hm_cuda_device {
    CUcontext context; /* the CUDA context that the work belongs to */
    CUdevice number;
    int processors;           /* streaming multiprocessors */
    int cache_bytes;          /* of the level 2 cache */
    const CUfunction *kernel; /* [HM_CUDA_KERNEL_COUNT] */
    bool chains;              /* kernels wait by themselves for the one before them */
} hm_cuda_device_t;

/* The order of work between streams; written by cuda_context.c. */
typedef struct hm_cuda_order {
    CUevent done;      /* behind the last work of the context */
    CUstream last;     /* stream of that work */
    bool used;         /* there was work */
    bool awaited;      /* `done` is the point that a wait has waited for in vain */
    CUevent allocated; /* behind the last allocation */
    bool fresh;        /* no stream waits for `allocated` yet */
} hm_cuda_order_t;

/* Pinned memory given back; freed with the context, since freeing waits for the device. */
typedef struct hm_parked {
    struct hm_parked *next;
    void *memory;
} hm_parked_t;

/* Written by cuda_memory.c. */
typedef struct hm_cuda_memory {
    CUmemoryPool pool;
    uint64_t peers;  /* bit i: device i of this process may reach the pool's memory */
    CUstream stream; /* only allocates and frees */
    hm_parked_t *parked;
} hm_cuda_memory_t;

/* Pinned memory and as much device memory: the host writes a table into the one, a kernel carries it to the other.
 * Written by cuda_stage.c. */
typedef struct hm_stage_chunk {
    struct hm_stage_chunk *next;
    unsigned char *host;
    CUdeviceptr device;
    size_t bytes, used;
} hm_stage_chunk_t;

/* Where the tiles of picks meet; written by cuda_pick.c. */
typedef struct hm_cuda_scan {
    CUdeviceptr memory; /* a ticket, then a state for each tile */
    uint64_t tiles;     /* there is room for */
    uint32_t ticket;    /* tickets that were taken */
    uint32_t tag;       /* of the last pick; 0: the memory is to be cleared */
} hm_cuda_scan_t;

/* Work beside the job's stream; written by cuda_beside.c. */
typedef struct hm_cuda_beside {
    CUstream stream;
    CUevent forked; /* where that work begins on the job's stream */
    CUevent joined; /* behind the last of it */
} hm_cuda_beside_t;

typedef struct hm_shared {
    struct hm_shared *next;
    CUdeviceptr memory;
} hm_shared_t;

/* Written by cuda_share.c. */
typedef struct hm_cuda_shares {
    hm_shared_t *own;     /* memory that other processes can read */
    hm_shared_t *windows; /* memory of theirs that this one reads */
    bool abandoned;       /* both may be in use when the context ends */
} hm_cuda_shares_t;

struct hm_context {
    const hm_cuda_t *cuda;
    bool said; /* an error was said; written by cuda_context.c */
    hm_cuda_device_t device;
    hm_cuda_order_t order;
    hm_cuda_memory_t memory;
    hm_stage_chunk_t *stage; /* largest first */
    hm_cuda_scan_t scan;
    hm_cuda_beside_t beside;
    hm_cuda_shares_t shares;
    CUevent mark[HM_MARKS]; /* times, made when first set; written by cuda_mark.c */
};

/* What cuda_enter changed in the calling thread. */
typedef struct hm_cuda_entry {
    bool pushed;
    CUstreamCaptureMode mode;
} hm_cuda_entry_t;

/* Says the first error of a context: what failed, the error's name and its text. */
void cuda_say(hm_context_t *context, const char *what, const char *name, const char *text);

/* From now on no error is said: the process may be ending, with its CUDA context gone. */
void cuda_say_nothing(hm_context_t *context);

/* 0, -ENOMEM, or -EIO with the error said. */
int cuda_check(hm_context_t *context, CUresult result, const char *what);

/* Makes the context's device current, and lets this thread allocate and ask events while another one captures a graph.
 * Every cuda_enter that returned 0 is followed by cuda_leave. */
int cuda_enter(hm_context_t *context, hm_cuda_entry_t *entry);
void cuda_leave(hm_context_t *context, const hm_cuda_entry_t *entry);

/* Events of the order; 0 or as cuda_check. close takes an order that was opened in part or not at all. */
int cuda_order_open(hm_context_t *context);
void cuda_order_close(hm_context_t *context);

/* Orders the stream behind the context's earlier work and allocations; cuda_end marks the end of new work on it. */
int cuda_begin(hm_context_t *context, CUstream stream);
int cuda_end(hm_context_t *context, CUstream stream);

/* Notes an allocation just made on `stream`, which later work must come behind. */
CUresult cuda_order_allocated(hm_context_t *context, CUstream stream);

/* Whether all work of the context is done. */
bool cuda_idle(const hm_context_t *context);

/* `chained`: the stream's last work is another of our kernels, so that this one may start before that has ended.
 * -EINVAL for more blocks than a grid can have. */
int cuda_launch(hm_context_t *context, CUstream stream, hm_cuda_kernel_t kernel, uint64_t blocks, unsigned threads,
                bool chained, void **arguments);

/* Widest access (16, 8, 4, 2 or 1 bytes) that suits all addresses, strides and sizes or-ed together into `bits`. */
static inline uint32_t cuda_access(uint64_t bits)
{
    bits |= 16;
    return (uint32_t)(bits & -bits);
}

static inline size_t cuda_round(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

#endif
