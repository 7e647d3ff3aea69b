#include "agree.h"

#include "bytes.h"
#include "gather.h"
#include "log.h"
#include "settings.h"
#include "timing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AGREE_MAGIC 0x45415448u
#define TILE 8 /* of 4 bytes a count, half a cache line */

/* Buffers as address ranges, to see whether something is both read and written. */
static int range_compare(const void *left, const void *right)
{
    const hm_interval_t *a = left, *b = right;
    return a->from < b->from ? -1 : a->from > b->from;
}

static bool buffers_overlap(const hm_call_t *call, hm_interval_t *ranges)
{
    int count = 0;
    for (int r = 0; r < call->comm->ranks; r++) {
        uintptr_t send = (uintptr_t)call->send[r], recv = (uintptr_t)call->recv[r];
        size_t out = call->send_count[r] * call->type_bytes, in = call->recv_count[r] * call->type_bytes;
        if (out > 0) ranges[count++] = (hm_interval_t){send, send + out, false};
        if (in > 0) ranges[count++] = (hm_interval_t){recv, recv + in, true};
    }
    qsort(ranges, (size_t)count, sizeof *ranges, range_compare);
    uintptr_t read_end = 0, write_end = 0;
    for (int i = 0; i < count; i++) {
        if (ranges[i].from < write_end || (ranges[i].written && ranges[i].from < read_end)) return true;
        uintptr_t *end = ranges[i].written ? &write_end : &read_end;
        if (ranges[i].to > *end) *end = ranges[i].to;
    }
    return false;
}

static size_t counts_gcd(const hm_call_t *call)
{
    size_t common = 0;
    for (int r = 0; r < call->comm->ranks; r++) {
        common = bytes_gcd(common, call->send_count[r] * call->type_bytes);
        common = bytes_gcd(common, call->recv_count[r] * call->type_bytes);
    }
    return common;
}

/* Memory for the rows' identity; grows by a quarter more than asked, so that changing loads settle. Waits before it
 * gives old memory back, which the last call may still read. */
static int identity_reserve(const hm_call_t *call, hm_a2a_state_t *state, size_t bytes)
{
    if (bytes <= state->identity_bytes) return 0;
    void *memory = NULL;
    bytes += bytes / 4;
    int status = state_scratch_alloc(state, bytes, &memory);
    if (status != 0) return status;
    status =
        state->kernels->wait(state->context, call->stream, (double)settings_get()->timeout, &call->comm->cancelled);
    if (status != 0) {
        state->kernels->free(state->context, memory);
        return status;
    }
    state->kernels->free(state->context, state->identity_memory);
    state->identity_memory = memory;
    state->identity_bytes = bytes;
    return 0;
}

static void *cut(char **at, size_t bytes)
{
    void *memory = *at;
    *at += (bytes + 255) / 256 * 256;
    return memory;
}

/* The row of a rank in the gathered table. */
static uint32_t *row_of(const hm_a2a_state_t *state, uint32_t *table, int rank)
{
    return table + gather_slot(state, rank) * state->row_words;
}

/* Enqueues the look at the rows. 0, or why this rank cannot. */
static int rows_identify(const hm_call_t *call, hm_a2a_state_t *state, size_t row_bytes, hm_identity_t *identity)
{
    int ranks = call->comm->ranks;
    size_t n = 0, most = state->kernels->identify_bytes(1) > 0 ? UINT32_MAX / 4 : 0;
    for (int r = 0; r < ranks; r++) {
        state->rows[r] = call->send_count[r] * call->type_bytes / row_bytes;
        n += state->rows[r];
        if (n > most) return -EFBIG;
    }
    size_t work = state->kernels->identify_bytes(n), mask = ((size_t)ranks + 31) / 32 * 4;
    if (work == 0) return -EFBIG;
    size_t numbers = (n + 1) * sizeof(uint32_t);
    int status = identity_reserve(call, state, work + 2 * numbers + (n + 1) * mask + 4 * 256);
    if (status != 0) return status;
    char *at = state->identity_memory;
    uint32_t *own = row_of(state, state->table_device, call->comm->rank);
    *identity = (hm_identity_t){.mask_bytes = mask};
    void *work_memory = cut(&at, work);
    identity->id = cut(&at, numbers);
    identity->first = cut(&at, numbers);
    identity->mask = cut(&at, (n + 1) * mask);
    identity->counts = own + sizeof(hm_agree_head_t) / sizeof(uint32_t) + 2 * (size_t)ranks;
    hm_rows_t rows = {ranks, call->send, state->rows, row_bytes};
    return state->kernels->identify(state->context, call->stream, &rows, state->bit, state->groups, state->group_count,
                                    (int)settings_get()->test_fingerprint_bits, work_memory, identity);
}

