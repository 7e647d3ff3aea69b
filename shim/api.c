/* The companion API: what adapters and jobs may ask the library. */
#define _GNU_SOURCE
#include "hiermoe.h"

#include "door/comm.h"
#include "base/fork.h"

#include <errno.h>

static int api_stats(const void *handle, hiermoe_stats_t *stats)
{
    if (stats == NULL || stats->size != sizeof *stats) return -EINVAL;
    hm_comm_t *comm = handle != NULL && !fork_child() ? comm_find((ncclComm_t)handle) : NULL;
    if (comm == NULL) return -ENOENT;
    uint64_t left = 0;
    for (int reason = 0; reason < HM_REASONS; reason++) left += comm->stats.left[reason];
    *stats = (hiermoe_stats_t){.size = sizeof *stats,
                               .replaced = comm->stats.replaced,
                               .left = left,
                               .agreements = comm->stats.agreements,
                               .bytes_raw = comm->stats.bytes_raw,
                               .bytes_sent = comm->stats.bytes_sent};
    comm_release(comm);
    return 0;
}

__attribute__((visibility("default"))) const hiermoe_api_t *hiermoe_api(void)
{
    static const hiermoe_api_t api = {sizeof api, HIERMOE_API_VERSION, HM_VERSION, api_stats};
    return &api;
}
