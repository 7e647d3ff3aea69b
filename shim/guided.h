/* The part that an announcement plays in a call: what this rank says of it in the agreement, and what comes of it. */
#ifndef HM_GUIDED_H
#define HM_GUIDED_H

#include "guide/announce.h"
#include "meet/parts.h"

/* One announced call under way. */
typedef struct hm_guided {
    hm_announced_t *announced;
    hm_said_t said;
    hm_tokens_t tokens; /* what said.tokens points to */
    hm_held_t *held;    /* the dispatch that the call belongs to, if said.along; else NULL */
} hm_guided_t;

/* Takes what this thread announced of the call, where the ranks have agreed to hear of announcements. NULL: nothing;
 * else `guided`, filled. What does not fit the call on this rank is said, once for each communicator. */
hm_guided_t *guided_take(hm_guided_t *guided, hm_parts_t *parts, const hm_call_t *call);

/* What the agreement on a call came to: counts what was announced, and says once that it was refused. guided: NULL
 * where this rank announced nothing. */
void guided_note(hm_guided_t *guided, hm_parts_t *parts, const hm_agreement_t *agreement);

/* The call has been carried out, by its rows: a dispatch that went by its map is kept. guided: as above. ncclSuccess,
 * or the communicator has failed. */
ncclResult_t guided_carried(hm_guided_t *guided, hm_parts_t *parts, const hm_load_t *load,
                            const hm_decision_t *decision);

/* Decides about a call along the dispatch that it belongs to (HM_HEARD_ALONG): whether it goes the same ways, or is
 * left alone. Alike on all ranks. */
hm_decision_t guided_decide(const hm_guided_t *guided, hm_parts_t *parts);

/* Carries such a call out. ncclSuccess, or the communicator has
 * failed. */
ncclResult_t guided_follow(hm_guided_t *guided, hm_parts_t *parts, const hm_call_t *call);

#endif
