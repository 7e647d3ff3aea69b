/* The companion API: what adapters and jobs may ask the library, and tell it. */
#define _GNU_SOURCE
#include "door/comm.h"
#include "door/group_state.h"
#include "guide/adapters.h"
#include "guide/announce.h"
#include "guide/handle.h"
#include "guide/roles.h"
#include "hiermoe.h"

#include <errno.h>
#include <string.h>

/* Members that are only half there are not filled. All of them have this size. */
#define HM_MEMBER sizeof(uint64_t)
_Static_assert(sizeof(hiermoe_stats_t) % HM_MEMBER == 0 && sizeof(size_t) == HM_MEMBER, "members of other sizes");
_Static_assert(sizeof(hiermoe_layer_stats_t) % HM_MEMBER == 0, "members of other sizes");

/* How much of a struct of `known` bytes, whose first member is its size, is filled where the job has `given`. */
static size_t members_filled(size_t given, size_t known)
{
    return given < known ? given / HM_MEMBER * HM_MEMBER : known;
}

static int api_stats(const void *handle, hiermoe_stats_t *stats)
{
    if (stats == NULL || stats->size < sizeof stats->size) return -EINVAL;
    hm_comm_t *comm = handle != NULL ? comm_find((ncclComm_t)handle) : NULL;
    if (comm == NULL) return -ENOENT;
    size_t filled = members_filled(stats->size, sizeof *stats);
    uint64_t left = 0;
    for (int reason = 0; reason < HM_REASONS; reason++) left += comm->stats.left[reason];
    hiermoe_stats_t all = {.size = filled,
                           .replaced = comm->stats.replaced,
                           .left = left,
                           .agreements = comm->stats.agreements,
                           .bytes_raw = comm->stats.bytes_raw,
                           .bytes_sent = comm->stats.bytes_sent,
                           .announced = comm->stats.announced,
                           .guided = comm->stats.guided,
                           .misannounced = comm->stats.misannounced,
                           .handles = comm->stats.handles,
                           .handle_bytes_most = comm->stats.handle_bytes_most};
    memcpy(stats, &all, filled);
    comm_release(comm);
    return 0;
}

static int api_attach(const char *name, uint64_t code_hash)
{
    if (name == NULL) return -EINVAL;
    adapters_add(name, code_hash);
    return (int)roles_guided();
}

/* The end of this thread's call looks whether its announcement was taken. */
static int api_announce(const hiermoe_announcement_t *what)
{
    int status = announce_make(what);
    hm_group.announced = status == 0;
    return status;
}

static int api_settle(hiermoe_handle_t *made)
{
    hm_group.announced = false;
    return announce_settle(made);
}

static int api_layer_stats(int32_t id, hiermoe_layer_stats_t *stats)
{
    if (stats == NULL || stats->size < sizeof stats->size) return -EINVAL;
    const hm_layer_t *layer = layer_find(id);
    if (layer == NULL) return -ENOENT;
    hiermoe_layer_stats_t all = {.size = members_filled(stats->size, sizeof *stats)};
    for (int role = 0; role < HM_ROLES; role++) {
        all.announced[role] = layer->announced[role];
        all.guided[role] = layer->guided[role];
        all.refused[role] = layer->refused[role];
    }
    memcpy(stats, &all, all.size);
    return 0;
}

__attribute__((visibility("default"))) const hiermoe_api_t *hiermoe_api(void)
{
    static const hiermoe_api_t api = {.size = sizeof api,
                                      .version = HIERMOE_API_VERSION,
                                      .library = HM_VERSION,
                                      .stats = api_stats,
                                      .attach = api_attach,
                                      .layer_open = layers_open,
                                      .layer_close = layers_close,
                                      .announce = api_announce,
                                      .settle = api_settle,
                                      .release = handle_release,
                                      .layer_stats = api_layer_stats};
    return &api;
}