/* Writes this rank's head and counts to host memory; the device part of the row comes from identify. */
static hm_agree_head_t *row_write(const hm_call_t *call, hm_a2a_state_t *state, size_t row_bytes)
{
    size_t ranks = (size_t)call->comm->ranks;
    uint32_t *own = row_of(state, state->table_host, call->comm->rank);
    hm_agree_head_t *head = (hm_agree_head_t *)own;
    uint32_t *raw = own + sizeof *head / sizeof *own, *want = raw + ranks;
    memset(own, 0, state->row_words * sizeof *own);
    *head = (hm_agree_head_t){.magic = AGREE_MAGIC,
                              .sequence = state->sequence,
                              .able = HM_ABLE_GCD,
                              .gcd = counts_gcd(call),
                              .row_bytes = row_bytes,
                              .lead_us = state->timing.lead_us,
                              .transfer_us = state->timing.transfer_us};
    if (row_bytes == 0 || head->gcd % row_bytes != 0) return head;
    head->able = HM_ABLE_ROWS;
    for (size_t r = 0; r < ranks; r++) {
        size_t out = call->send_count[r] * call->type_bytes / row_bytes;
        size_t in = call->recv_count[r] * call->type_bytes / row_bytes;
        if (out > UINT32_MAX || in > UINT32_MAX) head->able = HM_ABLE_NOT;
        raw[r] = (uint32_t)out;
        want[r] = (uint32_t)in;
    }
    if (head->able == HM_ABLE_NOT) head->reason = HM_REASON_TOO_MANY_ROWS;
    return head;
}

/* Fills this rank's row on the device: host part by a copy, counts by identify where rows can be looked at. */
static int row_enqueue(const hm_call_t *call, hm_a2a_state_t *state, size_t row_bytes, hm_identity_t *identity)
{
    hm_agree_head_t *head = row_write(call, state, row_bytes);
    uint32_t *own = row_of(state, state->table_device, call->comm->rank);
    size_t host_words = sizeof *head / sizeof *own + 2 * (size_t)call->comm->ranks;
    int status = state->kernels->join(state->context, call->stream);
    if (status == 0) timing_joined(state, call->stream);
    if (status == 0 && head->able == HM_ABLE_ROWS && buffers_overlap(call, state->ranges)) {
        head->able = HM_ABLE_NOT;
        head->reason = HM_REASON_BUFFERS_OVERLAP;
    }
    if (status == 0 && head->able == HM_ABLE_ROWS) {
        int refused = rows_identify(call, state, row_bytes, identity);
        if (refused != 0 && refused != -ENOMEM && refused != -EFBIG) return refused;
        if (refused != 0) {
            head->able = HM_ABLE_NOT;
            head->reason = refused == -ENOMEM ? HM_REASON_NO_MEMORY : HM_REASON_TOO_MANY_ROWS;
        }
    }
    if (status != 0) return status;
    return state->kernels->copy(state->context, call->stream, own, head, host_words * sizeof *own);
}

/* Takes the rows of all ranks apart into state->table and state->distinct. */
static void table_split(hm_a2a_state_t *state, size_t ranks, size_t row_bytes)
{
    size_t head = sizeof(hm_agree_head_t) / sizeof(uint32_t);
    state->table.row_bytes = row_bytes;
    for (size_t s = 0; s < ranks; s++) {
        const uint32_t *row = row_of(state, state->table_host, (int)s) + head, *counts = row + 2 * ranks;
        memcpy((uint32_t *)state->table.raw + s * ranks, row, ranks * sizeof *row);
        state->distinct[s] = *counts++;
        for (int l = 1; l <= state->topo->levels; l++) {
            size_t groups = (size_t)state->topo->groups[l];
            memcpy((uint32_t *)state->table.distinct[l] + s * groups, counts, groups * sizeof *counts);
            counts += groups;
        }
    }
}

