#include "guided.h"

#include "base/bytes.h"
#include "base/settings.h"
#include "carry/back.h"
#include "guide/roles.h"

#include <errno.h>

static uint64_t layer_hash(const hm_announced_t *announced)
{
    return announced->layer != NULL ? announced->layer->hash : 0;
}

static bool goes_back(uint32_t role)
{
    return role == HIERMOE_COMBINE || role == HIERMOE_DISPATCH_BACKWARD;
}

/* What all ranks must have announced alike. serial: of the dispatch that the call belongs to, 0: none. */
static uint64_t announcement_hash(const hm_announced_t *announced, uint64_t serial)
{
    const hiermoe_announcement_t *what = &announced->what;
    uint64_t words[] = {what->role,
                        what->flags,
                        what->type,
                        what->width,
                        what->map_bytes != 0, /* its size may differ */
                        layer_hash(announced),
                        serial};
    uint64_t hash = bytes_hash(HM_BYTES_HASH_START, words, sizeof words);
    return hash != 0 ? hash : 1;
}

/* Says what is wrong with this rank's announcement, at the first one of the communicator. */
static hm_reason_t misfit_say(const hm_announced_t *announced, hm_comm_t *comm, const char *misfit)
{
    if (atomic_load(&comm->stats.misannounced) == 0)
        comm_say(HM_LOG_WARN, comm, "layer %s: the announcement of an all-to-all %s; all ranks leave it to NCCL",
                 announced->layer != NULL ? announced->layer->key : "(none)", misfit);
    return HM_REASON_MISANNOUNCED;
}

/* Why a call is not looked at as rows of tokens, from this rank's view. */
static hm_reason_t announcement_refusal(const hm_announced_t *announced, const hm_call_t *call)
{
    if (announced->what.role == HIERMOE_OPAQUE) return HM_REASON_OPAQUE;
    if (call->refusal != HM_REASON_NONE) return call->refusal; /* without counts, maybe */
    const char *misfit = announced_misfit(announced, call->comm->ranks, call->send_bytes, call->recv_bytes);
    return misfit == NULL ? HM_REASON_NONE : misfit_say(announced, call->comm, misfit);
}

/* Rows compared although they were announced as copies: one in so many; 0: none. */
static uint32_t check_each(void)
{
    static const uint32_t each[] = {[HM_VERIFY_SAMPLE] = 64, [HM_VERIFY_ALL] = 1, [HM_VERIFY_NONE] = 0};
    return each[settings_get()->verify];
}

/* Whether a call goes by its map. The same on all ranks that announced alike. */
static bool goes_by_map(const hm_announced_t *announced, const hm_parts_t *parts)
{
    return announced->what.map_bytes != 0 && role_is_guided(HIERMOE_DISPATCH) && !parts->distrusted &&
           parts->channel.kernels->tokens != NULL;
}

/* Whether a call after a dispatch goes along its way, or not at all. The same on all ranks that announced alike. */
static bool goes_along(const hm_announced_t *announced, const hm_parts_t *parts)
{
    const hiermoe_announcement_t *what = &announced->what;
    if (what->role == HIERMOE_DISPATCH || what->role == HIERMOE_OPAQUE || !role_is_guided(what->role)) return false;
    if (goes_back(what->role)) return (what->flags & HIERMOE_SUM) != 0 && parts->channel.kernels->sum != NULL;
    /* Without a dispatch to follow, the rows of combine's backward may still be compared. */
    return (what->flags & HIERMOE_COPIES) != 0 && what->handle != 0;
}

/* Why this rank cannot carry a call out along the dispatch that it belongs to. */
static hm_reason_t along_refusal(const hm_guided_t *guided, const hm_parts_t *parts, const hm_call_t *call)
{
    const hm_announced_t *announced = guided->announced;
    const hm_held_t *held = guided->held;
    size_t row_bytes = guided->said.row_bytes;
    if (announced->what.handle == 0) return HM_REASON_NOT_KEPT;
    if (held == NULL)
        return misfit_say(announced, call->comm, "names a dispatch of another communicator, or a released one");
    if (held->layer != layer_hash(announced))
        return misfit_say(announced, call->comm, "names a dispatch of another layer");
    if (held->kept == NULL) return HM_REASON_NOT_KEPT;
    if (!kept_fits(held->kept, call, row_bytes, goes_back(announced->what.role)))
        return misfit_say(announced, call->comm, "names a dispatch with other rows");
    return back_possible(&parts->carry, held->kept, row_bytes) ? HM_REASON_NONE : HM_REASON_SCRATCH_CAP;
}

hm_guided_t *guided_take(hm_guided_t *guided, hm_parts_t *parts, const hm_call_t *call)
{
    hm_announced_t *announced = announce_take(call->comm->handle);
    if (announced == NULL || !parts->heard) return NULL;
    pool_sweep(&parts->pool);
    hm_held_t *held = announced->what.handle != 0 ? pool_find(&parts->pool, announced->what.handle) : NULL;
    *guided = (hm_guided_t){.announced = announced,
                            .said = {.hash = announcement_hash(announced, held != NULL ? held->serial : 0),
                                     .row_bytes = announced_row_bytes(announced),
                                     .refusal = announcement_refusal(announced, call)},
                            .held = held};
    if (goes_along(announced, parts)) {
        guided->said.along = true;
        if (guided->said.refusal == HM_REASON_NONE) guided->said.refusal = along_refusal(guided, parts, call);
    }
    if (!goes_by_map(announced, parts)) return guided;
    guided->tokens = (hm_tokens_t){.token = announced->what.map,
                                   .bytes = announced->what.map_bytes,
                                   .tokens = announced->what.tokens,
                                   .check_each = check_each(),
                                   .check_turn = parts->agree.ballot.sequence};
    guided->said.tokens = &guided->tokens;
    return guided;
}

