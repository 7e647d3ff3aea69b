#include "ballot.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BALLOT_MAGIC 0x45415448u
#define HEAD_WORDS (sizeof(hm_ballot_head_t) / sizeof(uint32_t))
#define FOUND_WORDS 2
#define TILE 8 /* of 4 bytes a count, half a cache line */

static size_t words_of(size_t ranks, size_t groups)
{
    /* Rows of the gathered table start at multiples of 16 bytes. */
    return (HEAD_WORDS + 2 * ranks + FOUND_WORDS + 1 + groups + 1 + 3) / 4 * 4;
}

size_t ballot_board_bytes(int ranks, size_t levels)
{
    size_t n = (size_t)ranks;
    return n * words_of(n, levels * n) * sizeof(uint32_t);
}

int ballot_create(hm_ballot_t *ballot, int ranks, size_t levels)
{
    size_t n = (size_t)ranks;
    *ballot = (hm_ballot_t){.ranks = ranks, .memory = malloc((n + n * n + n * levels * n) * sizeof(uint32_t))};
    return ballot->memory != NULL ? 0 : -ENOMEM;
}

void ballot_place_set(hm_ballot_t *ballot, const hm_place_t *place)
{
    size_t n = (size_t)ballot->ranks;
    uint32_t *at = ballot->memory;
    ballot->row_words = words_of(n, (size_t)place->group_count);
    ballot->groups = place->group_count;
    ballot->distinct = at;
    ballot->table.raw = at += n;
    at += n * n;
    for (int l = 1; l <= place->topo->levels; l++) {
        ballot->table.distinct[l] = at;
        at += n * (size_t)place->topo->groups[l];
    }
}

void ballot_free(hm_ballot_t *ballot)
{
    free(ballot->memory);
    *ballot = (hm_ballot_t){.ranks = 0};
}

static const uint32_t *row_of(const hm_ballot_t *ballot, const hm_board_t *board, size_t rank)
{
    return board_host(board, (int)rank, ballot_row_bytes(ballot));
}

size_t ballot_found_at(const hm_ballot_t *ballot)
{
    return (HEAD_WORDS + 2 * (size_t)ballot->ranks) * sizeof(uint32_t);
}

size_t ballot_counts_at(const hm_ballot_t *ballot)
{
    return ballot_found_at(ballot) + FOUND_WORDS * sizeof(uint32_t);
}

size_t ballot_wrong_at(const hm_ballot_t *ballot)
{
    return ballot_counts_at(ballot) + (1 + (size_t)ballot->groups) * sizeof(uint32_t);
}

static const hm_ballot_head_t *head_of(const hm_ballot_t *ballot, const hm_board_t *board, int rank)
{
    return (const hm_ballot_head_t *)row_of(ballot, board, (size_t)rank);
}

int ballot_odd_find(const hm_ballot_t *ballot, const hm_board_t *board, hm_reason_t reason)
{
    uint64_t first = head_of(ballot, board, 0)->announced;
    for (int r = 0; r < ballot->ranks; r++) {
        const uint32_t *row = row_of(ballot, board, (size_t)r);
        bool otherwise = head_of(ballot, board, r)->announced != first;
        bool wrong = row[ballot_wrong_at(ballot) / sizeof *row] != 0;
        if (reason == HM_REASON_ANNOUNCED_OTHERWISE ? otherwise : reason == HM_REASON_ROWS_MISANNOUNCED && wrong)
            return r;
    }
    return -1;
}

