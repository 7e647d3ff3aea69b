/* The calls with behaviour of their own, declared from calls.def: each gets the NCCL that the call would have reached,
 * and returns what the caller gets. Called on the job's thread; `caller` is the job's return address. */
#ifndef HM_HOOKS_H
#define HM_HOOKS_H

#include "nccl_abi.h"
#include "real.h"

#define HM_LIST(...) __VA_ARGS__
#define HM_HOOK_pass(name, params)
#define HM_HOOK_own(name, params) ncclResult_t hook_##name(const hm_real_t *real, HM_LIST params);
#define HM_HOOK_own0(name, params) ncclResult_t hook_##name(const hm_real_t *real, const void *caller);
#define HM_CALL(name, params, args, comm, treatment) HM_HOOK_##treatment(name, params)
#include "calls.def"

#endif