/* Says why a call was refused, at the first one of the communicator. */
static void refusal_say(const hm_parts_t *parts, const hm_agreement_t *agreement)
{
    const hm_comm_t *comm = parts->channel.comm;
    if (comm->rank != 0) return;
    int odd = ballot_odd_find(&parts->agree.ballot, &parts->agree.board, agreement->reason);
    if (agreement->reason == HM_REASON_ANNOUNCED_OTHERWISE)
        comm_say(HM_LOG_WARN, comm,
                 "rank %d announced another all-to-all than rank 0, or only one of them announced it; all ranks leave "
                 "it to NCCL",
                 odd);
    if (agreement->reason == HM_REASON_ROWS_MISANNOUNCED)
        comm_say(HM_LOG_WARN, comm,
                 "rank %d announced rows as one token that are not the same bytes, or that name no token; all ranks "
                 "leave the call to NCCL and compare rows from here on",
                 odd);
}

void guided_note(hm_guided_t *guided, hm_parts_t *parts, const hm_agreement_t *agreement)
{
    hm_comm_t *comm = parts->channel.comm;
    bool wrong = agreement->reason == HM_REASON_ROWS_MISANNOUNCED;
    bool refused =
        wrong || agreement->reason == HM_REASON_ANNOUNCED_OTHERWISE || agreement->reason == HM_REASON_MISANNOUNCED;
    if (wrong) parts->distrusted = true;
    if (agreement->heard != HM_HEARD_NOTHING) atomic_fetch_add(&comm->stats.announced, 1);
    if (guided != NULL) announce_end(guided->announced, refused ? -EPROTO : 0, 0);
    if (refused && atomic_fetch_add(&comm->stats.misannounced, 1) == 0) refusal_say(parts, agreement);
}

ncclResult_t guided_carried(hm_guided_t *guided, hm_parts_t *parts, const hm_load_t *load,
                            const hm_decision_t *decision)
{
    hm_channel_t *channel = &parts->channel;
    hiermoe_handle_t handle = 0;
    if (guided == NULL || guided->said.tokens == NULL) return ncclSuccess;
    atomic_fetch_add(&channel->comm->stats.guided, 1);
    int status = pool_keep(&parts->pool, &parts->carry, channel, load, layer_hash(guided->announced),
                           &decision->outcome, &handle);
    announce_end(guided->announced, 1, handle);
    if (status == 0) return ncclSuccess;
    comm_fail(channel->comm, channel_result(status));
    comm_say(HM_LOG_WARN, channel->comm, "a dispatch could not be kept: the device reported an error");
    return comm_failure(channel->comm);
}

/* What the statistics count of a call along a dispatch. */
static void followed_note(const hm_guided_t *guided, const hm_place_t *place, const hm_call_t *call)
{
    hm_comm_t *comm = call->comm;
    for (int r = 0; r < comm->ranks; r++)
        if (r != comm->rank) stats_raw_add(&comm->stats, &comm->seat, place_node(place, r), call->send_bytes[r]);
    atomic_fetch_add(&comm->stats.replaced, 1);
    atomic_fetch_add(&comm->stats.guided, 1);
    atomic_fetch_add(&comm->stats.depth[guided->held->depth], 1);
    announce_end(guided->announced, 1, 0);
}

hm_decision_t guided_decide(const hm_guided_t *guided, hm_parts_t *parts)
{
    const hm_held_t *held = guided->held;
    return know_decide_along(&parts->know, &held->outcome, held->depth, guided->said.row_bytes);
}

ncclResult_t guided_follow(hm_guided_t *guided, hm_parts_t *parts, const hm_call_t *call)
{
    static const hm_element_t element[] = {[HIERMOE_BYTES] = HM_ELEMENT_BYTES,
                                           [HIERMOE_BF16] = HM_ELEMENT_BF16,
                                           [HIERMOE_FP16] = HM_ELEMENT_FP16,
                                           [HIERMOE_FP32] = HM_ELEMENT_FP32};
    hm_comm_t *comm = call->comm;
    hm_channel_t *channel = &parts->channel;
    const hiermoe_announcement_t *what = &guided->announced->what;
    hm_back_call_t along = {.call = call,
                            .row_bytes = guided->said.row_bytes,
                            .type = element[what->type],
                            .filler_unread = (what->flags & HIERMOE_FILLER_UNREAD) != 0};
    ncclResult_t result = goes_back(what->role) ? back_run(&parts->carry, channel, guided->held->kept, &along)
                                                : again_run(&parts->carry, channel, guided->held->kept, &along);
    clock_end(&parts->know.clock, channel);
    if (result == ncclSuccess) {
        followed_note(guided, &parts->place, call);
        return result;
    }
    comm_fail(comm, result);
    if (atomic_load(&comm->cancelled) == 0)
        comm_say(HM_LOG_WARN, comm, "a call along its dispatch could not be enqueued: NCCL result %d", (int)result);
    return result;
}
