/* The size of a row from the bytes, on the host: hashes of all prefixes of a part give the hash of any row in it. */
#include "host_context.h"
#include "host_rows.h"
#include "period.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RADIX 0x9E3779B97F4A7C15u /* of the hashes: sums of words times its powers, modulo 2^64 */

/* A job with copies of the caller's arrays, one block to free. */
typedef struct host_period {
    const hm_period_part_t *part;
    const uint32_t *size;
    size_t parts;
    uint32_t sizes, scale;
    uint32_t *found;
    uint64_t *work;
} host_period_t;

/* Bytes that all sizes are multiples of, 16 at most: what prefixes go on by. */
static size_t grain_of(const uint32_t *size, size_t sizes)
{
    size_t bits = 16;
    for (size_t i = 0; i < sizes; i++) bits |= size[i];
    return bits & -bits;
}

static size_t rows_all(const hm_period_part_t *part, size_t parts, uint32_t bytes)
{
    size_t rows = 0;
    uint64_t first;
    for (size_t p = 0; p < parts; p++) rows += period_rows(&part[p], bytes, &first);
    return rows;
}

static size_t table_slots(size_t rows)
{
    size_t slots = 16;
    while (slots < 2 * rows) slots *= 2;
    return slots;
}

static size_t words_needed(const hm_period_part_t *part, size_t parts, const uint32_t *size, size_t sizes)
{
    size_t words = 0, grain = grain_of(size, sizes), slots = 16;
    for (size_t p = 0; p < parts; p++) words += (part[p].end - part[p].from) / grain + 1;
    for (size_t i = 0; i < sizes; i++) {
        size_t wanted = table_slots(rows_all(part, parts, size[i]));
        if (wanted > slots) slots = wanted;
    }
    return words + slots;
}

static host_period_t *period_pack(const hm_period_job_t *job)
{
    uint32_t scale;
    size_t parts = period_parts(job, false, NULL, &scale), sizes = (size_t)job->sizes;
    host_period_t *call = malloc(sizeof *call + parts * sizeof *call->part + sizes * sizeof *call->size);
    if (call == NULL) return NULL;
    hm_period_part_t *part = (hm_period_part_t *)(call + 1);
    uint32_t *size = (uint32_t *)(part + parts);
    period_parts(job, false, part, &scale);
    if (sizes > 0) memcpy(size, job->size, sizes * sizeof *size);
    *call = (host_period_t){.part = part, .size = size, .parts = parts, .sizes = (uint32_t)sizes, .scale = scale};
    return call;
}

size_t host_period_bytes(const hm_period_job_t *job)
{
    host_period_t *call = period_pack(job);
    if (call == NULL) return 0;
    size_t words = words_needed(call->part, call->parts, call->size, call->sizes);
    free(call);
    return words * sizeof(uint64_t);
}

static uint64_t word_mix(uint64_t word)
{
    word *= 0xFF51AFD7ED558CCDu;
    word ^= word >> 32;
    word *= 0xC4CEB9FE1A85EC53u;
    return word ^ word >> 29;
}

/* 0 for zeros, so that rows of zeros have the hash 0. */
static uint64_t grain_hash(const unsigned char *at, size_t grain)
{
    uint64_t low = 0, high = 0;
    if (grain == 16) {
        memcpy(&low, at, 8);
        memcpy(&high, at + 8, 8);
    } else {
        memcpy(&low, at, grain);
    }
    return word_mix(low) + word_mix(high) * 0xD6E8FEB86659FD93u;
}

/* prefix[i]: hash of the first i grains. */
static void prefixes_make(const hm_period_part_t *part, size_t grain, uint64_t *prefix)
{
    size_t grains = (part->end - part->from) / grain;
    const unsigned char *at = part->base + part->from;
    prefix[0] = 0;
    for (size_t i = 0; i < grains; i++) prefix[i + 1] = prefix[i] * RADIX + grain_hash(at + i * grain, grain);
}

static uint64_t power_of(size_t exponent)
{
    uint64_t power = 1, square = RADIX;
    for (; exponent > 0; exponent /= 2, square *= square)
        if (exponent % 2 != 0) power *= square;
    return power;
}

/* Whether the table has the hash; enters it. */
static bool hash_enter(uint64_t *table, size_t slots, uint64_t hash)
{
    size_t slot = (size_t)(word_mix(hash) >> 20);
    for (;; slot++) {
        slot &= slots - 1;
        if (table[slot] == hash) return true;
        if (table[slot] == 0) break;
    }
    table[slot] = hash;
    return false;
}

static void rows_enter(const hm_period_part_t *part, const uint64_t *prefix, size_t grain, uint32_t bytes,
                       uint64_t *table, size_t slots, hm_period_count_t *count)
{
    uint64_t first, step = bytes / grain, power = power_of(step);
    uint32_t rows = period_rows(part, bytes, &first);
    size_t at = (size_t)((first * bytes - part->from) / grain);
    for (uint32_t i = 0; i < rows; i++, at += step) {
        uint64_t hash = prefix[at + step] - prefix[at] * power;
        if (hash == 0)
            count->zeros++;
        else
            count->copies += hash_enter(table, slots, hash);
    }
    count->rows += rows;
}

static int period_run(const void *memory)
{
    host_period_t *call = *(host_period_t *const *)memory;
    hm_period_count_t count[HM_PERIOD_SIZES] = {{0}};
    size_t grain = grain_of(call->size, call->sizes), words = 0;
    for (size_t p = 0; p < call->parts; p++) {
        prefixes_make(&call->part[p], grain, call->work + words);
        words += (call->part[p].end - call->part[p].from) / grain + 1;
    }
    uint64_t *table = call->work + words;
    for (uint32_t i = 0; i < call->sizes; i++) {
        size_t slots = table_slots(rows_all(call->part, call->parts, call->size[i])), at = 0;
        memset(table, 0, slots * sizeof *table);
        for (size_t p = 0; p < call->parts; p++) {
            rows_enter(&call->part[p], call->work + at, grain, call->size[i], table, slots, &count[i]);
            at += (call->part[p].end - call->part[p].from) / grain + 1;
        }
    }
    period_settle(call->size, count, call->sizes, call->scale, call->found);
    free(call);
    return 0;
}

int host_period(hm_context_t *context, void *stream, const hm_period_job_t *job, void *work, uint32_t *found)
{
    if (job->sizes < 0 || job->sizes > HM_PERIOD_SIZES) return -EINVAL;
    host_period_t *call = period_pack(job);
    if (call == NULL) return -ENOMEM;
    call->work = work;
    call->found = found;
    int status = host_submit(context, stream, period_run, &call, sizeof(void *));
    if (status != 0) free(call);
    return status;
}