/* What the announcements come to: of the call, and, where tokens were announced, of its rows. */
static void announced_judge(const hm_ballot_t *ballot, const hm_board_t *board, const hm_word_t *word,
                            hm_agreement_t *found)
{
    const hm_ballot_head_t *first = head_of(ballot, board, 0);
    if (ballot_odd_find(ballot, board, HM_REASON_ANNOUNCED_OTHERWISE) >= 0) {
        found->able = false;
        found->reason = HM_REASON_ANNOUNCED_OTHERWISE;
        return;
    }
    if (first->announced == 0) return;
    bool rows = found->able && found->row_fits;
    found->heard = rows && first->able == HM_ABLE_ALONG ? HM_HEARD_ALONG : HM_HEARD_ALIKE;
    if (!rows || found->heard == HM_HEARD_ALONG || word->said->tokens == NULL) return;
    if (ballot_odd_find(ballot, board, HM_REASON_ROWS_MISANNOUNCED) < 0) return;
    found->able = false;
    found->reason = HM_REASON_ROWS_MISANNOUNCED;
}

static size_t counts_gcd(const hm_call_t *call, int ranks)
{
    size_t common = 0;
    for (int r = 0; r < ranks; r++) {
        common = bytes_gcd(common, call->send_bytes[r]);
        common = bytes_gcd(common, call->recv_bytes[r]);
    }
    return common;
}

hm_ballot_head_t *ballot_row_write(const hm_ballot_t *ballot, const hm_call_t *call, const hm_word_t *word,
                                   uint32_t *own)
{
    size_t ranks = (size_t)ballot->ranks, row_bytes = word->row_bytes;
    hm_ballot_head_t *head = (hm_ballot_head_t *)own;
    uint32_t *raw = own + HEAD_WORDS, *want = raw + ranks;
    memset(own, 0, ballot_counts_at(ballot));
    *head = (hm_ballot_head_t){.magic = BALLOT_MAGIC,
                               .sequence = ballot->sequence,
                               .able = HM_ABLE_GCD,
                               .gcd = counts_gcd(call, ballot->ranks),
                               .row_bytes = row_bytes,
                               .announced = word->said != NULL ? word->said->hash : 0,
                               .lead_us = word->lead_us,
                               .transfer_us = word->transfer_us,
                               .span_us = word->span_us,
                               .wait_us = word->wait_us};
    hm_reason_t refusal = call->refusal;
    if (refusal == HM_REASON_NONE && word->said != NULL) refusal = word->said->refusal;
    if (refusal != HM_REASON_NONE) {
        head->able = HM_ABLE_NOT;
        head->reason = refusal;
        return head;
    }
    if (row_bytes == 0 || head->gcd % row_bytes != 0) return head;
    if (word->said != NULL && word->said->along) {
        head->able = HM_ABLE_ALONG;
        return head;
    }
    head->able = HM_ABLE_ROWS;
    for (size_t r = 0; r < ranks; r++) {
        size_t out = call->send_bytes[r] / row_bytes;
        size_t in = call->recv_bytes[r] / row_bytes;
        if (out > UINT32_MAX || in > UINT32_MAX) head->able = HM_ABLE_NOT;
        raw[r] = (uint32_t)out;
        want[r] = (uint32_t)in;
    }
    if (head->able == HM_ABLE_NOT) head->reason = HM_REASON_TOO_MANY_ROWS;
    return head;
}

/* Whether what ranks [s, s + TILE) send to [r, r + TILE) is what those want: in tiles, because one side lies across. */
static bool tile_match(const hm_ballot_t *ballot, const hm_board_t *board, size_t s0, size_t r0)
{
    size_t ranks = (size_t)ballot->ranks;
    const uint32_t *want[TILE];
    for (size_t r = r0; r < r0 + TILE && r < ranks; r++) want[r - r0] = row_of(ballot, board, r) + HEAD_WORDS + ranks;
    for (size_t s = s0; s < s0 + TILE && s < ranks; s++) {
        const uint32_t *raw = row_of(ballot, board, s) + HEAD_WORDS;
        for (size_t r = r0; r < r0 + TILE && r < ranks; r++)
            if (raw[r] != want[r - r0][s]) return false;
    }
    return true;
}

