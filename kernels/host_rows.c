/* Picking and moving rows, on the host. */
#include "host_rows.h"

#include <stdbool.h>
#include <string.h>

/* Up to 57 bits of a mask from any bit on, lowest first. */
static uint32_t bits_read(const uint8_t *mask, uint32_t first, uint32_t count)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < count; i++) value |= (uint32_t)(mask[(first + i) / 8] >> (first + i) % 8 & 1) << i;
    return value;
}

/* Copies bits [first, first + count) of a mask to the bottom of `sub`; returns whether any is set. */
static bool mask_cut(const uint8_t *mask, hm_bits_t bits, uint8_t *sub)
{
    bool any = false;
    for (uint32_t at = 0; at < bits.count; at += 8) {
        uint32_t left = bits.count - at;
        uint32_t byte = bits_read(mask, bits.first + at, left < 8 ? left : 8);
        any = any || byte != 0;
        if (sub != NULL) sub[at / 8] = (uint8_t)byte;
    }
    return any;
}

void host_rows_pick(const hm_pick_job_t *job)
{
    uint32_t hits = 0;
    size_t sub_bytes = hm_mask_bytes(job->bits.count);
    for (uint32_t i = 0; i < job->rows; i++) {
        const uint8_t *mask = job->mask + (size_t)i * job->mask_bytes;
        if (job->place != NULL) job->place[i] = hits;
        if (!mask_cut(mask, job->bits, NULL) || (job->most > 0 && hits == job->most)) continue;
        if (job->sub != NULL) mask_cut(mask, job->bits, job->sub + hits * sub_bytes);
        if (job->index != NULL) job->index[hits] = i;
        hits++;
    }
}

size_t host_rows_table_bytes(const hm_rows_t *rows)
{
    return sizeof(hm_rows_t) + (size_t)rows->segments * (sizeof(void *) + sizeof(size_t));
}

const hm_rows_t *host_rows_table_copy(const hm_rows_t *rows, void *memory)
{
    hm_rows_t *table = memory;
    const void **base = (const void **)(table + 1);
    size_t *first = (size_t *)(base + rows->segments), number = 0;
    for (int p = 0; p < rows->segments; p++) {
        base[p] = rows->base[p];
        first[p] = number;
        number += rows->rows[p];
    }
    *table = (hm_rows_t){rows->segments, base, first, rows->row_bytes};
    return table;
}

/* The bytes of row `number`: in the last segment that starts at or before it. Empty segments start where the next one
 * does, so the last one is the one with rows. */
const char *host_rows_table_row(const hm_rows_t *table, size_t number)
{
    int low = 0, high = table->segments;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (table->rows[middle] <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (const char *)table->base[low] + (number - table->rows[low]) * table->row_bytes;
}

/* The source row of row j of a job; false where a list from a lost peer names none. */
static bool source_row(const hm_move_job_t *job, uint32_t j, size_t *row)
{
    uint32_t i = job->index != NULL ? job->index[j] : j;
    if (job->index != NULL && job->via != NULL) {
        if (job->via_entries > 0 && i >= job->via_entries) return false;
        i = job->via[i];
    }
    *row = i;
    return job->src_rows == 0 || i < job->src_rows;
}

void host_rows_move(const hm_move_job_t *job)
{
    char *dst = job->dst;
    if (job->index == NULL && job->segments == NULL && job->dst_stride == job->width && job->src_stride == job->width) {
        if (job->rows > 0) memcpy(dst, (const char *)job->src + job->src_offset, job->rows * job->width);
        return;
    }
    for (uint32_t j = 0; j < job->rows; j++, dst += job->dst_stride) {
        size_t i;
        if (!source_row(job, j, &i)) continue;
        const char *src = job->segments != NULL ? host_rows_table_row(job->segments, i)
                                                : (const char *)job->src + i * job->src_stride;
        memcpy(dst, src + job->src_offset, job->width);
    }
}
