/* The size of a row from the bytes alone: what both back ends of kernels' period share. Read by C and by CUDA.
 *
 * A sample of the buffer is cut into rows of each size in question, and rows with the same bytes are counted: copies of
 * a token's row, and the zeros of unfilled capacity. A size that divides the true one shows the same bytes to be saved
 * in more rows; a multiple of it shows fewer, since whole runs of rows seldom repeat. So the largest size wins that
 * saves about the most. */
#ifndef HM_PERIOD_H
#define HM_PERIOD_H

#include "kernels.h"

enum {
    HM_PERIOD_SAMPLE = 16 << 20,   /* bytes of a buffer that are looked at, about */
    HM_PERIOD_STRETCH = 256 << 10, /* bytes in one place, where not all are: rows at its ends do not count for much */
    HM_PERIOD_CUT = 128 << 10      /* bytes of a part where parts are cut */
};

/* A part of a segment: its rows of a size are those that start in [from, to) and end by `end`. Offsets in bytes from
 * `base`, where the segment's first row starts; `from` is a multiple of 16. */
typedef struct hm_period_part {
    const unsigned char *base;
    uint64_t from, to, end;
} hm_period_part_t;

typedef struct hm_period_count {
    uint32_t rows;
    uint32_t copies; /* rows but zeros that an earlier one has the bytes of */
    uint32_t zeros;
} hm_period_count_t;

/* The first row of `bytes` bytes in a part, and how many there are. */
HM_SHARED uint32_t period_rows(const hm_period_part_t *part, uint32_t bytes, uint64_t *first)
{
    uint64_t begin = (part->from + bytes - 1) / bytes, last = (part->to + bytes - 1) / bytes, whole = part->end / bytes;
    uint64_t end = last < whole ? last : whole;
    *first = begin;
    return end > begin ? (uint32_t)(end - begin) : 0;
}

/* Rows that repeat, of all; in parts of HM_PERIOD_ONE. One pair of copies in a part of the buffer stands for `scale`
 * times as many in all of it, since a sample seldom holds both rows of a pair; zeros need no partner. */
HM_SHARED uint64_t period_share(const hm_period_count_t *count, uint32_t scale)
{
    uint64_t repeat = (uint64_t)count->copies * scale + (count->zeros > 0 ? count->zeros - 1 : 0);
    return count->rows > 0 ? repeat * HM_PERIOD_ONE / count->rows : 0;
}

/* Finds the size; `bytes` descend. Writes found[0..1] as kernels' period does. */
HM_SHARED void period_settle(const uint32_t *bytes, const hm_period_count_t *count, uint32_t sizes, uint32_t scale,
                             uint32_t *found)
{
    int64_t best = 0;
    found[0] = found[1] = 0;
    for (uint32_t i = 0; i < sizes; i++) {
        int64_t net = period_net(period_share(&count[i], scale), bytes[i]);
        if (net > best) best = net;
    }
    for (uint32_t i = 0; i < sizes && best > 0; i++) {
        uint64_t share = period_share(&count[i], scale);
        if (period_net(share, bytes[i]) < best - best / 32) continue;
        found[0] = bytes[i];
        found[1] = share < HM_PERIOD_ONE ? (uint32_t)share : (uint32_t)HM_PERIOD_ONE;
        return;
    }
}

/* Chooses the parts of a sample, spread over all segments. Writes them unless `part` is NULL, cut if `cut`;
 * *scale is how many times the sample the buffer is. Returns their number. */
size_t period_parts(const hm_period_job_t *job, bool cut, hm_period_part_t *part, uint32_t *scale);

#endif
