#include "pending.h"

#include "group_state.h"

#include <stdlib.h>

struct hm_pending {
    hm_pending_t *next;
    ncclComm_t *handle;
    const hm_real_t *real;
    bool blocking;
};

void pending_settle(bool made)
{
    hm_group_t *group = &hm_group;
    while (group->pending != NULL) {
        hm_pending_t *pending = group->pending;
        group->pending = pending->next;
        if (made && *pending->handle != NULL) comm_add(*pending->handle, pending->real, pending->blocking);
        free(pending);
    }
}

void pending_add(ncclComm_t *handle, const hm_real_t *real, bool blocking, ncclResult_t result)
{
    hm_group_t *group = &hm_group;
    if ((result != ncclSuccess && result != ncclInProgress) || handle == NULL) return;
    if (group->depth == 0) {
        if (*handle != NULL) comm_add(*handle, real, blocking);
        return;
    }
    hm_pending_t *pending = malloc(sizeof *pending);
    if (pending == NULL) {
        comm_say(HM_LOG_WARN, NULL, "no memory to record a communicator: its calls are left alone");
        return;
    }
    *pending = (hm_pending_t){.next = group->pending, .handle = handle, .real = real, .blocking = blocking};
    group->pending = pending;
}
