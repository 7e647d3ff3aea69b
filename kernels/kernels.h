/* What moves and compares rows: one interface, a host back end (host.c) and a CUDA back end (cuda.c, *.cu).
 *
 * Knows nothing of NCCL, of ranks' places or of plans. Every function that takes a stream only enqueues work on it and
 * returns; all work of one context is ordered by that stream. "Device memory" is what the job's send and receive
 * buffers are made of: GPU memory, or ordinary memory for the host back end. The caller may reuse arrays described as
 * host memory as soon as the function has returned.
 *
 * Status: 0, or a negative errno: -ENOMEM (no memory), -EIO (the device reported an error; said once in the log hook),
 * -ETIMEDOUT and -ECANCELED (ops->wait only), -EINVAL (a broken argument, never caused by the job's data).
 *
 * Thread rules: a context is used by one thread at a time; different contexts may be used at the same time. */
#ifndef HM_KERNELS_H
#define HM_KERNELS_H

#include "sums.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define HM_SHARED static __host__ __device__ __forceinline__ /* of both back ends */
#else
#define HM_SHARED static inline
#endif

#define HM_TICKET 64 /* bytes that tell another process how to reach memory */
#define HM_MARKS 33  /* slots for times, see mark */

typedef struct hm_kernels hm_kernels_t;
typedef struct hm_context hm_context_t; /* one per communicator: device, staging memory, events */

/* The rows of a send buffer, segment after segment: row i of the whole counts through segment 0, then 1, ...
 * base and rows are host arrays of `segments` entries; a base may be NULL where rows is 0. Rows need no alignment. */
typedef struct hm_rows {
    int segments;
    const void *const *base;
    const size_t *rows;
    size_t row_bytes;
} hm_rows_t;

/* A group of destinations as bits [first, first + count) of a row's mask. */
typedef struct hm_bits {
    uint32_t first, count;
} hm_bits_t;

/* Result of identify, all device memory given by the caller. n = rows, d = distinct rows (d <= n, unknown before).
 * Distinct rows are numbered by first appearance: id 0 is row 0. */
typedef struct hm_identity {
    uint32_t *id;      /* [n] distinct number of each row */
    uint32_t *first;   /* [n] first[id]: smallest row number with these bytes; d entries are written */
    uint8_t *mask;     /* [n * mask_bytes] destinations of distinct row id at mask + id * mask_bytes; d are written */
    uint32_t *counts;  /* [1 + groups] d, then for each group the number of distinct rows with a bit in it */
    size_t mask_bytes; /* bytes of one mask, (bits + 7) / 8 rounded up to 4; bit b is byte b/8, value 1 << b%8 */
} hm_identity_t;

/* Picks, in ascending order, the rows that have a bit of `bits` set. Outputs that are NULL are not wanted. */
typedef struct hm_pick_job {
    const uint8_t *mask;
    size_t mask_bytes; /* distance of two rows' masks */
    uint32_t rows;
    hm_bits_t bits;
    uint32_t most;   /* hits to list at most, 0: no limit; after a peer is lost, its masks may hold anything */
    uint32_t *index; /* [hits] row numbers of the hits */
    uint32_t *place; /* [rows] number of hits before this row */
    uint8_t *sub;    /* [hits * hm_mask_bytes(bits.count)] the hits' masks, cut to `bits` and shifted down to bit 0 */
} hm_pick_job_t;

/* out[j] = place[id[j]] for j < rows. */
typedef struct hm_map_job {
    const uint32_t *id, *place;
    uint32_t *out;
    uint32_t rows;
} hm_map_job_t;

/* Moves `width` bytes for each j < rows: dst + j * dst_stride <- source of row i + src_offset, where
 *   i = j                 if index is NULL,
 *   i = index[j]          if via is NULL,
 *   i = via[index[j]]     otherwise;
 * the source of row i is src + i * src_stride, or, if segments is not NULL, row i of *segments (src_stride then is
 * segments->row_bytes). Sources and destinations never overlap.
 * Where an index is at or beyond via_entries, or an i at or beyond src_rows (0: not checked), nothing outside the
 * source is read, and the contents of that destination row are undefined: after a peer is lost, the lists that it sent
 * may hold anything, and the job must survive that. */
typedef struct hm_move_job {
    void *dst;
    const void *src;
    size_t dst_stride, src_stride, src_offset, width;
    uint32_t rows, via_entries, src_rows;
    const uint32_t *index, *via;
    const hm_rows_t *segments;
} hm_move_job_t;

