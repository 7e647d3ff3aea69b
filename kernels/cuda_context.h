/* A context of the CUDA back end: device, memory, staging, order of work. */
#ifndef HM_CUDA_CONTEXT_H
#define HM_CUDA_CONTEXT_H

#include "cuda_driver.h"
#include "kernels.h"

#include <stdbool.h>

#define HM_CUDA_KERNELS(X) \
    X(clear) X(print) X(gather) X(number) X(compare) X(label) X(count) X(pick) X(map) X(move) X(stage)

typedef enum hm_cuda_kernel {
#define HM_CUDA_KERNEL(name) HM_CUDA_##name,
    HM_CUDA_KERNELS(HM_CUDA_KERNEL)
#undef HM_CUDA_KERNEL
        HM_CUDA_KERNEL_COUNT
} hm_cuda_kernel_t;

/* Pinned memory and as much device memory: the host writes a table into the one, a kernel carries it to the other. */
typedef struct hm_stage_chunk {
    struct hm_stage_chunk *next;
    unsigned char *host;
    CUdeviceptr device;
    size_t bytes, used;
} hm_stage_chunk_t;

typedef struct hm_parked {
    struct hm_parked *next;
    void *memory;
} hm_parked_t;

typedef struct hm_shared {
    struct hm_shared *next;
    CUdeviceptr memory;
} hm_shared_t;

struct hm_context {
    const hm_cuda_t *cuda;
    CUcontext device_context;
    CUdevice device;
    int processors;           /* streaming multiprocessors */
    int cache_bytes;          /* of the level 2 cache */
    const CUfunction *kernel; /* [HM_CUDA_KERNEL_COUNT] */
    bool chains;              /* kernels wait for the one before them by themselves */
    CUmemoryPool pool;
    uint64_t peers;          /* devices of this process that may reach the pool's memory */
    CUstream memory_stream;  /* only allocates and frees */
    CUevent allocated;       /* behind the last allocation */
    bool fresh;              /* no stream waits for `allocated` yet */
    CUstream beside;         /* work beside the job's stream */
    CUevent forked, joined;  /* where that begins on the job's stream, and behind the last of it */
    CUevent done;            /* behind the last work of the context */
    CUstream last;           /* stream of that work */
    bool used;               /* there was work */
    hm_shared_t *shared;     /* memory that other processes can read */
    hm_shared_t *windows;    /* theirs that this one reads */
    bool abandoned;          /* both may be in use when the context ends */
    CUevent mark[HM_MARKS];  /* times, made when first set */
    bool said;               /* an error was said */
    hm_stage_chunk_t *stage; /* largest first */
    CUdeviceptr scan;        /* where the tiles of picks meet: a ticket, then a state each */
    uint64_t scan_tiles;     /* there is room for */
    uint32_t scan_ticket;    /* tickets that were taken */
    uint32_t scan_tag;       /* of the last pick; 0: the memory is to be cleared */
    hm_parked_t *parked;     /* pinned memory given back; freed with the context, since freeing waits for the device */
};

/* What cuda_enter changed in the calling thread. */
typedef struct hm_cuda_entry {
    bool pushed;
    CUstreamCaptureMode mode;
} hm_cuda_entry_t;

/* A table on its way to the device. */
typedef struct hm_stage {
    unsigned char *host;
    CUdeviceptr device;
} hm_stage_t;

/* 0, -ENOMEM, or -EIO with the first error of a context said. */
int cuda_check(hm_context_t *context, CUresult result, const char *what);

/* Makes the context's device current, and lets this thread allocate and ask events while another one captures a graph.
 * Every cuda_enter that returned 0 is followed by cuda_leave. */
int cuda_enter(hm_context_t *context, hm_cuda_entry_t *entry);
void cuda_leave(hm_context_t *context, const hm_cuda_entry_t *entry);

/* Orders the stream behind the context's earlier work and allocations; cuda_end marks the end of new work on it. */
int cuda_begin(hm_context_t *context, CUstream stream);
int cuda_end(hm_context_t *context, CUstream stream);

/* `chained`: the stream's last work is another of our kernels, so that this one may start before that has ended. */
int cuda_launch(hm_context_t *context, CUstream stream, hm_cuda_kernel_t kernel, uint64_t blocks, unsigned threads,
                bool chained, void **arguments);

/* Memory for `bytes` of a table, both sides on 16 bytes. Valid until work enqueued before the next cuda_end is done.
 * Call before cuda_begin: it may allocate, or wait for earlier work where there is no memory. */
int cuda_stage(hm_context_t *context, size_t bytes, hm_stage_t *stage);
/* Enqueues the carrying of the first `bytes` of a table, a multiple of 16. */
int cuda_stage_send(hm_context_t *context, CUstream stream, const hm_stage_t *stage, size_t bytes);
/* Room at the start for all but the largest tables and picks, so that later there is little to be found lacking. */
int cuda_stage_reserve(hm_context_t *context);
int cuda_scan_reserve(hm_context_t *context);
void cuda_stage_free(hm_context_t *context);
void cuda_scan_free(hm_context_t *context);

int cuda_alloc(hm_context_t *context, size_t bytes, CUdeviceptr *memory);
void cuda_free(hm_context_t *context, CUdeviceptr memory);
bool cuda_idle(const hm_context_t *context);

/* The kernels for the current CUDA context, loaded once for each. */
int cuda_kernels_load(hm_context_t *context);

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

/* The interface's functions, one source file for each group. */
int cuda_context_create(const void *hook, hm_context_t **context);
int cuda_prepare(hm_context_t *context);
void cuda_context_destroy(hm_context_t *context);
int cuda_memory_alloc(hm_context_t *context, size_t bytes, void **memory);
void cuda_memory_free(hm_context_t *context, void *memory);
int cuda_host_alloc(hm_context_t *context, size_t bytes, void **memory);
void cuda_host_free(hm_context_t *context, void *memory);
int cuda_capturing(hm_context_t *context, void *stream);
int cuda_join(hm_context_t *context, void *stream);
int cuda_copy(hm_context_t *context, void *stream, void *dst, const void *src, size_t bytes);
int cuda_wait(hm_context_t *context, void *stream, double seconds, const atomic_int *cancel);
size_t cuda_identify_bytes(size_t n);
int cuda_identify(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                  const hm_bits_t *groups, int group_count, int fingerprint_bits, void *work,
                  const hm_identity_t *identity);
int cuda_pick(hm_context_t *context, void *stream, const hm_pick_job_t *jobs, int count);
int cuda_map(hm_context_t *context, void *stream, const hm_map_job_t *jobs, int count);
int cuda_move(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count);
int cuda_fork(hm_context_t *context, void *stream);
int cuda_move_beside(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count);
int cuda_merge(hm_context_t *context, void *stream);
int cuda_share(hm_context_t *context, size_t bytes, void **memory, unsigned char *ticket);
int cuda_window_open(hm_context_t *context, const unsigned char *ticket, void **window);
void cuda_abandon(hm_context_t *context);
void cuda_share_free(hm_context_t *context, bool idle);
int cuda_mark(hm_context_t *context, void *stream, int slot);
int cuda_span(hm_context_t *context, int from, int to, double *ms);

#endif
