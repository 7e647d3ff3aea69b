/* Carries out calls along the way of an earlier dispatch, without an agreement: back with sums (combine, backward of
 * dispatch), or the same way again (backward of combine).
 *
 * Row i of a back call's segment from r to s belongs to row i of the dispatch's segment from s to r. The rows of one
 * token are added along a tree that follows from the topology alone, whatever depth the dispatch went at: a node for
 * each rank, its children the rows of that rank in ascending order; a node for each group of each level; the root at
 * the token's rank. Children of nodes are in the order of positions (topo.h). kernels/sums.h says how a node is
 * rounded. So the sums of two runs are the same bytes.
 *
 * Everything goes on channel->stream; nothing waits. Under the state's lock, as every call. */
#ifndef HM_BACK_H
#define HM_BACK_H

#include "kept.h"

/* Whether scratch is enough for such a call; alike on all ranks, since scratch is agreed. Where not, the call must be
 * left alone. */
bool back_possible(const hm_carry_t *carry, const hm_kept_t *kept, size_t row_bytes);

/* Sums on the way back. Of each token's rows in the receive buffers, the one that the dispatch's smallest row number
 * belongs to gets the sum, the others +0.0. ncclSuccess, or the error NCCL or the device gave: the communicator is lost
 * then. */
ncclResult_t back_run(hm_carry_t *carry, hm_channel_t *channel, hm_kept_t *kept, const hm_back_call_t *back);

/* The dispatch's way with other bytes. Of the rows of one token the first is sent; that the others are the same bytes
 * is the caller's promise. Same results. */
ncclResult_t again_run(hm_carry_t *carry, hm_channel_t *channel, hm_kept_t *kept, const hm_back_call_t *again);

/* After a back call was left alone and its replay enqueued: the same sums from the raw rows, in the receive buffers.
 * Same bytes there as after back_run. Same results. */
ncclResult_t back_settle(hm_channel_t *channel, hm_kept_t *kept, const hm_back_call_t *back);

#endif