/* A buffer whose counts do not tell the size of its rows. Each segment is a whole number of rows of each of the sizes
 * in question, which descend. All host arrays; a base may be NULL where bytes is 0. */
typedef struct hm_period_job {
    int segments, sizes;
    const void *const *base;
    const size_t *bytes;
    const uint32_t *size; /* at most HM_PERIOD_SIZES */
} hm_period_job_t;

enum {
    HM_PERIOD_SIZES = 128,
    HM_PERIOD_ONE = 1 << 20, /* all rows, where a share of the rows is said */
    HM_PERIOD_LISTS = 16     /* bytes of a row that is sent only once which go into lists about it, about */
};

/* The bytes saved where a share of the rows repeats, less what lists take; in parts of HM_PERIOD_ONE of all bytes. */
HM_SHARED int64_t period_net(uint64_t share, uint64_t row_bytes)
{
    return (int64_t)share - (int64_t)HM_PERIOD_LISTS * HM_PERIOD_ONE / (int64_t)row_bytes;
}

/* What the host and a stream say to each other about a word in device memory that the host may take back until the
 * stream gets to it. Lies in host_alloc memory, zeros at first. Each side sets its word, then looks at the other's. */
typedef struct hm_claim {
    atomic_int withdrawn; /* by the host: take the word back */
    atomic_int claimed;   /* by the stream: whether it is taken back is being read */
    atomic_int passed;    /* by the stream: it does nothing more with this claim */
} hm_claim_t;

static inline size_t hm_mask_bytes(uint32_t bits)
{
    return ((size_t)bits + 7) / 8;
}

/* One flat table of functions: a caller writes kernels->move(...), and the comments below group them as subtables
 * would. */
struct hm_kernels {
    const char *name; /* "host" or "cuda" */

    /* Properties of the back end that callers decide by. */
    bool on_gpu;                 /* device memory is a GPU's: its model and its place in the machine matter */
    bool own_rows_beside;        /* the rows that a rank keeps are moved while transfers run, at no extra time */
    bool rails_gather;           /* gathering along rails beats an all-gather's ring: messages cost little CPU time */
    bool lanes_over_tcp;         /* copies leave the CPU free to work several TCP connections at a time */
    int slices;                  /* pieces to cut a call of several levels into; 1 where moving rows is fast */
    size_t fit_bytes;            /* the largest buffer that is worth timing transfers with */
    double identify_ms, pack_ms; /* ms per byte as in hm_profile_t, until measured; 0: those of profile_prior */

    /* Makes a context. Until prepare it only serves host_alloc, host_free, join, wait, mark, span, capturing and
     * context_destroy: enough to tell other ranks that prepare failed here. hook is the back end's own: an
     * hm_host_stream_t, or for CUDA the number of the device (an int; NULL or below 0: the calling thread's current
     * one). */
    int (*context_create)(const void *hook, hm_context_t **context);
    /* Loads the kernels and reserves the memory that must not be missing in the middle of a call. -EIO for a device or
     * driver that the back end does not know. */
    int (*prepare)(hm_context_t *context);
    void (*context_destroy)(hm_context_t *context);

    /* Device memory and memory that both sides see (pinned). Nothing here waits for the device: memory that is given
     * back is freed behind all work of the context so far. free takes NULL. */
    int (*alloc)(hm_context_t *context, size_t bytes, void **memory);
    void (*free)(hm_context_t *context, void *memory);
    int (*host_alloc)(hm_context_t *context, size_t bytes, void **memory);
    void (*host_free)(hm_context_t *context, void *memory);

    /* 1 while the stream is being captured into a graph, else 0. */
    int (*capturing)(hm_context_t *context, void *stream);

    /* Orders `stream` behind everything this context enqueued before, on whichever stream that was, and behind nothing
     * else of that stream. Does not wait on the host. */
    int (*join)(hm_context_t *context, void *stream);
    /* After an abort, when nobody will use what the work brings: lets go of streams that wait for another one. NULL
     * where a driver orders streams. */
    void (*unjoin)(hm_context_t *context);

    /* Copies between device memory and host_alloc memory; the host side must stay until the stream got there. */
    int (*copy)(hm_context_t *context, void *stream, void *dst, const void *src, size_t bytes);

    /* Waits on the host for what is on the stream by now. -ETIMEDOUT after `seconds`, not counting time in which the
     * process was stopped; -ECANCELED soon after *cancel is not 0 (cancel may be NULL). A wait that timed out may be
     * gone on with: the next wait on the stream, with no work of the context in between, is for the same. */
    int (*wait)(hm_context_t *context, void *stream, double seconds, const atomic_int *cancel);

