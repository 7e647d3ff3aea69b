#include "rows.h"

#include "base/settings.h"

#include <errno.h>
#include <stdlib.h>

#define PART_ALIGN 256 /* of device memory */

int rows_create(hm_row_set_t *set, int ranks)
{
    size_t n = (size_t)ranks;
    *set = (hm_row_set_t){.count = malloc(n * sizeof *set->count), .ranges = malloc(2 * n * sizeof *set->ranges)};
    return set->count != NULL && set->ranges != NULL ? 0 : -ENOMEM;
}

void rows_free(hm_row_set_t *set, const hm_channel_t *channel)
{
    channel_free(channel, set->memory);
    free(set->count);
    free(set->ranges);
    *set = (hm_row_set_t){.count = NULL};
}

static int range_compare(const void *left, const void *right)
{
    const hm_interval_t *a = left, *b = right;
    return a->from < b->from ? -1 : a->from > b->from;
}

bool rows_overlap(hm_row_set_t *set, const hm_call_t *call)
{
    hm_interval_t *ranges = set->ranges;
    int count = 0;
    for (int r = 0; r < call->comm->ranks; r++) {
        uintptr_t send = (uintptr_t)call->send[r], recv = (uintptr_t)call->recv[r];
        size_t out = call->send_bytes[r], in = call->recv_bytes[r];
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

size_t rows_memory_most(void)
{
    return settings_get()->max_scratch / 8;
}

/* Grows by a quarter more than asked, so that changing loads settle. Old memory is given back first, behind the work
 * that reads it: both together would be more than there may be. */
static int memory_reserve(hm_row_set_t *set, hm_channel_t *channel, size_t bytes)
{
    void *memory = NULL;
    size_t most = rows_memory_most();
    if (bytes <= set->bytes) return 0;
    if (bytes > most) return -EDQUOT;
    bytes = bytes + bytes / 4 < most ? bytes + bytes / 4 : most;
    channel_free(channel, set->memory);
    set->memory = NULL;
    set->bytes = 0;
    int status = channel_alloc(channel, bytes, &memory);
    if (status != 0) return status;
    set->memory = memory;
    set->bytes = bytes;
    return 0;
}

static size_t part_round(size_t bytes)
{
    return (bytes + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
}

static void *part_cut(char **at, size_t bytes)
{
    void *memory = *at;
    *at += part_round(bytes);
    return memory;
}

size_t rows_mask_bytes(int ranks)
{
    return ((size_t)ranks + 31) / 32 * 4;
}

/* Memory for the identity of n rows behind `work` bytes of work memory, which are not 0. */
static size_t memory_bytes(size_t work, int ranks, size_t n)
{
    if (work == 0) return 0;
    return part_round(work) + 2 * part_round((n + 1) * sizeof(uint32_t)) + part_round((n + 1) * rows_mask_bytes(ranks));
}

/* Lays such memory out; what lies behind it. */
static char *memory_lay(size_t work, int ranks, size_t n, void *memory, hm_identity_t *identity)
{
    char *at = (char *)memory + part_round(work);
    *identity = (hm_identity_t){.mask_bytes = rows_mask_bytes(ranks)};
    identity->id = part_cut(&at, (n + 1) * sizeof(uint32_t));
    identity->first = part_cut(&at, (n + 1) * sizeof(uint32_t));
    identity->mask = part_cut(&at, (n + 1) * identity->mask_bytes);
    return at;
}

size_t rows_memory_bytes(const hm_channel_t *channel, int ranks, size_t n)
{
    return memory_bytes(channel->kernels->identify_bytes(n), ranks, n);
}

void *rows_memory_lay(const hm_channel_t *channel, int ranks, size_t n, void *memory, hm_identity_t *identity)
{
    memory_lay(channel->kernels->identify_bytes(n), ranks, n, memory, identity);
    return memory;
}

/* Rows of the call by destination. The total, or -EFBIG. */
static int rows_count(hm_row_set_t *set, const hm_channel_t *channel, const hm_call_t *call, size_t row_bytes,
                      size_t *total)
{
    size_t n = 0, most = channel->kernels->identify_bytes(1) > 0 ? UINT32_MAX / 4 : 0;
    for (int r = 0; r < call->comm->ranks; r++) {
        set->count[r] = call->send_bytes[r] / row_bytes;
        n += set->count[r];
        if (n > most) return -EFBIG;
    }
    *total = n;
    return 0;
}

int rows_identify(hm_row_set_t *set, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
                  size_t row_bytes, uint32_t *counts)
{
    int ranks = call->comm->ranks;
    size_t n = 0, bytes = 0;
    int status = rows_count(set, channel, call, row_bytes, &n);
    if (status == 0) bytes = rows_memory_bytes(channel, ranks, n);
    if (status == 0 && bytes == 0) status = -EFBIG;
    if (status == 0) status = memory_reserve(set, channel, bytes);
    if (status != 0) return status;
    void *work = rows_memory_lay(channel, ranks, n, set->memory, &set->identity);
    set->identity.counts = counts;
    set->filler = NULL;
    hm_rows_t rows = {ranks, call->send, set->count, row_bytes};
    return channel->kernels->identify(channel->context, channel->stream, &rows, place->bit, place->groups,
                                      place->group_count, (int)settings_get()->test_fingerprint_bits, work,
                                      &set->identity);
}

int rows_mark(hm_row_set_t *set, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
              size_t row_bytes, const hm_tokens_t *tokens, uint32_t *counts, uint32_t *wrong)
{
    int ranks = call->comm->ranks;
    size_t n = 0, work = 0, bytes = 0;
    int status = rows_count(set, channel, call, row_bytes, &n);
    if (status == 0) work = channel->kernels->tokens_bytes(n, tokens->tokens);
    if (status == 0) bytes = memory_bytes(work, ranks, n);
    if (status == 0 && bytes == 0) status = -EFBIG;
    if (status == 0) status = memory_reserve(set, channel, bytes + PART_ALIGN);
    if (status != 0) return status;
    set->filler = (uint32_t *)(void *)memory_lay(work, ranks, n, set->memory, &set->identity);
    set->identity.counts = counts;
    hm_rows_t rows = {ranks, call->send, set->count, row_bytes};
    hm_tokens_found_t found = {.wrong = wrong, .filler = set->filler};
    return channel->kernels->tokens(channel->context, channel->stream, &rows, place->bit, place->groups,
                                    place->group_count, tokens, set->memory, &set->identity, &found);
}
