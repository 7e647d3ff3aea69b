/* Windows: ranks of one innermost group read each other's outgoing messages straight from their memory, where NCCL
 * would carry them over the few channels that it gives a peer in a communicator of several nodes.
 *
 * Messages through a window go in three steps, all on the job's stream: their sender, once those of a step are packed,
 * sends one token of a few bytes by NCCL; the receiver, behind the token, copies them; at the end of the call it sends
 * a token back, so that the sender's part of the call ends, as with NCCL, no sooner than its bytes have been read.
 * Either all ranks use windows or none does. */
#ifndef HM_WINDOW_H
#define HM_WINDOW_H

#include "state.h"

/* Finds out once whether near ranks can read each other's memory; where they can, tries to give all ranks `capacity`
 * bytes of scratch that near ranks may read, within HIERMOE_MAX_SCRATCH. *ready: all have it, and state->windows says
 * whether all were let in. Same results; 0, or the communicator is lost. */
int window_scratch_prepare(const hm_call_t *call, hm_a2a_state_t *state, size_t capacity, bool *ready);

/* Routes of near ranks at a depth, in all lanes: where their messages lie. 0 or -ENOMEM. */
int window_routes_prepare(hm_a2a_state_t *state, const hm_comm_t *comm, int depth);

/* For a call of one slice: lays the near ranks' messages out. width: of a piece, here and below. */
void window_layout(hm_a2a_state_t *state, int depth, size_t width);

/* One token to each near rank that gets messages from this one in a step, and one from each that sends some, inside a
 * group. */
ncclResult_t window_tokens(const hm_call_t *call, const hm_a2a_state_t *state, int depth, int step, size_t width);

/* Enqueues the copies of what near ranks sent in a step; `in`: area of incoming messages. 0 or a negative errno. */
int window_pull(const hm_call_t *call, hm_a2a_state_t *state, int depth, int step, size_t width, char *in);

/* Tokens back, a group of their own. */
ncclResult_t window_finish(const hm_call_t *call, hm_a2a_state_t *state, int depth, size_t width);

/* A token to and one from every near rank, a group of their own: for measuring what they cost. */
ncclResult_t window_greet(const hm_call_t *call, const hm_a2a_state_t *state);

/* Frees the routes of near ranks. */
void window_routes_free(hm_a2a_state_t *state);

/* Whether messages to and from a rank go through a window. */
static inline bool window_leads_to(const hm_a2a_state_t *state, int rank)
{
    return state->windows == HM_WINDOWS_ON && state->window[rank] != NULL;
}

#endif
