/* Straight-line fit t = alpha + bytes * beta from timed transfers, kept as running sums.
 *
 * Memory is constant whatever the number of samples; the same samples in the same order give the same bits. Where ranks
 * must agree on the result, feed only samples that all of them saw. A hm_fit_t is used by one thread at a time. */
#ifndef HM_FIT_H
#define HM_FIT_H

#include "link.h"

/* All zero: no samples. The sums are about the means, which keeps their digits when sizes are large. */
typedef struct hm_fit {
    double weight, mean_bytes, mean_ms, sxx, sxy, syy;
    uint32_t samples;
} hm_fit_t;

/* Takes one sample. weight > 0: 1 / ms^2 makes relative errors count. -EINVAL (fit unchanged) for a negative or
 * non-finite number. */
int fit_add(hm_fit_t *fit, double bytes, double ms, double weight);

/* Least squares; a slope or intercept that comes out negative is held at 0 and the other fitted again. -ENODATA (link
 * unchanged) unless there are samples of two sizes. */
int fit_solve(const hm_fit_t *fit, hm_link_t *link);

/* One timing and its weight > 0. */
typedef struct hm_timing {
    double bytes, ms, weight;
} hm_timing_t;

/* The straight line that is nearest to the timings, relative to each. Same results as fit_bend. */
int fit_straight(const hm_timing_t *timing, int count, hm_link_t *link);

/* Fits a link to timings of ascending sizes: a straight line, or a start-up time that holds for the smallest sizes and
 * a line, or two lines, for the rest, whichever is nearer to all. Nearness is relative to a timing, since noise is.
 * -EINVAL for a bad timing, -ENODATA unless there are two sizes; *link unchanged then. */
int fit_bend(const hm_timing_t *timing, int count, hm_link_t *link);

#endif
