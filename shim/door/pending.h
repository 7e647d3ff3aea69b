/* Communicators that are made inside a group: NCCL may fill their handles in only at its end. */
#ifndef HM_PENDING_H
#define HM_PENDING_H

#include "real.h"

#include <stdbool.h>

/* comm_add for *handle, now or when the outermost open group ends: NCCL may fill the handle in only there. `result` is
 * what the creating call returned. */
void pending_add(ncclComm_t *handle, const hm_real_t *real, bool blocking, ncclResult_t result);

/* The outermost group has ended; made: NCCL has made what it was asked for. */
void pending_settle(bool made);

#endif
