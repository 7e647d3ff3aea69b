/* Compile-time proof that nccl_abi.h and calls.def say what NCCL's own header says. Built where <nccl.h> is found. */
/* Before 2.24 nccl.h has bfloat16 only where CUDA's header says so, which it does in C++. */
#define __CUDA_BF16_TYPES_EXIST__
#include <nccl.h>

/* Types of releases newer than the header at hand. */
#if NCCL_VERSION_CODE < NCCL_VERSION(2, 24, 0)
enum { ncclFloat8e4m3 = 10, ncclFloat8e5m2 = 11 };
#endif
#if NCCL_VERSION_CODE < NCCL_VERSION(2, 22, 0)
typedef struct hm_nccl_sim_info ncclSimInfo_t;
#endif
#if NCCL_VERSION_CODE < NCCL_VERSION(2, 31, 0)
typedef struct hm_nccl_coll_config ncclCollConfig_t;
#endif
#if NCCL_VERSION_CODE < NCCL_VERSION(2, 29, 0)
typedef struct hm_nccl_wait_signal ncclWaitSignalDesc_t;
#endif
#if NCCL_VERSION_CODE < NCCL_VERSION(2, 27, 0)
typedef struct ncclWindow_vidmem *ncclWindow_t;
#endif
/* In nccl_device.h, which is C++ only in some releases; the names are the same in all. */
typedef struct ncclDevComm ncclDevComm_t;
typedef struct ncclDevCommRequirements ncclDevCommRequirements_t;

#define HM_NCCL_LISTS_ONLY
#include "nccl_abi.h"

#define HM_CHECK(name, value, ...) _Static_assert((int)name == (value), #name " differs from nccl.h");
HM_NCCL_RESULTS(HM_CHECK)
HM_NCCL_TYPES(HM_CHECK)
#undef HM_CHECK

_Static_assert(sizeof(ncclUniqueId) == HM_NCCL_UNIQUE_ID_BYTES, "ncclUniqueId");
_Static_assert(sizeof(ncclRedOp_t) == sizeof(int) && sizeof(ncclDataType_t) == sizeof(int), "enum size");
_Static_assert(NCCL_CONFIG_UNDEF_INT == HM_NCCL_UNDEF_INT, "NCCL_CONFIG_UNDEF_INT");
_Static_assert(offsetof(ncclConfig_t, size) == 0, "ncclConfig_t.size");
_Static_assert(offsetof(ncclConfig_t, blocking) == HM_NCCL_CONFIG_BLOCKING_OFFSET, "ncclConfig_t.blocking");
#ifdef NCCL_SHRINK_ABORT
_Static_assert(NCCL_SHRINK_ABORT == HM_NCCL_SHRINK_ABORT, "NCCL_SHRINK_ABORT");
#endif

/* Declaring each call a second time is an error wherever the two declarations differ. */
#define HM_CALL(name, params, args, comm, treatment) ncclResult_t name params;
#define HM_QUERY(ret, name, params) ret name params;
#include "calls.def"
