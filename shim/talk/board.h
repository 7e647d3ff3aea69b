/* A board that all ranks read alike: each rank writes one piece, a gather brings all pieces to all ranks. What
 * agreements, votes, tickets and the measuring of times are made of. */
#ifndef HM_BOARD_H
#define HM_BOARD_H

#include "channel.h"

#include "planner/topo.h"

typedef struct hm_board {
    int ranks;
    uint32_t *device, *host; /* pieces one behind another in the order of slots, on both sides */
    uint32_t *slot;          /* [ranks] where the piece of a rank lies, counted in pieces */
    const hm_topo_t *rails;  /* agreed: gathers go along the rails of this topology; NULL: by NCCL's all-gather */
} hm_board_t;

/* Room for `bytes` in all; slots in rank order. 0 or -ENOMEM; board_free frees what was made either way. */
int board_create(hm_board_t *board, hm_channel_t *channel, int ranks, size_t bytes);
void board_free(hm_board_t *board, const hm_channel_t *channel);

/* On all ranks or on none, after the topology is agreed: gathers go along rails from here on, where the topology has
 * them and HIERMOE_GATHER wants them. A ring over all ranks has as many hops as ranks, rails have two. */
void board_rails_use(hm_board_t *board, const hm_channel_t *channel, const hm_topo_t *topo);

/* The piece of a rank on the host or the device, of so many bytes a piece. */
static inline void *board_host(const hm_board_t *board, int rank, size_t bytes)
{
    return (char *)board->host + board->slot[rank] * bytes;
}

static inline void *board_device(const hm_board_t *board, int rank, size_t bytes)
{
    return (char *)board->device + board->slot[rank] * bytes;
}

/* Gathers `bytes` of every rank, whose own are on the device already, and waits until all are on the host. 0, or a
 * negative errno: the communicator is lost (-ECANCELED aborted, -ETIMEDOUT another rank is missing, -EBUSY this rank's
 * stream is held back, -EIO, -EPROTO).
 *
 * claim: enqueued before on a word among this rank's bytes, NULL for none. With it -EAGAIN says that the stream is held
 * back: the word is withdrawn, the gather runs without being waited for, and board->host is written when the stream
 * gets there, before anything that is enqueued later. */
int board_gather(const hm_board_t *board, hm_channel_t *channel, size_t bytes, hm_claim_t *claim);

/* The same for a piece that is on the host: mine, or what board_host already holds where mine is NULL. */
int board_exchange(const hm_board_t *board, hm_channel_t *channel, const void *mine, size_t bytes);

/* All ranks learn whether every rank says yes. Same errors; *all is set on success. */
int board_vote(const hm_board_t *board, hm_channel_t *channel, bool mine, bool *all);

#endif
