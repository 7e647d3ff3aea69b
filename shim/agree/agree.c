#include "agree.h"

#include "base/log.h"
#include "base/settings.h"
#include "search.h"

#include <errno.h>

/* The most levels that a topology can have here. */
static size_t levels_most(void)
{
    size_t levels = 2;
    for (const char *at = settings_get()->topo; at != NULL && *at != '\0'; at++) levels += *at == ',';
    if (levels < HM_SEAT_LEVELS + 1) levels = HM_SEAT_LEVELS + 1;
    return levels > HM_MAX_LEVELS ? HM_MAX_LEVELS : levels;
}

int agree_create(hm_agree_t *agree, hm_channel_t *channel, int ranks)
{
    size_t levels = levels_most();
    sizes_init(&agree->sizes);
    int status = ballot_create(&agree->ballot, ranks, levels);
    if (status == 0) status = rows_create(&agree->rows, ranks);
    if (status == 0) status = slips_create(&agree->slips, channel, ballot_counts_at(&agree->ballot));
    return status != 0 ? status : board_create(&agree->board, channel, ranks, ballot_board_bytes(ranks, levels));
}

void agree_free(hm_agree_t *agree, const hm_channel_t *channel)
{
    board_free(&agree->board, channel);
    slips_free(&agree->slips, channel);
    rows_free(&agree->rows, channel);
    ballot_free(&agree->ballot);
}

/* Why this rank's rows are not looked at; NONE: the communicator is lost. */
static hm_reason_t rows_reason(int status)
{
    switch (status) {
    case -ENOMEM:
        return HM_REASON_NO_MEMORY;
    case -EDQUOT:
        return HM_REASON_SCRATCH_CAP;
    case -EFBIG:
        return HM_REASON_TOO_MANY_ROWS;
    default:
        return HM_REASON_NONE;
    }
}

/* Fills this rank's row on the device: the host's part by a copy, the counts by identify where rows can be looked at.
 * What this rank cannot do it says in its row; that it can it may take back until the stream gets there. */
static int row_enqueue(hm_agree_t *agree, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
                       const hm_word_t *word, bool search, hm_slip_t *slip)
{
    const hm_ballot_t *ballot = &agree->ballot;
    size_t bytes = ballot_row_bytes(ballot), counts_at = ballot_counts_at(ballot);
    int me = call->comm->rank;
    char *device = board_device(&agree->board, me, bytes);
    hm_ballot_head_t *head = ballot_row_write(ballot, call, word, slip->row);
    hm_reason_t refused = HM_REASON_NONE;
    bool able = head->able == HM_ABLE_ROWS || head->able == HM_ABLE_ALONG;
    if (able && rows_overlap(&agree->rows, call)) refused = HM_REASON_BUFFERS_OVERLAP;
    if (head->able == HM_ABLE_ROWS && refused == HM_REASON_NONE) {
        uint32_t *counts = (uint32_t *)(device + counts_at), *wrong = (uint32_t *)(device + ballot_wrong_at(ballot));
        const hm_tokens_t *tokens = word->said != NULL ? word->said->tokens : NULL;
        int status = tokens != NULL
                         ? rows_mark(&agree->rows, channel, place, call, word->row_bytes, tokens, counts, wrong)
                         : rows_identify(&agree->rows, channel, place, call, word->row_bytes, counts);
        if (status != 0) refused = rows_reason(status);
        if (status != 0 && refused == HM_REASON_NONE) return status;
    }
    if (refused != HM_REASON_NONE) {
        head->able = HM_ABLE_NOT;
        head->reason = refused;
    }
    int status = channel_copy(channel, device, head, counts_at);
    uint32_t *found = (uint32_t *)(void *)(device + ballot_found_at(ballot));
    if (status == 0 && search && head->able != HM_ABLE_NOT)
        status = search_enqueue(&agree->rows, channel, call, head->gcd, found);
    if (status != 0) return status;
    return channel_claim(channel, &slip->claim, &((hm_ballot_head_t *)(void *)device)->able, HM_ABLE_WITHDRAWN);
}

/* One agreement with rows of word->row_bytes (0: only to learn the row size). */
static int round_hold(hm_agree_t *agree, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
                      const hm_word_t *word, bool search, hm_agreement_t *agreement)
{
    hm_ballot_t *ballot = &agree->ballot;
    hm_slip_t *slip;
    int status = slips_take(&agree->slips, channel, &slip);
    if (status == 0) status = row_enqueue(agree, channel, place, call, word, search, slip);
    if (status == 0) status = board_gather(&agree->board, channel, ballot_row_bytes(ballot), &slip->claim);
    bool withdrawn = status == -EAGAIN;
    if (withdrawn) status = 0;
    if (status == 0 && !withdrawn) status = ballot_judge(ballot, &agree->board, word, agreement);
    if (status != 0) return status;
    if (withdrawn) *agreement = ballot_withdrawn();
    ballot->sequence++;
    if (agreement->able && agreement->row_fits && agreement->heard != HM_HEARD_ALONG)
        ballot_split(ballot, &agree->board, place->topo, word->row_bytes, agreement);
    return 0;
}

