#include "guided.h"

#include "base/bytes.h"

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

hm_guided_t *guided_take(hm_guided_t *guided, const hm_parts_t *parts, const hm_call_t *call)
{
    hm_announced_t *announced = announce_take(call->comm->handle);
    if (announced == NULL || !parts->heard) return NULL;
    *guided = (hm_guided_t){.announced = announced,
                            .said = {.hash = announcement_hash(announced),
                                     .row_bytes = announced_row_bytes(announced),
                                     .refusal = announcement_refusal(announced, call)}};
    return guided;
}

void guided_note(hm_guided_t *guided, hm_comm_t *comm, const hm_agreement_t *agreement)
{
    bool otherwise = agreement->reason == HM_REASON_ANNOUNCED_OTHERWISE;
    bool refused = otherwise || agreement->reason == HM_REASON_MISANNOUNCED;
    if (agreement->announced) atomic_fetch_add(&comm->stats.announced, 1);
    if (guided != NULL) announce_end(guided->announced, refused ? -EPROTO : 0, 0);
    if (!refused || atomic_fetch_add(&comm->stats.misannounced, 1) > 0) return;
    if (otherwise && comm->rank == 0)
        comm_say(HM_LOG_WARN, comm,
                 "rank %d announced another all-to-all than rank 0, or only one of them announced it; all ranks leave "
                 "it to NCCL",
                 agreement->odd);
}
