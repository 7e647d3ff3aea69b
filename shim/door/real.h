/* The real NCCL behind a call: the functions of the image that the caller would have reached without us. */
#ifndef HM_REAL_H
#define HM_REAL_H

#include "nccl_abi.h"

#include <stdatomic.h>

#define HM_REALS 16 /* NCCL copies in one process, at most; two are rare */

/* One pointer per call of calls.def, NULL where that NCCL release lacks it; all from one image. Never freed. */
typedef struct hm_real {
    const char *path; /* file of the image, for messages; NULL: there is no NCCL */
    int number;       /* 0, 1, ... in the order in which they were found; less than HM_REALS */
    int version;      /* as ncclGetVersion says, 0 if unknown */
    void *handle;     /* dlopen handle of the image */
#define HM_CALL(name, params, args, comm, treatment) ncclResult_t(*name) params;
#define HM_QUERY(ret, name, params) ret(*name) params;
#include "calls.def"
} hm_real_t;

/* The table for a caller by return address; no lock, allocation or system call after the first call from there. One of
 * NULLs, said once, where no NCCL can be found. Order: HIERMOE_NCCL_LIB; the caller's own image and what it links; a
 * loaded libnccl.so.2; the next object in load order. Callers' images and NCCL's stay loaded from then on. */
const hm_real_t *real_find(const void *return_address);

__attribute__((visibility("hidden"))) extern atomic_int hm_real_count;

/* Number of NCCL images seen so far; grows only. While it is 1, a call and its communicator cannot disagree. */
static inline int real_count(void)
{
    return atomic_load_explicit(&hm_real_count, memory_order_relaxed);
}

#endif
