/* Capture of groups: what other hooks have to do with it. */
#ifndef HM_GROUP_H
#define HM_GROUP_H

#include "group_state.h"

/* Holds back one more call of this thread's captured group. NULL handle and unknown communicators are not for capture.
 * true: held back, the caller returns ncclSuccess. false: *result is ncclSuccess and the caller makes the call, or an
 * error. */
bool group_hold(hm_group_t *group, hm_leg_t *leg, ncclComm_t handle, ncclResult_t *result);

/* The same for a whole all-to-all by name; lists: of one that has them, else NULL. */
bool group_hold_whole(hm_leg_t *leg, const hm_lists_t *lists, ncclComm_t handle, ncclResult_t *result);

/* Hands everything captured so far to NCCL, in order, and stops capturing: from here on the group is NCCL's alone.
 * Other ranks first hear of whole all-to-alls among it that this rank cannot have replaced. An error: nothing was
 * handed over. */
ncclResult_t group_flush(hm_reason_t reason);

/* The same before an abort, which must not wait for that communicator's other ranks: they are not asked. Those of other
 * communicators are, since they may be about to agree. */
void group_flush_before_end(ncclComm_t ending);

#endif
