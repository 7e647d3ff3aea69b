#include "board.h"

#include "base/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VOTE_YES 0x45415448u

int board_create(hm_board_t *board, hm_channel_t *channel, int ranks, size_t bytes)
{
    *board = (hm_board_t){.ranks = ranks, .slot = malloc((size_t)ranks * sizeof *board->slot)};
    if (board->slot == NULL) return -ENOMEM;
    for (int r = 0; r < ranks; r++) board->slot[r] = (uint32_t)r;
    int status = channel_alloc(channel, bytes, (void **)&board->device);
    return status != 0 ? status : channel_host_alloc(channel, bytes, (void **)&board->host);
}

void board_free(hm_board_t *board, const hm_channel_t *channel)
{
    channel_free(channel, board->device);
    channel_host_free(channel, board->host);
    free(board->slot);
    *board = (hm_board_t){.ranks = 0};
}

/* Whether there is a rail from every rank of a group to one in each other group. */
static bool rails_complete(const hm_topo_t *topo)
{
    if (topo->levels < 2) return false;
    for (int g = 1; g < topo->groups[1]; g++)
        if (topo_group_size(topo, 1, g) != topo_group_size(topo, 1, 0)) return false;
    return true;
}

/* What a rail brought together lies together, so that inside a group it travels as one message. */
void board_rails_use(hm_board_t *board, const hm_channel_t *channel, const hm_topo_t *topo)
{
    long given = settings_get()->gather;
    if (given == HM_GATHER_NCCL || !rails_complete(topo)) return;
    if (given == HM_GATHER_AUTO && !channel->kernels->rails_gather) return;
    board->rails = topo;
    for (int g = 0; g < topo->groups[1]; g++)
        for (int i = 0; i < topo_group_size(topo, 1, g); i++)
            board->slot[topo->order[topo->start[1][g] + i]] = (uint32_t)(i * topo->groups[1] + g);
}

/* Sends `bytes` from one place of the device's board to a rank, and receives as many from it at another. */
static ncclResult_t piece_swap(const hm_channel_t *channel, int peer, const void *from, void *to, size_t bytes)
{
    ncclResult_t result = channel_send(channel, from, bytes, peer);
    return result != ncclSuccess ? result : channel_recv(channel, to, bytes, peer);
}

/* First step: my piece for those of the other ranks on my rail. */
static ncclResult_t rail_exchange(const hm_board_t *board, hm_channel_t *channel, size_t bytes)
{
    const hm_topo_t *topo = board->rails;
    int me = channel->comm->rank, group = topo->group[1][me];
    ncclResult_t result = channel_group_begin(channel);
    for (int g = 0; g < topo->groups[1] && result == ncclSuccess; g++) {
        int peer = topo_rail_peer(topo, 1, g, me);
        if (g != group)
            result = piece_swap(channel, peer, board_device(board, me, bytes), board_device(board, peer, bytes), bytes);
    }
    return channel_group_end(channel, result);
}

/* Second step: the pieces of my rail for those of the other rails that my group has. */
static ncclResult_t group_exchange(const hm_board_t *board, hm_channel_t *channel, size_t bytes)
{
    const hm_topo_t *topo = board->rails;
    int me = channel->comm->rank, first = topo->start[1][topo->group[1][me]], size = topo_group_size(topo, 1, 0);
    size_t rail = (size_t)topo->groups[1] * bytes;
    char *device = (char *)board->device, *mine = device + (size_t)(topo->pos[me] - first) * rail;
    ncclResult_t result = channel_group_begin(channel);
    for (int i = 0; i < size && result == ncclSuccess; i++)
        if (topo->order[first + i] != me)
            result = piece_swap(channel, topo->order[first + i], mine, device + (size_t)i * rail, rail);
    return channel_group_end(channel, result);
}

static ncclResult_t pieces_enqueue(const hm_board_t *board, hm_channel_t *channel, size_t bytes)
{
    hm_comm_t *comm = channel->comm;
    if (board->rails == NULL)
        return channel_all_gather(channel, board_device(board, comm->rank, bytes), board->device, bytes);
    atomic_fetch_add(&comm->stats.rails, 1);
    ncclResult_t result = rail_exchange(board, channel, bytes);
    return result != ncclSuccess ? result : group_exchange(board, channel, bytes);
}

int board_gather(const hm_board_t *board, hm_channel_t *channel, size_t bytes, hm_claim_t *claim)
{
    double seconds = (double)settings_get()->timeout;
    int status = channel_status(channel, pieces_enqueue(board, channel, bytes), -EIO);
    if (status == 0) status = channel_copy(channel, board->host, board->device, (size_t)board->ranks * bytes);
    if (status != 0) return status;
    status = claim != NULL ? channel_wait_claimed(channel, claim, seconds) : channel_wait_started(channel, seconds);
    return status != 0 ? status : channel_check(channel);
}

int board_exchange(const hm_board_t *board, hm_channel_t *channel, const void *mine, size_t bytes)
{
    int me = channel->comm->rank;
    void *own = board_host(board, me, bytes);
    if (mine != NULL) memcpy(own, mine, bytes);
    int status = channel_start(channel);
    if (status == 0) status = channel_copy(channel, board_device(board, me, bytes), own, bytes);
    return status != 0 ? status : board_gather(board, channel, bytes, NULL);
}

int board_vote(const hm_board_t *board, hm_channel_t *channel, bool mine, bool *all)
{
    uint32_t word = mine ? VOTE_YES : ~VOTE_YES;
    bool every = true;
    int status = board_exchange(board, channel, &word, sizeof word);
    if (status != 0) return status;
    for (int r = 0; r < board->ranks; r++) {
        if (board->host[r] == VOTE_YES) continue;
        if (board->host[r] != ~VOTE_YES) return -EPROTO;
        every = false;
    }
    *all = every;
    return 0;
}
