#include "window.h"

#include "base/log.h"
#include "base/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_BYTES 4096
#define PROBE_BLOCK ((size_t)2 << 20) /* what CUDA shares by: a smaller one would let others into its neighbours */

int windows_create(hm_windows_t *windows, int ranks)
{
    windows->window = calloc((size_t)ranks, sizeof *windows->window);
    return windows->window != NULL ? 0 : -ENOMEM;
}

void windows_free(hm_windows_t *windows)
{
    free(windows->window);
    windows->window = NULL;
}

bool windows_possible(const hm_windows_t *windows, const hm_channel_t *channel)
{
    return settings_get()->windows && windows->use != HM_WINDOWS_OFF && channel_shares(channel);
}

/* Honour NCCL_P2P_DISABLE and NCCL_P2P_LEVEL: their reasons hold for our reads too. */
static bool reads_allowed(void)
{
    const char *disable = getenv("NCCL_P2P_DISABLE"), *level = getenv("NCCL_P2P_LEVEL");
    return (disable == NULL || atoi(disable) == 0) && level == NULL;
}

/* Opens the memory of all near ranks by the tickets on the board. Older windows stay open until the communicator ends:
 * closing them may wait for the whole device. */
static bool windows_open(hm_windows_t *windows, const hm_channel_t *channel, const hm_board_t *board,
                         const hm_place_t *place)
{
    for (int r = 0; r < board->ranks; r++) {
        windows->window[r] = NULL;
        if (!place_near(place, channel->comm->rank, r)) continue;
        const unsigned char *ticket = board_host(board, r, HM_TICKET);
        if (channel->kernels->window_open(channel->context, ticket, &windows->window[r]) == 0) continue;
        windows->window[r] = NULL;
        return false;
    }
    return true;
}

/* What a rank's probe holds: reads that come out otherwise are no windows. */
static void probe_fill(void *probe, int rank)
{
    uint64_t *words = probe;
    for (uint64_t i = 0; i < PROBE_BYTES / sizeof *words; i++)
        words[i] = (i + 1 + ((uint64_t)rank << 32)) * 0x9E3779B97F4A7C15u;
}

/* Reads the probes of all near ranks and compares them. probe: device memory of two probes; host: the same, pinned. 0
 * with *right set, or the stream did not come to an end: what fails on this rank alone is for it to say in the vote. */
static int probes_read(const hm_windows_t *windows, const hm_channel_t *channel, char *probe, char *host, bool *right)
{
    int status = 0;
    *right = true;
    for (int r = 0; r < channel->comm->ranks && status == 0 && *right; r++) {
        if (windows->window[r] == NULL) continue;
        hm_move_job_t job = {.dst = probe + PROBE_BYTES,
                             .src = windows->window[r],
                             .dst_stride = PROBE_BYTES,
                             .src_stride = PROBE_BYTES,
                             .width = PROBE_BYTES,
                             .rows = 1};
        status = channel_move(channel, &job, 1);
        if (status == 0) status = channel_copy(channel, host + PROBE_BYTES, job.dst, PROBE_BYTES);
        *right = status == 0;
        status = channel_wait(channel);
        probe_fill(host, r);
        *right = *right && status == 0 && memcmp(host, host + PROBE_BYTES, PROBE_BYTES) == 0;
    }
    return status;
}

/* Whether near ranks can read each other's memory, tried with a little of it. The same on all ranks. */
static int windows_try(hm_windows_t *windows, hm_channel_t *channel, const hm_board_t *board, const hm_place_t *place)
{
    unsigned char ticket[HM_TICKET] = {0};
    char *host = NULL;
    void *probe = NULL;
    bool all = false, mine = reads_allowed() && channel_host_alloc(channel, 2 * PROBE_BYTES, (void **)&host) == 0 &&
                             channel_share(channel, PROBE_BLOCK, &probe, ticket) == 0;
    if (mine) {
        probe_fill(host, channel->comm->rank);
        mine = channel_copy(channel, probe, host, PROBE_BYTES) == 0;
    }
    if (!mine) memset(ticket, 0, sizeof ticket);
    int status = board_exchange(board, channel, ticket, HM_TICKET);
    if (status == 0 && mine) mine = windows_open(windows, channel, board, place);
    if (status == 0 && mine) status = probes_read(windows, channel, probe, host, &mine);
    /* Nobody's probe may change before all have read it; it never does. */
    if (status == 0) status = board_vote(board, channel, mine, &all);
    channel_host_free(channel, host); /* behind the copies, even where one has not come to its end */
    windows->use = all ? HM_WINDOWS_ON : HM_WINDOWS_OFF;
    if (status == 0 && !all && channel->comm->rank == 0)
        comm_say(HM_LOG_INFO, channel->comm,
                 "ranks of a node cannot read each other's memory: NCCL carries all messages");
    return status;
}

int windows_scratch_share(hm_windows_t *windows, hm_scratch_t *scratch, hm_channel_t *channel, const hm_board_t *board,
                          const hm_place_t *place, size_t capacity, bool *ready)
{
    int status = 0;
    bool all = false;
    *ready = false;
    if (!windows_possible(windows, channel)) windows->use = HM_WINDOWS_OFF;
    if (windows->use == HM_WINDOWS_UNTRIED) status = windows_try(windows, channel, board, place);
    if (status != 0 || windows->use == HM_WINDOWS_OFF) return status;
    status = scratch_share(scratch, channel, board, capacity, ready);
    if (status != 0 || !*ready) return status;
    status = board_exchange(board, channel, scratch->spare.ticket, HM_TICKET);
    if (status == 0) status = board_vote(board, channel, windows_open(windows, channel, board, place), &all);
    if (!all) windows->use = HM_WINDOWS_OFF;
    return status;
}
