/* A context of the host back end, and the functions of its interface (kernels.h). */
#ifndef HM_HOST_CONTEXT_H
#define HM_HOST_CONTEXT_H

#include "kernels.h"

#include <pthread.h>
#include <stdbool.h>

/* Memory that other threads' contexts may read, or that waits to be freed. */
typedef struct hm_host_shared {
    struct hm_host_shared *next;
    void *memory;
} hm_host_shared_t;

/* The work of a context; written by host_order.c. It is done in the order in which it was submitted, on whatever
 * streams, until the context is unjoined. */
typedef struct hm_host_order {
    pthread_mutex_t lock; /* for all that follows */
    pthread_cond_t done;
    uint64_t submitted, finished; /* pieces of work */
    bool unjoined;                /* no work is held back any more for work on another stream */
    bool over;                    /* the context's user is gone: its last work frees it */
    hm_host_shared_t *parked;     /* freed when no work is left */
} hm_host_order_t;

struct hm_context {
    const hm_host_stream_t *streams; /* NULL: everything runs at once */
    void *last;                      /* stream of the last work */
    bool used;                       /* there was work */
    bool awaited;                    /* the last work is the point that a wait has waited for in vain */
    hm_host_order_t order;
    atomic_int failed;           /* a kernel ran out of memory on the stream's thread */
    hm_host_shared_t *shared;    /* freed with the context; written by host_memory.c */
    atomic_llong mark[HM_MARKS]; /* nanoseconds; 0: unset or still ahead; written by host_stream.c */
};

int host_order_open(hm_host_order_t *order);
/* The context's user is gone: frees the context, at once or when its last work is done. */
void host_order_close(hm_context_t *context);
/* Frees memory once all work so far is done, NCCL's on the last stream included. */
void host_order_free(hm_context_t *context, void *memory);

/* Enqueues run(arguments) on a stream behind all earlier work of the context, or runs it at once where there are no
 * streams. `arguments` is `bytes` long and copied. run returns other than 0 where it was short of memory. 0, -ENOMEM or
 * -EIO. */
int host_submit(hm_context_t *context, void *stream, int (*run)(const void *), const void *arguments, size_t bytes);

/* Work that does nothing, to be waited for. */
int host_point(hm_context_t *context, void *stream);

int host_claim(hm_context_t *context, void *stream, hm_claim_t *claim, uint32_t *word, uint32_t value);
int host_wait(hm_context_t *context, void *stream, double seconds, const atomic_int *cancel);
int host_join(hm_context_t *context, void *stream);
void host_unjoin(hm_context_t *context);
int host_mark(hm_context_t *context, void *stream, int slot);
int host_span(hm_context_t *context, int from, int to, double *ms);

int host_alloc(hm_context_t *context, size_t bytes, void **memory);
void host_free(hm_context_t *context, void *memory);
int host_share(hm_context_t *context, size_t bytes, void **memory, unsigned char *ticket);
int host_window_open(hm_context_t *context, const unsigned char *ticket, void **window);
void host_abandon(hm_context_t *context);
/* Gives shared memory back, unless it was abandoned. */
void host_share_close(hm_context_t *context);

int host_copy(hm_context_t *context, void *stream, void *dst, const void *src, size_t bytes);
int host_identify(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                  const hm_bits_t *groups, int group_count, int fingerprint_bits, void *work,
                  const hm_identity_t *identity);
size_t host_period_bytes(const hm_period_job_t *job);
int host_period(hm_context_t *context, void *stream, const hm_period_job_t *job, void *work, uint32_t *found);
int host_pick(hm_context_t *context, void *stream, const hm_pick_job_t *jobs, int count);
int host_map(hm_context_t *context, void *stream, const hm_map_job_t *jobs, int count);
int host_move(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count);

#endif
