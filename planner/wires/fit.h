/* Fits of links to timed transfers: straight lines t = alpha + bytes * beta, or lines with bends (link.h).
 *
 * The same timings in the same order give the same bits. Where ranks must agree on the result, feed only timings that
 * all of them have. A hm_fit_t is used by one thread at a time. */
#ifndef HM_FIT_H
#define HM_FIT_H

#include "link.h"

/* Running sums about the means, which keeps their digits when sizes are large. All zero: no samples. */
typedef struct hm_fit {
    double weight, mean_bytes, mean_ms, sxx, sxy, syy;
    uint32_t samples;
} hm_fit_t;

/* Adds one sample. weight > 0; 1 / ms^2 makes relative errors count. -EINVAL (fit unchanged) for a negative or
 * non-finite number. */
int fit_add(hm_fit_t *fit, double bytes, double ms, double weight);

/* Least squares. A negative slope or intercept is set to 0 and the other one fitted again. -ENODATA (link unchanged)
 * unless there are samples of two sizes. */
int fit_solve(const hm_fit_t *fit, hm_link_t *link);

/* One timing and its weight > 0. */
typedef struct hm_timing {
    double bytes, ms, weight;
} hm_timing_t;

/* The straight line of least relative errors. Returns as fit_bend. */
int fit_straight(const hm_timing_t *timing, int count, hm_link_t *link);

/* Fits a link to timings of ascending sizes: a straight line, or a start-up time for the smallest sizes and one line or
 * two for the rest, whichever has the smallest sum of relative errors; noise is relative too. 0; -EINVAL for a bad
 * timing, -ENODATA unless there are two sizes, with *link unchanged. */
int fit_bend(const hm_timing_t *timing, int count, hm_link_t *link);

#endif
