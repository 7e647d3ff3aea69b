/* A context of the host back end, and the functions of its interface (kernels.h). */
#ifndef HM_HOST_CONTEXT_H
#define HM_HOST_CONTEXT_H

#include "kernels.h"

#include <stdbool.h>

/* Memory that other threads' contexts may read. */
typedef struct hm_host_shared {
    struct hm_host_shared *next;
    void *memory;
} hm_host_shared_t;

struct hm_context {
    const hm_host_stream_t *streams; /* NULL: everything runs at once */
    void *last;                      /* stream of the last work; written by host_stream.c */
    bool used;                       /* there was work */
    atomic_int failed;               /* a kernel ran out of memory on the stream's thread */
    hm_host_shared_t *shared;        /* freed with the context; written by host_memory.c */
    atomic_llong mark[HM_MARKS];     /* nanoseconds; 0: unset or still ahead; written by host_stream.c */
};

/* Enqueues run(arguments) on a stream, or runs it at once where there are no streams. `arguments` is `bytes` long and
 * copied. run returns other than 0 where it was short of memory. 0, -ENOMEM or -EIO. */
int host_submit(hm_context_t *context, void *stream, int (*run)(const void *), const void *arguments, size_t bytes);

int host_wait(hm_context_t *context, void *stream, double seconds, const atomic_int *cancel);
int host_join(hm_context_t *context, void *stream);
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
int host_pick(hm_context_t *context, void *stream, const hm_pick_job_t *jobs, int count);
int host_map(hm_context_t *context, void *stream, const hm_map_job_t *jobs, int count);
int host_move(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count);

#endif