/* Whether what ranks [s, s + TILE) send to [r, r + TILE) is what those want: in tiles, because one side lies across. */
static bool tile_match(const hm_a2a_state_t *state, size_t ranks, size_t s0, size_t r0)
{
    size_t head = sizeof(hm_agree_head_t) / sizeof(uint32_t);
    const uint32_t *want[TILE];
    for (size_t r = r0; r < r0 + TILE && r < ranks; r++)
        want[r - r0] = row_of(state, state->table_host, (int)r) + head + ranks;
    for (size_t s = s0; s < s0 + TILE && s < ranks; s++) {
        const uint32_t *raw = row_of(state, state->table_host, (int)s) + head;
        for (size_t r = r0; r < r0 + TILE && r < ranks; r++)
            if (raw[r] != want[r - r0][s]) return false;
    }
    return true;
}

static bool counts_match(const hm_a2a_state_t *state, size_t ranks)
{
    for (size_t s = 0; s < ranks; s += TILE)
        for (size_t r = 0; r < ranks; r += TILE)
            if (!tile_match(state, ranks, s, r)) return false;
    return true;
}

/* Judges the gathered rows. Alike on all ranks: nothing but the table is looked at. */
static int table_judge(const hm_a2a_state_t *state, size_t ranks, size_t row_bytes, hm_agreement_t *agreement)
{
    const hm_agree_head_t *first = (const hm_agree_head_t *)state->table_host;
    *agreement = (hm_agreement_t){
        .able = true, .row_fits = row_bytes != 0, .reason = HM_REASON_NONE, .timed = true, .lead_us = UINT32_MAX};
    for (size_t s = 0; s < ranks; s++) {
        const hm_agree_head_t *head = (const hm_agree_head_t *)row_of(state, state->table_host, (int)s);
        if (head->magic != AGREE_MAGIC || head->sequence != first->sequence) return -EPROTO;
        agreement->gcd = bytes_gcd(agreement->gcd, head->gcd);
        if (head->transfer_us == 0) agreement->timed = false;
        if (head->lead_us < agreement->lead_us) agreement->lead_us = head->lead_us;
        if (head->transfer_us > agreement->transfer_us) agreement->transfer_us = head->transfer_us;
        if (head->able == HM_ABLE_GCD) agreement->row_fits = false;
        if (head->able == HM_ABLE_NOT && agreement->able) {
            agreement->able = false;
            agreement->reason = (hm_reason_t)head->reason;
        }
        if (head->row_bytes != first->row_bytes) {
            agreement->able = false;
            agreement->reason = HM_REASON_CALLS_DIFFER;
        }
    }
    if (agreement->able && agreement->row_fits && !counts_match(state, ranks)) {
        agreement->able = false;
        agreement->reason = HM_REASON_COUNTS_DIFFER;
    }
    return 0;
}

int agree_table(const hm_call_t *call, hm_a2a_state_t *state, size_t row_bytes, hm_identity_t *identity,
                hm_agreement_t *agreement)
{
    size_t ranks = (size_t)call->comm->ranks;
    int status = row_enqueue(call, state, row_bytes, identity);
    if (status == 0) status = gather_pieces(call, state, state->row_words * sizeof(uint32_t));
    if (status == 0) status = table_judge(state, ranks, row_bytes, agreement);
    if (status != 0) return status;
    state->sequence++;
    if (!agreement->able || !agreement->row_fits) return 0;
    table_split(state, ranks, row_bytes);
    for (size_t i = 0; i < ranks * ranks; i++) agreement->bytes += state->table.raw[i] * (uint64_t)row_bytes;
    return 0;
}

int agree_exchange(const hm_call_t *call, hm_a2a_state_t *state, const void *mine, size_t bytes)
{
    size_t at = gather_slot(state, call->comm->rank) * bytes;
    char *own = (char *)state->table_host + at, *device = (char *)state->table_device + at;
    memcpy(own, mine, bytes);
    int status = state->kernels->copy(state->context, call->stream, device, own, bytes);
    return status != 0 ? status : gather_pieces(call, state, bytes);
}

int agree_all(const hm_call_t *call, hm_a2a_state_t *state, bool mine, bool *all)
{
    size_t ranks = (size_t)call->comm->ranks;
    uint32_t word = mine ? AGREE_MAGIC : ~AGREE_MAGIC;
    int status = agree_exchange(call, state, &word, sizeof word);
    if (status != 0) return status;
    *all = true;
    for (size_t r = 0; r < ranks; r++) {
        if (state->table_host[r] == AGREE_MAGIC) continue;
        if (state->table_host[r] != ~AGREE_MAGIC) return -EPROTO;
        *all = false;
    }
    return 0;
}