static bool counts_match(const hm_ballot_t *ballot, const hm_board_t *board)
{
    size_t ranks = (size_t)ballot->ranks;
    for (size_t s = 0; s < ranks; s += TILE)
        for (size_t r = 0; r < ranks; r += TILE)
            if (!tile_match(ballot, board, s, r)) return false;
    return true;
}

/* Nothing but the rows is looked at. */
int ballot_judge(const hm_ballot_t *ballot, const hm_board_t *board, const hm_word_t *word, hm_agreement_t *agreement)
{
    const hm_ballot_head_t *first = (const hm_ballot_head_t *)board->host;
    hm_agreement_t found = {.able = true, .row_fits = word->row_bytes != 0, .reason = HM_REASON_NONE};
    found.times = (hm_times_t){.timed = true, .lead_us = UINT32_MAX, .span_us = first->span_us};
    bool withdrawn = false;
    hm_size_vote_t vote = {.sizes = 0};
    for (size_t s = 0; s < (size_t)ballot->ranks; s++) {
        const hm_ballot_head_t *head = (const hm_ballot_head_t *)row_of(ballot, board, s);
        if (head->magic != BALLOT_MAGIC || head->sequence != first->sequence) return -EPROTO;
        const uint32_t *words = row_of(ballot, board, s) + ballot_found_at(ballot) / sizeof(uint32_t);
        sizes_vote_add(&vote, words[0], words[1]);
        found.gcd = bytes_gcd(found.gcd, head->gcd);
        if (head->transfer_us == 0) found.times.timed = false;
        if (head->lead_us < found.times.lead_us) found.times.lead_us = head->lead_us;
        if (head->transfer_us > found.times.transfer_us) found.times.transfer_us = head->transfer_us;
        if (head->wait_us > found.times.wait_us) found.times.wait_us = head->wait_us;
        if (head->able == HM_ABLE_WITHDRAWN) withdrawn = true;
        if (head->able == HM_ABLE_GCD) found.row_fits = false;
        if (head->able == HM_ABLE_NOT && found.able) {
            found.able = false;
            found.reason = (hm_reason_t)head->reason;
        }
        if (head->row_bytes != first->row_bytes) {
            found.able = false;
            found.reason = HM_REASON_CALLS_DIFFER;
        }
    }
    announced_judge(ballot, board, word, &found);
    found.found = sizes_vote_count(&vote, found.gcd, ballot->ranks, &found.found_net);
    if (withdrawn) found = ballot_withdrawn();
    if (found.able && found.row_fits && found.heard != HM_HEARD_ALONG && !counts_match(ballot, board)) {
        found.able = false;
        found.reason = HM_REASON_COUNTS_DIFFER;
    }
    *agreement = found;
    return 0;
}

void ballot_split(hm_ballot_t *ballot, const hm_board_t *board, const hm_topo_t *topo, size_t row_bytes,
                  hm_agreement_t *agreement)
{
    size_t ranks = (size_t)ballot->ranks;
    hm_table_t *table = &ballot->table;
    uint64_t all = 0, distinct = 0;
    table->row_bytes = row_bytes;
    for (size_t s = 0; s < ranks; s++) {
        const uint32_t *row = row_of(ballot, board, s) + HEAD_WORDS, *counts = row + 2 * ranks + FOUND_WORDS;
        memcpy((uint32_t *)table->raw + s * ranks, row, ranks * sizeof *row);
        distinct += *counts;
        ballot->distinct[s] = *counts++;
        for (int l = 1; l <= topo->levels; l++) {
            size_t groups = (size_t)topo->groups[l];
            memcpy((uint32_t *)table->distinct[l] + s * groups, counts, groups * sizeof *counts);
            counts += groups;
        }
    }
    for (size_t i = 0; i < ranks * ranks; i++) all += table->raw[i];
    agreement->bytes = all * row_bytes;
    agreement->net = period_net(all > distinct ? (all - distinct) * HM_PERIOD_ONE / all : 0, row_bytes);
}
