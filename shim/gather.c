#include "gather.h"

#include "settings.h"

#include <errno.h>

/* Whether there is a rail from every rank of a group to one in each other group. */
static bool rails_complete(const hm_topo_t *topo)
{
    if (topo->levels < 2) return false;
    for (int g = 1; g < topo->groups[1]; g++)
        if (topo_group_size(topo, 1, g) != topo_group_size(topo, 1, 0)) return false;
    return true;
}

/* What a rail brought together lies together, so that inside a group it travels as one message. */
void gather_rails_use(hm_a2a_state_t *state)
{
    const hm_topo_t *topo = state->topo;
    long given = settings_get()->gather;
    if (given == HM_GATHER_NCCL || !rails_complete(topo)) return;
    if (given == HM_GATHER_AUTO && !state->kernels->rails_gather) return;
    state->rails = true;
    for (int g = 0; g < topo->groups[1]; g++)
        for (int i = 0; i < topo_group_size(topo, 1, g); i++)
            state->slot[topo->order[topo->start[1][g] + i]] = (uint32_t)(i * topo->groups[1] + g);
}

/* Sends `bytes` from one place of the device's table to a rank, and receives as many from it at another. */
static ncclResult_t piece_swap(const hm_call_t *call, const hm_a2a_state_t *state, int peer, size_t from, size_t to,
                               size_t bytes)
{
    const hm_comm_t *comm = call->comm;
    char *device = (char *)state->table_device;
    ncclResult_t result = comm->real->ncclSend(device + from, bytes, ncclUint8, peer, comm->handle, call->stream);
    if (result != ncclSuccess) return result;
    return comm->real->ncclRecv(device + to, bytes, ncclUint8, peer, comm->handle, call->stream);
}

/* First step: my piece for those of the other ranks on my rail. */
static ncclResult_t rail_exchange(const hm_call_t *call, const hm_a2a_state_t *state, size_t bytes)
{
    const hm_topo_t *topo = state->topo;
    int me = call->comm->rank, group = topo->group[1][me];
    ncclResult_t result = call->comm->real->ncclGroupStart();
    for (int g = 0; g < topo->groups[1] && result == ncclSuccess; g++) {
        int peer = topo_rail_peer(topo, 1, g, me);
        if (g != group)
            result =
                piece_swap(call, state, peer, gather_slot(state, me) * bytes, gather_slot(state, peer) * bytes, bytes);
    }
    ncclResult_t end = call->comm->real->ncclGroupEnd();
    return result != ncclSuccess ? result : end;
}

/* Second step: the pieces of my rail for those of the other rails that my group has. */
static ncclResult_t group_exchange(const hm_call_t *call, const hm_a2a_state_t *state, size_t bytes)
{
    const hm_topo_t *topo = state->topo;
    int me = call->comm->rank, first = topo->start[1][topo->group[1][me]], size = topo_group_size(topo, 1, 0);
    size_t rail = (size_t)topo->groups[1] * bytes, mine = (size_t)(topo->pos[me] - first) * rail;
    ncclResult_t result = call->comm->real->ncclGroupStart();
    for (int i = 0; i < size && result == ncclSuccess; i++)
        if (topo->order[first + i] != me)
            result = piece_swap(call, state, topo->order[first + i], mine, (size_t)i * rail, rail);
    ncclResult_t end = call->comm->real->ncclGroupEnd();
    return result != ncclSuccess ? result : end;
}

static ncclResult_t pieces_enqueue(const hm_call_t *call, const hm_a2a_state_t *state, size_t bytes)
{
    const hm_comm_t *comm = call->comm;
    char *device = (char *)state->table_device;
    if (!state->rails)
        return comm->real->ncclAllGather(device + gather_slot(state, comm->rank) * bytes, device, bytes, ncclUint8,
                                         comm->handle, call->stream);
    atomic_fetch_add(&call->comm->stats.rails, 1);
    ncclResult_t result = rail_exchange(call, state, bytes);
    return result != ncclSuccess ? result : group_exchange(call, state, bytes);
}

/* 0 while NCCL stands by what it delivered: its work on a stream ends after an abort or the loss of a peer as well. */
static int comm_state(const hm_comm_t *comm)
{
    ncclResult_t state = ncclSuccess;
    if (atomic_load(&comm->cancelled)) return -ECANCELED;
    if (comm->real->ncclCommGetAsyncError == NULL) return 0;
    return comm->real->ncclCommGetAsyncError(comm->handle, &state) == ncclSuccess && state == ncclSuccess ? 0 : -EPROTO;
}

int gather_pieces(const hm_call_t *call, hm_a2a_state_t *state, size_t bytes)
{
    hm_comm_t *comm = call->comm;
    const hm_kernels_t *kernels = state->kernels;
    if (pieces_enqueue(call, state, bytes) != ncclSuccess) return -EIO;
    int status = kernels->copy(state->context, call->stream, state->table_host, state->table_device,
                               (size_t)comm->ranks * bytes);
    if (status == 0)
        status = kernels->wait(state->context, call->stream, (double)settings_get()->timeout, &comm->cancelled);
    return status != 0 ? status : comm_state(comm);
}
