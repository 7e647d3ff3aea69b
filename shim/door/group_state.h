/* What the calling thread's NCCL group holds so far. NCCL keeps its groups per thread, and so does this.
 *
 * NCCL hears of every start and end at once; sends and receives are held back until the outermost end, or until
 * something else joins the group. So whatever reaches NCCL by another way finds the group open. */
#ifndef HM_GROUP_STATE_H
#define HM_GROUP_STATE_H

#include "caller.h"
#include "legs.h"

#define HM_GROUP_DEPTH 8     /* nested groups whose NCCL image is remembered */
#define HM_GROUP_SEGMENTS 16 /* parts of a group that are told apart; a group of more is passed on */
#define HM_GROUP_COMMS 4     /* communicators of a group; the same */

/* Legs between one start or end and the next: what one caller issued. Starts and ends of inner groups are held back
 * like legs. */
typedef struct hm_segment {
    int first, count; /* legs */
    hm_belief_t belief;
} hm_segment_t;

typedef struct hm_pending hm_pending_t;

typedef struct hm_group {
    bool capturing;                        /* calls of this group are held back */
    bool busy;                             /* the thread is in call_run */
    bool announced;                        /* the thread has announced its next all-to-all (guide/announce.h) */
    bool outside;                          /* NCCL's group is closed for the time being, though ours is open */
    int depth;                             /* open groups */
    const hm_real_t *real[HM_GROUP_DEPTH]; /* the image that each open group is in */
    ncclResult_t error;                    /* first error of a replayed call: due at the end of the group */
    hm_comm_t *comm[HM_GROUP_COMMS];       /* of the legs, with a reference each */
    int comms;
    hm_legs_t *legs; /* the captured calls, this thread's */
    hm_segment_t segment[HM_GROUP_SEGMENTS];
    int segments;
    int segmented;         /* legs that lie in a segment already */
    hm_pending_t *pending; /* communicators to record when the outermost group ends */
} hm_group_t;

extern _Thread_local hm_group_t hm_group;

static inline bool group_capturing(void)
{
    return hm_group.capturing;
}

/* A group was opened in this image. */
void group_push(hm_group_t *group, const hm_real_t *real);

/* Takes the innermost group away; the image that it was opened in, or `real` if none is open. */
const hm_real_t *group_pop(hm_group_t *group, const hm_real_t *real);

/* From here on the calls of the group are held back. */
void group_capture(hm_group_t *group);
void group_uncapture(hm_group_t *group);

/* Closes NCCL's group, which holds nothing of ours, and opens it again. NCCL's result. */
ncclResult_t group_leave(void);
ncclResult_t group_return(hm_group_t *group);

/* Runs an all-to-all of this thread: call_run's answer. What was announced of it is spent afterwards. */
hm_answer_t group_run(const hm_call_t *call, ncclResult_t *result);

/* This rank cannot record a call of the communicator: said, and the communicator fails. Passed on, the call could be
 * taken for the library's own messages on ranks that can. */
void group_memory_lack(hm_comm_t *comm);

#endif
