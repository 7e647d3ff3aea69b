/* The companion API of libhiermoe.so, for adapters and jobs that want to know whether it is there and what it does.
 *
 * Header only, C99 and C++11: include it, call hiermoe_api_load(), and get NULL where the library is not preloaded.
 * Nothing has to be linked (but -ldl before glibc 2.34). The struct only grows at its end: check `size` before using a
 * member newer than you need. */
#ifndef HIERMOE_H
#define HIERMOE_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HIERMOE_API_VERSION 1

/* Counters of one communicator on this rank. Members are only added, at the end. */
typedef struct hiermoe_stats {
    size_t size;       /* before the call: sizeof(hiermoe_stats_t) as compiled; after it: how much of that is filled */
    uint64_t replaced; /* all-to-alls carried out by the library */
    uint64_t left;     /* groups with sends or receives and all-to-alls by name, left to NCCL for whatever reason */
    uint64_t agreements; /* times that the ranks agreed on what to do with a call */
    uint64_t bytes_raw;  /* of replaced calls: what NCCL would have sent to other ranks */
    uint64_t bytes_sent; /* of replaced calls: what was sent to other ranks, forwarded rows and lists included */
} hiermoe_stats_t;

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
