/* Straight-line fit t = alpha + bytes * beta from timed transfers, kept as running sums.
 *
 * Memory is constant whatever the number of samples; the same samples in the same order give the same bits. Where ranks
 * must agree on the result, feed only samples that all of them saw. A hm_fit_t is used by one thread at a time. */
#ifndef HM_FIT_H
#define HM_FIT_H

#include <stdint.h>

/* One kind of transfer: time in ms = alpha_ms + (bytes - free_bytes) * beta_ms + (bytes - turn_bytes) * turn_ms,
 * either difference at least 0, bytes being one rank's whole buffer. */
typedef struct hm_link {
    double alpha_ms;
    double beta_ms;    /* ms per byte */
    double r2;         /* 0..1; NaN where nothing was fitted */
    uint32_t samples;  /* 0: a prior */
    double free_bytes; /* that buffers on the way and shapers' allowances take before the wire holds anything back */
    double turn_bytes; /* where flows begin to get in each other's way, or another protocol to pay */
    double turn_ms;    /* ms per byte on top from there, less than 0 where bytes get cheaper; at least -beta_ms */
} hm_link_t;

/* Without the start-up time. */
static inline double link_wire_ms(const hm_link_t *link, double bytes)
{
    double held = bytes - link->free_bytes, turned = bytes - link->turn_bytes;
    return (held > 0 ? held * link->beta_ms : 0) + (turned > 0 ? turned * link->turn_ms : 0);
}

static inline double link_ms(const hm_link_t *link, double bytes)
{
    return link->alpha_ms + link_wire_ms(link, bytes);
}

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
