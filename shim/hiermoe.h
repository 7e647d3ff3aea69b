/* The companion API of libhiermoe.so, for adapters and jobs that want to know whether it is there and what it does, and
 * that know more about their all-to-alls than NCCL's calls say.
 *
 * Header only, C99 and C++11: include it, call hiermoe_api_load(), and get NULL where the library is not preloaded.
 * Nothing has to be linked (but -ldl before glibc 2.34). The struct only grows at its end: check `size` before using a
 * member newer than you need.
 *
 * Announcements. A MoE layer sends its rows out and back four times in a training step: dispatch and, in the backward
 * pass, combine's gradients go from the ranks that have the tokens to those that have the experts; combine and
 * dispatch's gradients come back along the same ways. NCCL's calls do not say so. An adapter does:
 *
 *     attach once, layer_open for each layer, and then around each all-to-all, on the thread that makes it:
 *         announce(&what);  the all-to-all;  settle(&handle);
 *
 * An announcement never changes what the job gets but in the ways that HIERMOE_GUIDED names: without that setting, it
 * only tells the size of a row, and rows are compared byte by byte as ever. One that does not fit the call that
 * follows, or that some rank did not make alike, is refused on all ranks: the call is left to NCCL, the refusal is
 * counted and said once, and the job goes on. */
#ifndef HIERMOE_H
#define HIERMOE_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HIERMOE_API_VERSION 2

/* Counters of one communicator on this rank. Members are only added, at the end. */
typedef struct hiermoe_stats {
    size_t size;       /* before the call: sizeof(hiermoe_stats_t) as compiled; after it: how much of that is filled */
    uint64_t replaced; /* all-to-alls carried out by the library */
    uint64_t left;     /* groups with sends or receives and all-to-alls by name, left to NCCL for whatever reason */
    uint64_t agreements;   /* times that the ranks agreed on what to do with a call */
    uint64_t bytes_raw;    /* of replaced calls: what NCCL would have sent to other ranks */
    uint64_t bytes_sent;   /* of replaced calls: what was sent to other ranks, forwarded rows and lists included */
    uint64_t announced;    /* since version 2: calls that all ranks announced alike */
    uint64_t guided;       /* calls of those that were carried out by what was announced, without comparing rows */
    uint64_t misannounced; /* calls left to NCCL because an announcement did not fit, or not all ranks made the same */
    uint64_t handles;      /* dispatches that were kept for the calls after them, so far */
    uint64_t handle_bytes_most; /* the most device memory that kept dispatches took at a time */
} hiermoe_stats_t;

/* A dispatch that the library remembers for the calls that follow it. 0: none. Never used again once released. */
typedef uint64_t hiermoe_handle_t;

/* What an all-to-all is. "Out" is from a rank with tokens to one with experts. */
enum {
    HIERMOE_OPAQUE,           /* something else: it is left to NCCL, and no time is spent on it */
    HIERMOE_DISPATCH,         /* out: rows of tokens, one row for each choice of an expert */
    HIERMOE_COMBINE,          /* back: the experts' results, a row for each row of the dispatch */
    HIERMOE_COMBINE_BACKWARD, /* out: the gradients of those results */
    HIERMOE_DISPATCH_BACKWARD /* back: the gradients of the dispatch's rows */
};

/* Elements of a row. Only rows of floating point numbers can be summed. */
enum {
    HIERMOE_BYTES, /* anything; an element is one byte */
    HIERMOE_BF16,
    HIERMOE_FP16,
    HIERMOE_FP32
};

/* What the job promises of a call, bits to be combined; the same on all ranks. */
enum {
    /* COMBINE, DISPATCH_BACKWARD: the receiver adds the rows of each token, unweighted, and reads them in no other
     * way. It may get the sum in one of the rows and zeros in the others. */
    HIERMOE_SUM = 1,
    /* COMBINE, DISPATCH_BACKWARD: nobody reads the rows of fillers (see map). They do not travel; the receiver gets
     * zeros in them. */
    HIERMOE_FILLER_UNREAD = 2,
    /* COMBINE_BACKWARD: rows of one token are the same bytes, as where combine is an unweighted sum. */
    HIERMOE_COPIES = 4
};

/* One layer of experts. */
typedef struct hiermoe_layer {
    size_t size;      /* sizeof(hiermoe_layer_t) as compiled */
    const char *key;  /* its name, the same on all ranks, such as "decoder.layers.3.mlp"; copied */
    const void *comm; /* the ncclComm_t that its rows travel on; NULL: the one of its first call */
} hiermoe_layer_t;

/* What the next all-to-all is. Zeros where a member is not mentioned for the role. Of `role`, `flags`, `type`, `layer`,
 * `width` and the dispatch that `handle` names, all ranks must say the same. They may depend only on what all ranks
 * have alike: not on counts, and not on whether this rank has any rows. */
