#include "meet.h"

#include "base/settings.h"
#include "hello.h"
#include "offer.h"

#include <errno.h>
#include <string.h>

/* Memory of the first meeting, which host and device see: it can be read while the exchange still waits. */
typedef struct words {
    hm_offer_t offer;
    hm_hello_t own, in[]; /* [ranks] */
} words_t;

static int words_make(hm_parts_t *parts, words_t **words)
{
    size_t bytes = sizeof **words + (size_t)parts->channel.comm->ranks * sizeof(hm_hello_t);
    int status = channel_host_alloc(&parts->channel, bytes, &parts->words);
    if (status != 0) return status;
    memset(parts->words, 0, bytes);
    *words = parts->words;
    return 0;
}

/* What this rank can do, which the others will hear of. */
static uint32_t able_find(hm_parts_t *parts)
{
    hm_channel_t *channel = &parts->channel;
    int status = channel->kernels->prepare(channel->context);
    if (status == 0) status = parts_reserve(parts, channel->comm->ranks);
    return status == 0 ? HM_ABLE : status == -ENOMEM ? HM_ABLE_NO_MEMORY : HM_ABLE_NO_BACK_END;
}

/* Whether deep calls go in lanes: one TCP connection seldom fills the link. */
static bool spread_wanted(const hm_channel_t *channel, const hm_topo_t *topo, const hm_hello_t *in)
{
    hm_wire_t wire[HM_MAX_LEVELS + 1] = {HM_WIRE_SHM};
    long given = settings_get()->spread;
    if (given >= 0) return given != 0;
    seats_wires(topo, &in[0].seat, sizeof *in, wire);
    return wire[1] == HM_WIRE_TCP && channel->kernels->lanes_over_tcp;
}

/* The place that all seats come to. *all: every rank had the memory for it. */
static int place_agree(hm_parts_t *parts, const hm_hello_t *in, bool *all)
{
    hm_channel_t *channel = &parts->channel;
    hm_topo_t *topo = NULL;
    int status = seats_topology(channel->comm, &in[0].seat, sizeof *in, &topo);
    if (status == 0) status = parts_place_set(parts, topo, spread_wanted(channel, topo, in));
    if (status == 0 && !seats_near_together(topo, &in[0].seat, sizeof *in)) parts->carry.windows.use = HM_WINDOWS_OFF;
    return board_vote(&parts->agree.board, channel, status == 0, all);
}

/* What the words of all ranks come to. A rank that lacks the memory for it says so before anything hangs on it. */
static bool words_conclude(hm_parts_t *parts, words_t *words)
{
    bool all = false;
    hm_comm_t *comm = parts->channel.comm;
    hm_reason_t reason = hello_judge(comm, words->in);
    int status = reason == HM_REASON_NONE ? place_agree(parts, words->in, &all) : 0;
    if (status == 0 && !all) {
        comm_close(comm, reason != HM_REASON_NONE ? reason : HM_REASON_NO_MEMORY);
        return false;
    }
    if (status == 0) board_rails_use(&parts->agree.board, &parts->channel, parts->place.topo);
    parts->know.observe = settings_get()->mode == HM_MODE_OBSERVE;
    if (status == 0)
        status = offer_settle(parts, (hm_source_t)words->in[0].source, &words->offer, &words->in[0].seat,
                              sizeof words->in[0]);
    if (status != 0) hello_fail(comm, NULL, status);
    return status == 0;
}

bool meet_run(hm_parts_t *parts)
{
    hm_channel_t *channel = &parts->channel;
    words_t *words = NULL;
    int status = words_make(parts, &words);
    if (status != 0) {
        hello_fail(channel->comm, NULL, status);
        return false;
    }
    offer_make(channel->comm, channel->kernels->fit_bytes, &words->offer);
    words->own = hello_make(channel, able_find(parts), words->offer.source);
    status = hello_exchange(channel, words->in, &words->own);
    if (status != 0) {
        hello_fail(channel->comm, words->in, status);
        return false;
    }
    bool met = words_conclude(parts, words);
    if (comm_failure(channel->comm) != ncclSuccess) return false;
    channel_host_free(channel, parts->words);
    parts->words = NULL;
    return met;
}