/* Why a call is left alone whose row size was not found. */
static hm_reason_t misfit_reason(size_t gcd, size_t fixed)
{
    if (gcd == 0) return HM_REASON_TOO_SMALL;
    if (fixed >= HM_ROW_BYTES_MIN) return HM_REASON_ROW_BYTES_MISFIT;
    return fixed != 0 || gcd < HM_ROW_BYTES_MIN ? HM_REASON_ROWS_TOO_SMALL : HM_REASON_CALLS_DIFFER;
}

/* Says once for each size that it was found in the bytes. */
static void size_say(const hm_call_t *call, const hm_sizes_t *sizes, const hm_agreement_t *agreement)
{
    if (call->comm->rank != 0 || !log_on(HM_LOG_INFO) || agreement->found == 0) return;
    if (!sizes_proven(sizes, agreement->found))
        comm_say(HM_LOG_INFO, call->comm,
                 "calls with counts of multiples of %zu bytes may have rows of %zu bytes: %.1f %% repeat",
                 agreement->gcd, agreement->found, 100. * (double)agreement->found_net / HM_PERIOD_ONE);
}

/* The setting's size or none. */
static int fixed_run(hm_agree_t *agree, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
                     const hm_word_t *word, hm_agreement_t *agreement)
{
    hm_word_t said = *word;
    said.row_bytes = settings_get()->row_bytes < HM_ROW_BYTES_MIN ? 0 : settings_get()->row_bytes;
    return round_hold(agree, channel, place, call, &said, false, agreement);
}

static int found_run(hm_agree_t *agree, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
                     const hm_word_t *word, hm_agreement_t *agreement)
{
    hm_word_t said = *word;
    hm_size_look_t look;
    hm_size_try_t next = sizes_begin(&agree->sizes, word->row_bytes, &look);
    hm_size_outcome_t outcome;
    do {
        said.row_bytes = next.row_bytes;
        int status = round_hold(agree, channel, place, call, &said, next.search, agreement);
        if (status != 0) return status;
        bool crowded = !agreement->able &&
                       (agreement->reason == HM_REASON_SCRATCH_CAP || agreement->reason == HM_REASON_TOO_MANY_ROWS);
        if (!agreement->able && !crowded) return 0;
        size_say(call, &agree->sizes, agreement);
        outcome = (hm_size_outcome_t){.crowded = crowded,
                                      .fits = agreement->able && agreement->row_fits,
                                      .net = agreement->net,
                                      .gcd = agreement->gcd,
                                      .found = agreement->found,
                                      .found_net = agreement->found_net};
    } while (sizes_next(&agree->sizes, &look, &outcome, &next));
    agreement->row_proven = agreement->able && agreement->row_fits && sizes_proven(&agree->sizes, said.row_bytes);
    return 0;
}

/* The announced size. Looks are counted as where no rank announced anything (sizes.h): they are looks of all ranks. */
static int told_run(hm_agree_t *agree, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
                    const hm_word_t *word, hm_agreement_t *agreement)
{
    hm_word_t said = *word;
    hm_size_look_t unused;
    if (settings_get()->row_bytes == 0) sizes_begin(&agree->sizes, 0, &unused);
    said.row_bytes = word->said->row_bytes < HM_ROW_BYTES_MIN ? 0 : word->said->row_bytes;
    int status = round_hold(agree, channel, place, call, &said, false, agreement);
    agreement->row_proven = status == 0 && agreement->able && agreement->row_fits;
    return status;
}

int agree_run(hm_agree_t *agree, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
              const hm_word_t *word, hm_agreement_t *agreement)
{
    size_t fixed = word->said != NULL ? word->said->row_bytes : settings_get()->row_bytes;
    int status = word->said != NULL ? told_run(agree, channel, place, call, word, agreement)
                 : fixed != 0       ? fixed_run(agree, channel, place, call, word, agreement)
                                    : found_run(agree, channel, place, call, word, agreement);
    if (status != 0 || !agreement->able || agreement->row_fits) return status;
    agreement->able = false;
    agreement->reason = misfit_reason(agreement->gcd, fixed);
    return 0;
}
