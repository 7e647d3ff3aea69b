/* Which rows of a send buffer are the same bytes, on the host. */
#include "host_rows.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define EMPTY UINT32_MAX
#define MOST_COMPARES 64 /* rows with one fingerprint but other bytes that are tried before a row passes for new */

hm_host_identify_t *host_rows_pack(const hm_rows_t *rows, const uint32_t *bit, const hm_bits_t *groups, int group_count)
{
    size_t segments = (size_t)rows->segments, count = (size_t)group_count;
    size_t bytes = sizeof(hm_host_identify_t) + segments * (sizeof(void *) + sizeof(size_t) + sizeof *bit) +
                   count * sizeof *groups;
    hm_host_identify_t *call = malloc(bytes);
    if (call == NULL) return NULL;
    const void **base = (const void **)(call + 1);
    size_t *row_count = (size_t *)(base + segments);
    hm_bits_t *group = (hm_bits_t *)(row_count + segments);
    uint32_t *bits = (uint32_t *)(group + count);
    memcpy(base, rows->base, segments * sizeof *base);
    memcpy(row_count, rows->rows, segments * sizeof *row_count);
    if (count > 0) memcpy(group, groups, count * sizeof *group);
    memcpy(bits, bit, segments * sizeof *bits);
    *call = (hm_host_identify_t){.rows = *rows, .bit = bits, .groups = group, .group_count = group_count};
    call->rows.base = base;
    call->rows.rows = row_count;
    return call;
}

/* The table: a power of two at least twice the rows, of row numbers and fingerprints. */
static size_t table_slots(size_t n)
{
    size_t slots = 16;
    while (slots < 2 * n) slots *= 2;
    return slots;
}

size_t host_rows_identify_bytes(size_t n)
{
    if (n >= UINT32_MAX / 4) return 0;
    return table_slots(n) * (sizeof(uint64_t) + sizeof(uint32_t)) + (n + 1) * sizeof(char *);
}

static uint64_t word_mix(uint64_t hash, const char *at, size_t bytes)
{
    uint64_t word = 0;
    memcpy(&word, at, bytes);
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

/* Samples 16 words spread over the row, first and last included: enough to tell tokens apart without a second pass over
 * all bytes, which the compare makes anyway. */
static uint64_t row_fingerprint(const char *row, size_t bytes)
{
    uint64_t hash = bytes;
    if (bytes <= 128) {
        for (size_t at = 0; at < bytes; at += 8) hash = word_mix(hash, row + at, bytes - at < 8 ? bytes - at : 8);
    } else {
        for (size_t i = 0; i < 16; i++) hash = word_mix(hash, row + i * (bytes - 8) / 15, 8);
    }
    return hash * 0xD6E8FEB86659FD93u;
}

typedef struct row_table {
    uint64_t *fingerprint;
    uint32_t *slot; /* row number, or EMPTY */
    size_t mask;
    const char **place; /* distinct id -> its bytes */
    uint32_t distinct;
} row_table_t;

/* Gives a row the next distinct number. */
static uint32_t row_add(row_table_t *table, const char *row, uint32_t number, const hm_host_identify_t *call)
{
    table->place[table->distinct] = row;
    call->identity.first[table->distinct] = number;
    return table->distinct++;
}

/* The distinct number of a row. A row that would have to be compared with too many others of its fingerprint passes for
 * new and is not entered: rows built to collide must cost no more than a bounded number of compares each. */
static uint32_t row_find(row_table_t *table, const char *row, uint32_t number, const hm_host_identify_t *call)
{
    int keep = call->fingerprint_bits;
    uint64_t print = row_fingerprint(row, call->rows.row_bytes);
    if (keep < 64) print >>= 64 - keep;
    int compares = 0;
    size_t at = (size_t)(print * 0x9E3779B97F4A7C15u >> 20) & table->mask;
    for (;; at = (at + 1) & table->mask) {
        uint32_t id = table->slot[at];
        if (id == EMPTY) break;
        if (table->fingerprint[at] != print) continue;
        if (memcmp(table->place[id], row, call->rows.row_bytes) == 0) return id;
        if (++compares == MOST_COMPARES) return row_add(table, row, number, call);
    }
    table->slot[at] = table->distinct;
    table->fingerprint[at] = print;
    return row_add(table, row, number, call);
}

static bool mask_hits(const uint8_t *mask, hm_bits_t bits)
{
    for (uint32_t b = bits.first; b < bits.first + bits.count; b++)
        if (mask[b / 8] >> b % 8 & 1) return true;
    return false;
}

void host_rows_groups_count(const hm_host_identify_t *call, uint32_t distinct)
{
    const hm_identity_t *identity = &call->identity;
    identity->counts[0] = distinct;
    memset(identity->counts + 1, 0, (size_t)call->group_count * sizeof *identity->counts);
    for (uint32_t d = 0; d < distinct; d++)
        for (int g = 0; g < call->group_count; g++)
            identity->counts[1 + g] += mask_hits(identity->mask + d * identity->mask_bytes, call->groups[g]);
}

void host_rows_identify(const void *arguments)
{
    hm_host_identify_t *call = *(hm_host_identify_t *const *)arguments;
    const hm_identity_t *identity = &call->identity;
    size_t n = 0;
    for (int p = 0; p < call->rows.segments; p++) n += call->rows.rows[p];
    size_t slots = table_slots(n);
    row_table_t table = {.fingerprint = call->work, .mask = slots - 1};
    table.place = (const char **)(table.fingerprint + slots);
    table.slot = (uint32_t *)(table.place + n + 1);
    for (size_t i = 0; i < slots; i++) table.slot[i] = EMPTY;
    uint32_t number = 0;
    for (int p = 0; p < call->rows.segments; p++) {
        const char *row = call->rows.base[p];
        for (size_t i = 0; i < call->rows.rows[p]; i++, number++, row += call->rows.row_bytes) {
            uint32_t before = table.distinct, id = row_find(&table, row, number, call), b = call->bit[p];
            uint8_t *mask = identity->mask + (size_t)id * identity->mask_bytes;
            if (id == before) memset(mask, 0, identity->mask_bytes);
            mask[b / 8] |= (uint8_t)(1u << b % 8);
            identity->id[number] = id;
        }
    }
    host_rows_groups_count(call, table.distinct);
    free(call);
}
