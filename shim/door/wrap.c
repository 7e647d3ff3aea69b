/* The symbols the job meets: one wrapper per line of calls.def, made by the preprocessor. */
#include "base/log.h"
#include "comm.h"
#include "group.h"
#include "hooks.h"
#include "real.h"

#include <stdatomic.h>
#include <stdbool.h>

#define HM_EXPORT __attribute__((visibility("default")))
#define HM_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#define HM_CALL(name, params, args, comm, treatment) HM_EXPORT ncclResult_t name params;
#include "calls.def"

static ncclResult_t wrap_missing(const hm_real_t *real, const char *name, atomic_bool *said)
{
    if (real->path != NULL && !atomic_exchange(said, true))
        log_say(HM_LOG_WARN, HM_RANK_NONE, "%s lacks %s (version code %d): the call fails with ncclInternalError",
                real->path, name, real->version);
    return ncclInternalError;
}

/* With several NCCLs in the process, a communicator stays with the one that made it, whoever calls. */
static inline const hm_real_t *wrap_real(const void *caller, ncclComm_t comm)
{
    const hm_real_t *real = real_find(caller);
    return HM_UNLIKELY(real_count() > 1) ? comm_real(comm, real) : real;
}

#define HM_WRAP(name, params, comm, action) \
    HM_EXPORT ncclResult_t name params \
    { \
        static atomic_bool said; \
        const void *caller = __builtin_return_address(0); \
        const hm_real_t *real = wrap_real(caller, comm); \
        if (HM_UNLIKELY(real->name == NULL)) return wrap_missing(real, #name, &said); \
        action \
    }

#define HM_WRAP_pass(name, params, args, comm) \
    HM_WRAP( \
        name, params, comm, if (HM_UNLIKELY(group_capturing())) { \
            ncclResult_t result = group_flush(HM_REASON_MIXED); \
            if (result != ncclSuccess) return result; \
        } return real->name args;)
#define HM_WRAP_own(name, params, args, comm) HM_WRAP(name, params, comm, return hook_##name(real, HM_LIST args);)
#define HM_WRAP_own0(name, params, args, comm) HM_WRAP(name, params, comm, return hook_##name(real, caller);)

#define HM_CALL(name, params, args, comm, treatment) HM_WRAP_##treatment(name, params, args, comm)
#include "calls.def"
