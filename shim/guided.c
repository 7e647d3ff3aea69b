#include "guided.h"

#include "base/bytes.h"
#include "guide/roles.h"

#include <errno.h>

/* What all ranks must have announced alike. */
static uint64_t announcement_hash(const hm_announced_t *announced)
{
    const hiermoe_announcement_t *what = &announced->what;
    uint64_t words[] = {what->role,
                        what->flags,
                        what->type,
                        what->width,
                        what->map_bytes != 0, /* its size may differ */
                        announced->layer != NULL ? announced->layer->hash : 0};
    uint64_t hash = bytes_hash(HM_BYTES_HASH_START, words, sizeof words);
    return hash != 0 ? hash : 1;
}

/* Why a call is not looked at as rows of tokens, from this rank's view. */
static hm_reason_t announcement_refusal(const hm_announced_t *announced, const hm_call_t *call)
{
    hm_comm_t *comm = call->comm;
    if (announced->what.role == HIERMOE_OPAQUE) return HM_REASON_OPAQUE;
    if (call->refusal != HM_REASON_NONE) return call->refusal; /* without counts, maybe */
    const char *misfit = announced_misfit(announced, comm->ranks, call->send_bytes, call->recv_bytes);
    if (misfit == NULL) return HM_REASON_NONE;
    if (atomic_load(&comm->stats.misannounced) == 0)
        comm_say(HM_LOG_WARN, comm, "layer %s: the announcement of an all-to-all %s; all ranks leave it to NCCL",
                 announced->layer != NULL ? announced->layer->key : "(none)", misfit);
    return HM_REASON_MISANNOUNCED;
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

hm_guided_t *guided_take(hm_guided_t *guided, const hm_parts_t *parts, const hm_call_t *call)
{
    hm_announced_t *announced = announce_take(call->comm->handle);
    if (announced == NULL || !parts->heard) return NULL;
    *guided = (hm_guided_t){.announced = announced,
                            .said = {.hash = announcement_hash(announced),
                                     .row_bytes = announced_row_bytes(announced),
                                     .refusal = announcement_refusal(announced, call)}};
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
static void refusal_say(const hm_comm_t *comm, const hm_agreement_t *agreement)
{
    if (comm->rank != 0) return;
    if (agreement->reason == HM_REASON_ANNOUNCED_OTHERWISE)
        comm_say(HM_LOG_WARN, comm,
                 "rank %d announced another all-to-all than rank 0, or only one of them announced it; all ranks leave "
                 "it to NCCL",
                 agreement->odd);
    if (agreement->reason == HM_REASON_ROWS_MISANNOUNCED)
        comm_say(HM_LOG_WARN, comm,
                 "rank %d announced rows as one token that are not the same bytes, or that name no token; all ranks "
                 "leave the call to NCCL and compare rows from here on",
                 agreement->odd);
}

void guided_note(hm_guided_t *guided, hm_parts_t *parts, const hm_agreement_t *agreement)
{
    hm_comm_t *comm = parts->channel.comm;
    bool wrong = agreement->reason == HM_REASON_ROWS_MISANNOUNCED;
    bool refused =
        wrong || agreement->reason == HM_REASON_ANNOUNCED_OTHERWISE || agreement->reason == HM_REASON_MISANNOUNCED;
    if (wrong) parts->distrusted = true;
    if (agreement->announced) atomic_fetch_add(&comm->stats.announced, 1);
    if (guided != NULL) announce_end(guided->announced, refused ? -EPROTO : 0, 0);
    if (refused && atomic_fetch_add(&comm->stats.misannounced, 1) == 0) refusal_say(comm, agreement);
}

void guided_carried(hm_guided_t *guided, hm_parts_t *parts)
{
    if (guided == NULL || guided->said.tokens == NULL) return;
    atomic_fetch_add(&parts->channel.comm->stats.guided, 1);
    announce_end(guided->announced, 1, 0);
}
