#include "meet.h"

#include "base/settings.h"
#include "offer.h"
#include "words.h"

#include <errno.h>
#include <stdio.h>

/* What this rank can do, which the others will hear of. */
static void able_find(hm_parts_t *parts)
{
    hm_channel_t *channel = &parts->channel;
    hm_meeting_t *meeting = &parts->meeting;
    int status = channel->kernels->prepare(channel->context);
    meeting->prepared = status == 0;
    if (status == 0) status = parts_reserve(parts, channel->comm->ranks);
    meeting->able = status == 0 ? HM_ABLE : status == -ENOMEM ? HM_ABLE_NO_MEMORY : HM_ABLE_NO_BACK_END;
}

/* The first try. 0 or -ENOMEM. */
static int meeting_open(hm_parts_t *parts)
{
    hm_channel_t *channel = &parts->channel;
    int status = channel_host_alloc(channel, sizeof(hm_offer_t), &parts->meeting.offer);
    if (status != 0) return status;
    offer_make(channel->comm, channel->kernels->fit_bytes, parts->meeting.offer);
    able_find(parts);
    return 0;
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
    if (status == 0) parts->place.node_level = seats_node_level(topo, &in[0].seat, sizeof *in);
    if (status == 0 && !seats_near_together(topo, &in[0].seat, sizeof *in)) parts->carry.windows.use = HM_WINDOWS_OFF;
    return board_vote(&parts->agree.board, channel, status == 0, all);
}

/* Where this rank sits, for the statistics. */
static void seat_note(hm_parts_t *parts)
{
    hm_comm_t *comm = parts->channel.comm;
    hm_stats_seat_t seat = {.node = place_node(&parts->place, comm->rank), .nodes = place_nodes(&parts->place)};
    snprintf(seat.profile, sizeof seat.profile, "%s", parts->know.profile.name);
    comm_seat_set(comm, &seat);
}

/* What the words of all ranks come to. A rank that lacks the memory for it says so before anything hangs on it. */
static bool words_conclude(hm_parts_t *parts, const hm_hello_t *in)
{
    bool all = false;
    hm_comm_t *comm = parts->channel.comm;
    hm_reason_t reason = hello_judge(comm, in);
    int status = reason == HM_REASON_NONE ? place_agree(parts, in, &all) : 0;
    if (status == 0 && !all) {
        comm_close(comm, reason != HM_REASON_NONE ? reason : HM_REASON_NO_MEMORY);
        return false;
    }
    if (status == 0) board_rails_use(&parts->agree.board, &parts->channel, parts->place.topo);
    parts->heard = hello_adapters_alike(comm, in);
    know_meet(&parts->know);
    if (status == 0)
        status = offer_settle(parts, (hm_source_t)in[0].source, parts->meeting.offer, &in[0].seat, sizeof in[0]);
    if (status == 0) seat_note(parts);
    if (status != 0) hello_fail(comm, NULL, status);
    return status == 0;
}

bool meet_run(hm_parts_t *parts)
{
    hm_channel_t *channel = &parts->channel;
    hm_meeting_t *meeting = &parts->meeting;
    hm_words_t *words = NULL;
    int status =
        meeting->offer == NULL ? meeting_open(parts) : channel->kernels->join(channel->context, channel->stream);
    if (status == 0) status = words_take(&meeting->words, channel, &words);
    if (status == 0) {
        words->own = hello_make(channel, meeting->able, ((const hm_offer_t *)meeting->offer)->source);
        status = words_exchange(words, channel, meeting->prepared);
    }
    if (status == -EAGAIN) return false;
    if (status != 0) {
        hello_fail(channel->comm, words != NULL ? words->in : NULL, status);
        return false;
    }
    bool met = words_conclude(parts, words->in);
    if (comm_failure(channel->comm) != ncclSuccess) return false;
    words_free(&meeting->words, channel);
    channel_host_free(channel, meeting->offer);
    meeting->offer = NULL;
    return met;
}
