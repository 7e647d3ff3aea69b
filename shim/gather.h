/* Brings one piece of every rank to all ranks: what agreements, tickets and meetings are made of.
 *
 * Pieces lie in state->table_device, and afterwards in state->table_host, one behind another in the order of slots. */
#ifndef HM_GATHER_H
#define HM_GATHER_H

#include "state.h"

/* Pieces go by NCCL's all-gather until this is called, on all ranks or on none, after the topology is agreed: along
 * rails from then on, where the topology has them. A ring over all ranks has as many hops as ranks, rails have two. */
void gather_rails_use(hm_a2a_state_t *state);

/* Where the piece of a rank lies, counted in pieces. */
static inline size_t gather_slot(const hm_a2a_state_t *state, int rank)
{
    return state->slot[rank];
}

/* Gathers `bytes` of every rank, whose own are in their slot on the device, and waits until all are on the host.
 * 0, or a negative errno: the communicator is lost (-ECANCELED aborted, -ETIMEDOUT, -EIO, -EPROTO). */
int gather_pieces(const hm_call_t *call, hm_a2a_state_t *state, size_t bytes);

#endif
