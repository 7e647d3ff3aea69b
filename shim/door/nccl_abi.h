/* The part of NCCL's ABI that the shim needs, declared here so that the library builds without NCCL's or CUDA's headers
 * and fits every NCCL release. nccl_abi_check.c compares it with <nccl.h> where there is one.
 *
 * Enumerators stand in lists, so that the check can expand them beside NCCL's own. */
#ifndef HM_NCCL_ABI_H
#define HM_NCCL_ABI_H

#include <stddef.h>
#include <stdint.h>

#define HM_NCCL_RESULTS(X) \
    X(ncclSuccess, 0) \
    X(ncclUnhandledCudaError, 1) \
    X(ncclSystemError, 2) \
    X(ncclInternalError, 3) \
    X(ncclInvalidArgument, 4) \
    X(ncclInvalidUsage, 5) \
    X(ncclRemoteError, 6) \
    X(ncclInProgress, 7)

/* name, value, bytes of one element */
#define HM_NCCL_TYPES(X) \
    X(ncclInt8, 0, 1) \
    X(ncclUint8, 1, 1) \
    X(ncclInt32, 2, 4) \
    X(ncclUint32, 3, 4) \
    X(ncclInt64, 4, 8) \
    X(ncclUint64, 5, 8) \
    X(ncclFloat16, 6, 2) \
    X(ncclFloat32, 7, 4) \
    X(ncclFloat64, 8, 8) \
    X(ncclBfloat16, 9, 2) \
    X(ncclFloat8e4m3, 10, 1) \
    X(ncclFloat8e5m2, 11, 1)

#define HM_NCCL_UNIQUE_ID_BYTES 128
#define HM_NCCL_UNDEF_INT INT32_MIN
#define HM_NCCL_SHRINK_ABORT 1
#define HM_NCCL_CONFIG_BLOCKING_OFFSET 16 /* bytes from the start of ncclConfig_t, in every release since 2.14 */

#ifndef HM_NCCL_LISTS_ONLY

#define HM_NCCL_ENUMERATOR(name, value, ...) name = value,
typedef enum { HM_NCCL_RESULTS(HM_NCCL_ENUMERATOR) } ncclResult_t;
typedef enum { HM_NCCL_TYPES(HM_NCCL_ENUMERATOR) } ncclDataType_t;
#undef HM_NCCL_ENUMERATOR

typedef enum { ncclSum, ncclProd, ncclMax, ncclMin, ncclAvg, ncclMaxRedOp = 0x7fffffff } ncclRedOp_t;

typedef struct {
    char internal[HM_NCCL_UNIQUE_ID_BYTES];
} ncclUniqueId;

/* Grows with every release; only this head is read, and the pointer is passed on untouched. */
typedef struct {
    size_t size;
    unsigned int magic, version;
    int blocking;
} ncclConfig_t;

typedef struct ncclComm *ncclComm_t;
typedef struct ncclWindow_vidmem *ncclWindow_t;
typedef struct CUstream_st *cudaStream_t;
typedef struct hm_nccl_sim_info ncclSimInfo_t;
typedef struct hm_nccl_coll_config ncclCollConfig_t;
typedef struct hm_nccl_wait_signal ncclWaitSignalDesc_t;
typedef struct ncclDevComm ncclDevComm_t;
typedef struct ncclDevCommRequirements ncclDevCommRequirements_t;

/* Bytes of one element, 0 for a type this table does not know. */
static inline size_t nccl_type_bytes(ncclDataType_t type)
{
#define HM_NCCL_BYTES(name, value, bytes) bytes,
    static const unsigned char size[] = {HM_NCCL_TYPES(HM_NCCL_BYTES)};
#undef HM_NCCL_BYTES
    return (unsigned)type < sizeof size ? size[type] : 0;
}

#endif
#endif