    /* Enqueues the claim of a word that the device can write: it gets `value` if it was withdrawn by then (claim.h),
     * and stays as it is otherwise. */
    int (*claim)(hm_context_t *context, void *stream, hm_claim_t *claim, uint32_t *word, uint32_t value);

    /* Bytes of work memory that identify needs for n rows; 0 if n is beyond what it can do. */
    size_t (*identify_bytes)(size_t n);

    /* Which rows are the same bytes: a sampled fingerprint proposes, a compare of all bytes decides. Rows of segment p
     * have destination bit[p] (host array). groups (host array) are counted into identity->counts.
     * fingerprint_bits < 64 narrows the fingerprint (tests force collisions with it); 64 in production. */
    int (*identify)(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                    const hm_bits_t *groups, int group_count, int fingerprint_bits, void *work,
                    const hm_identity_t *identity);

    /* The size at which rows of a buffer repeat, by a sample: found[0] (device memory, two words) gets the size that
     * saves most, the largest where several do, or 0 where none does; found[1] the share of rows that repeat, in parts
     * of HM_PERIOD_ONE. `work` is device memory of period_bytes(job). */
    size_t (*period_bytes)(const hm_period_job_t *job);
    int (*period)(hm_context_t *context, void *stream, const hm_period_job_t *job, void *work, uint32_t *found);

    /* The same outputs where the job says which rows are one token (sums.h), and what is found wrong with that. Rows
     * of one token count as the same bytes whether they are or not; fillers are one more token. tokens_bytes: work
     * memory for n rows, 0 if n or tokens is beyond what it can do. */
    size_t (*tokens_bytes)(size_t n, uint64_t tokens);
    int (*tokens)(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                  const hm_bits_t *groups, int group_count, const hm_tokens_t *tokens, void *work,
                  const hm_identity_t *identity, const hm_tokens_found_t *found);

    /* Lists of what is added, and adding along them (sums.h). The jobs of one sum call run in any order. invert_bytes:
     * work memory for so many sums. */
    size_t (*invert_bytes)(size_t sums);
    int (*invert)(hm_context_t *context, void *stream, const hm_invert_job_t *job);
    int (*sum)(hm_context_t *context, void *stream, const hm_sum_job_t *jobs, int count);

    /* The number of rows of a pick over identity's masks is known to the host only after wait. */
    int (*pick)(hm_context_t *context, void *stream, const hm_pick_job_t *jobs, int count);
    int (*map)(hm_context_t *context, void *stream, const hm_map_job_t *jobs, int count);
    int (*move)(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count);

    /* Work beside the stream: move_beside may run next to anything that is enqueued on the stream after fork, and
     * merge orders the stream behind it. Every fork is followed by one merge on the same stream. */
    int (*fork)(hm_context_t *context, void *stream);
    int (*move_beside)(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count);
    int (*merge)(hm_context_t *context, void *stream);

    /* Memory that other ranks on this machine can read; all three are NULL where a back end has no such thing. share
     * allocates it until the context ends and writes a ticket of HM_TICKET bytes, zeros where others cannot be let in;
     * 0 or -ENOMEM. window_open turns another rank's ticket into a pointer that moves may read from until the context
     * ends; 0, or -ENOTSUP where that is impossible. After abandon, shared memory is left allocated when the context
     * ends, since others may still read it. */
    int (*share)(hm_context_t *context, size_t bytes, void **memory, unsigned char *ticket);
    int (*window_open)(hm_context_t *context, const unsigned char *ticket, void **window);
    void (*abandon)(hm_context_t *context);

    /* Times along streams. mark enqueues the setting of a slot (0..HM_MARKS-1) to the time at which the stream gets
     * there. span gives the time between two slots without waiting: 0, or -EAGAIN where either is not set yet. */
    int (*mark)(hm_context_t *context, void *stream, int slot);
    int (*span)(hm_context_t *context, int from, int to, double *ms);
};

/* A stream of a library without devices: enqueue runs fn(arg) in order on the stream's own thread and returns 0, or is
 * refused. enqueue NULL: there are no streams, everything runs at once. */
typedef struct hm_host_stream {
    int (*enqueue)(void *stream, void (*fn)(void *), void *arg);
} hm_host_stream_t;

extern const hm_kernels_t hm_kernels_host;

/* The CUDA back end, or NULL with *why set to a plain sentence (no driver, no device, library built without it). */
const hm_kernels_t *kernels_cuda_open(const char **why);

/* Called with each context's first error, a plain sentence; may be NULL. Set before the first context is made. */
extern void (*hm_kernels_say)(const char *text);

#endif