typedef struct hiermoe_announcement {
    size_t size;             /* sizeof(hiermoe_announcement_t) as compiled */
    const void *comm;        /* the ncclComm_t of the call; NULL: the layer's, or whichever the next call is on */
    uint32_t role;           /* HIERMOE_OPAQUE ... */
    uint32_t flags;          /* HIERMOE_SUM ... */
    uint32_t type;           /* HIERMOE_BYTES ... */
    uint32_t map_bytes;      /* DISPATCH with a map: of one of its entries, 4 (int32_t) or 8 (int64_t) */
    int32_t layer;           /* from layer_open; -1: none */
    uint32_t spare;          /* 0 */
    hiermoe_handle_t handle; /* roles after DISPATCH: of the dispatch; 0 where that was not kept: rows are compared */
    uint64_t width;          /* elements of a row; right on ranks without rows, too */
    uint64_t rows_out;       /* rows that this rank sends, to itself included; UINT64_MAX: not known */
    uint64_t rows_in;        /* rows that it receives; the same */
    /* DISPATCH: [rows_out] entries in device memory, aligned to their size: the token of each row, in the order in
     * which rows are sent, rank 0's first. Rows of one token must be the same bytes. Read on the call's stream: it must
     * stay as it is until the stream has passed the call. NULL: the map is not known, rows are compared. */
    const void *map;
    /* DISPATCH with a map: entries below it name tokens of this rank. An entry equal to it is a filler: a row of no
     * token, such as an empty place of an expert with fixed capacity; all fillers of a rank must be the same bytes. */
    uint64_t tokens;
} hiermoe_announcement_t;

/* Calls of one layer on this rank by role, indexed by HIERMOE_OPAQUE ... */
typedef struct hiermoe_layer_stats {
    size_t size;           /* as in hiermoe_stats_t */
    uint64_t announced[5]; /* announcements that a call took */
    uint64_t guided[5];    /* of these: carried out by what was announced, without comparing rows */
    uint64_t refused[5];   /* of these: did not fit the call, or not all ranks made the same */
} hiermoe_layer_stats_t;

typedef struct hiermoe_api {
    size_t size;         /* of this struct in the library */
    unsigned version;    /* HIERMOE_API_VERSION of the library */
    const char *library; /* its version, such as "0.1.0" */

    /* Counters of a communicator (an ncclComm_t) so far. Any thread; waits for nothing. An older job's smaller struct
     * and a newer job's larger one are taken: whole members that both know are filled, and stats->size says how far;
     * what lies beyond is not written. 0; -EINVAL where stats is NULL or its size is less than that of its first
     * member; -ENOENT for a communicator that the library did not see made, after its finalize, destroy or abort, and
     * for one of the parent in a forked child. On errors nothing is written. */
    int (*stats)(const void *comm, hiermoe_stats_t *stats);

    /* Since version 2. Numbers below 0 are errors, a negative errno. Nothing here waits for other ranks or for the
     * device, and nothing touches device memory. */

    /* Says that an adapter is at work: its name with what it adapts, such as "megatron-core 0.19.2", and a number that
     * differs whenever its code does. Ranks compare both when they meet at their first all-to-all: where they differ,
     * announcements on that communicator are ignored and rows compared as ever. So call it before the first all-to-all,
     * once for each adapter, in the same order on all ranks. Any thread.
     * What HIERMOE_GUIDED allows: a bit 1 << role for each role; an adapter need not make maps where DISPATCH is not
     * among them. -EINVAL where name is NULL. */
    int (*attach)(const char *name, uint64_t code_hash);

    /* Opens a layer. Another call with the same key gives the same layer. Any thread. *id is set on success. 0; -EINVAL
     * for a size, key or id that is NULL or 0; -ENOMEM, -ENOSPC beyond 4096 layers. */
    int (*layer_open)(const hiermoe_layer_t *layer, int32_t *id);

    /* Ends a layer's use: announcements with its id are refused from here on. Any thread. 0 or -ENOENT. */
    int (*layer_close)(int32_t id);

    /* Says what the next all-to-all of this thread on that communicator is. An announcement that no call took yet is
     * withdrawn. On errors nothing is announced, and the call is looked at like any other; since other ranks may have
     * announced it, it is then left to NCCL on all ranks alike.
     * 0; -EINVAL for a role, flag, type, width or map that cannot be; -E2BIG for members that this library does not
     * know and that are not 0; -ENOENT for a layer that is not open; -ESTALE for a handle that is released. */
    int (*announce)(const hiermoe_announcement_t *what);

    /* After the call, whether it succeeded or not, on the same thread: withdraws the announcement if no call took it,
     * and says what became of it. *made, unless made is NULL: a handle where a dispatch was kept, to be released once
     * for each; else 0.
     * 1: carried out by what was announced; 0: carried out by comparing rows, or left to NCCL; -ENOMSG: no call took
     * the announcement, or none was made; -EPROTO: it did not fit the call, or not all ranks announced the same. */
    int (*settle)(hiermoe_handle_t *made);

    /* Ends the use of a kept dispatch: announcements with it are refused from here on. Calls that are under way keep
     * what they need; memory is given back behind them on the stream, at the next all-to-all of the communicator. Any
     * thread, finalizers too: takes no lock, allocates nothing. 0 and unknown or released handles are ignored. */
    void (*release)(hiermoe_handle_t handle);

    /* Calls of a layer so far, on this rank. Any thread. Sizes as in `stats`. 0, -EINVAL, -ENOENT for an id that
     * layer_open did not give. */
    int (*layer_stats)(int32_t id, hiermoe_layer_stats_t *stats);
} hiermoe_api_t;

/* The library's API; lives as long as the process. */
const hiermoe_api_t *hiermoe_api(void);

static inline const hiermoe_api_t *hiermoe_api_load(void)
{
    const hiermoe_api_t *(*get)(void);
#ifdef RTLD_DEFAULT
    *(void **)&get = dlsym(RTLD_DEFAULT, "hiermoe_api");
#else /* the same; older headers of glibc name it only for _GNU_SOURCE */
    *(void **)&get = dlsym(NULL, "hiermoe_api");
#endif
    return get != NULL ? get() : NULL;
}

#ifdef __cplusplus
}
#endif

#endif
