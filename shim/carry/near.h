/* Messages through windows, three steps each, all on the job's stream: their sender, once those of a step are packed,
 * sends one token of a few bytes by NCCL; the receiver, behind the token, copies them; at the end of the call it sends
 * a token back, so that the sender's part of the call ends, as with NCCL, no sooner than its bytes have been read.
 * Calls of one slice only: a later slice would overwrite what near ranks still read. */
#ifndef HM_NEAR_H
#define HM_NEAR_H

#include "run.h"

/* Lays the near ranks' messages out. */
void near_layout(const hm_run_t *run);

/* One token to each near rank that gets messages from this one in a step, and one from each that sends some; inside a
 * group. */
ncclResult_t near_tokens(const hm_run_t *run, int step);

/* Enqueues the copies of what near ranks sent in a step. 0 or a negative errno. */
int near_pull(const hm_run_t *run, int step);

/* Tokens back, a group of their own. */
ncclResult_t near_finish(const hm_run_t *run);

/* A token to and one from every near rank, a group of their own: for measuring what they cost. */
ncclResult_t near_greet(const hm_windows_t *windows, hm_channel_t *channel, const hm_board_t *board);

#endif
