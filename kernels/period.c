/* Where a buffer is looked at for the size of its rows. */
#include "period.h"

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Writes [from, end) of a segment as parts; returns their number. */
static size_t range_part(const void *base, size_t from, size_t end, bool cut, hm_period_part_t *part)
{
    size_t parts = 0, step = cut ? HM_PERIOD_CUT : end - from;
    for (size_t at = from; at < end; at += step, parts++)
        if (part != NULL) part[parts] = (hm_period_part_t){base, at, smaller(at + step, end), end};
    return parts;
}

/* So many stretches of a segment, from its start to its end; a lone one is in the turn-th of four places, so that
 * starts and ends of segments are looked at. Stretches never overlap: a row would pass for its own copy. */
static size_t segment_part(const void *base, size_t bytes, size_t stretches, size_t turn, bool cut,
                           hm_period_part_t *part, size_t *sampled)
{
    if (bytes <= stretches * HM_PERIOD_STRETCH) {
        *sampled += bytes;
        return range_part(base, 0, bytes, cut, part);
    }
    size_t parts = 0, rest = bytes - HM_PERIOD_STRETCH, places = stretches > 1 ? stretches - 1 : 3;
    for (size_t i = 0; i < stretches; i++) {
        size_t place = stretches > 1 ? i : turn % 4, from = rest / places * place / 16 * 16;
        size_t end = place == places ? bytes : from + HM_PERIOD_STRETCH;
        parts += range_part(base, from, end, cut, part != NULL ? part + parts : NULL);
        *sampled += end - from;
    }
    return parts;
}

size_t period_parts(const hm_period_job_t *job, bool cut, hm_period_part_t *part, uint32_t *scale)
{
    const size_t most = HM_PERIOD_SAMPLE / HM_PERIOD_STRETCH;
    size_t total = 0, used = 0, sampled = 0, parts = 0, seen = 0, taken = 0;
    for (int p = 0; p < job->segments; p++) {
        total += job->bytes[p];
        used += job->bytes[p] > 0;
    }
    size_t each = used > 0 && used < most ? most / used : 1;
    if (total <= HM_PERIOD_SAMPLE) each = most; /* all of every segment */
    for (int p = 0; p < job->segments; p++) {
        hm_period_part_t *next = part != NULL ? part + parts : NULL;
        if (job->bytes[p] == 0) continue;
        size_t turn = seen * most / used;
        seen++;
        if (used > most && each == 1 && turn == seen * most / used) continue; /* more segments than stretches */
        parts += segment_part(job->base[p], job->bytes[p], each, taken++, cut, next, &sampled);
    }
    *scale = sampled > 0 ? (uint32_t)smaller(total / sampled, 1 << 20) : 1;
    return parts;
}
