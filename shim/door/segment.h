/* What becomes of a captured group: which of its parts the other ranks wait to agree on. */
#ifndef HM_SEGMENT_H
#define HM_SEGMENT_H

#include "group_state.h"

/* What was captured since the last start or end becomes a segment of its own. ended: by an end, which goes on at
 * `return_address`. */
void segment_close(hm_group_t *group, bool ended, const void *return_address);

/* Whether there is no room for the segment that is open and those that a nested group may still bring. */
bool segments_full(const hm_group_t *group);

/* Lets the other ranks know of all-to-alls among the segments that this rank cannot have replaced. *joined: there were
 * some. ending: a communicator left out, which is about to be aborted; NULL: none. An error: a communicator failed, and
 * nothing of the group may be made. */
ncclResult_t segments_refuse(hm_group_t *group, hm_reason_t reason, ncclComm_t ending, bool *joined);

/* Counts the group as left alone on all its communicators. */
void comms_leave(const hm_group_t *group, hm_reason_t reason);

/* What becomes of a whole captured group whose end goes on at `caller`: call_run's answer. */
hm_answer_t segments_decide(hm_group_t *group, const void *caller, ncclResult_t *result);

#endif
