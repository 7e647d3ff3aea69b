/* The companion API: what adapters and jobs may ask the library. */
#define _GNU_SOURCE
#include "door/comm.h"
#include "hiermoe.h"

#include <errno.h>
#include <string.h>

/* Members that are only half there are not filled. All of them have this size. */
#define HM_MEMBER sizeof(uint64_t)
_Static_assert(sizeof(hiermoe_stats_t) % HM_MEMBER == 0 && sizeof(size_t) == HM_MEMBER, "members of other sizes");

static int api_stats(const void *handle, hiermoe_stats_t *stats)
{
    if (stats == NULL || stats->size < sizeof stats->size) return -EINVAL;
    hm_comm_t *comm = handle != NULL ? comm_find((ncclComm_t)handle) : NULL;
    if (comm == NULL) return -ENOENT;
    size_t filled = stats->size < sizeof *stats ? stats->size / HM_MEMBER * HM_MEMBER : sizeof *stats;
    uint64_t left = 0;
    for (int reason = 0; reason < HM_REASONS; reason++) left += comm->stats.left[reason];
    hiermoe_stats_t all = {.size = filled,
                           .replaced = comm->stats.replaced,
                           .left = left,
                           .agreements = comm->stats.agreements,
                           .bytes_raw = comm->stats.bytes_raw,
                           .bytes_sent = comm->stats.bytes_sent};
    memcpy(stats, &all, filled);
    comm_release(comm);
    return 0;
}

__attribute__((visibility("default"))) const hiermoe_api_t *hiermoe_api(void)
{
    static const hiermoe_api_t api = {sizeof api, HIERMOE_API_VERSION, HM_VERSION, api_stats};
    return &api;
}
