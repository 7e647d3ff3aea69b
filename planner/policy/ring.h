/* The last values of something noisy, and what they say in spite of single values that are far off. */
#ifndef HM_RING_H
#define HM_RING_H

#include <stdint.h>

#define HM_RING 15 /* values kept: the median of so many is off by a third of what one value is */

/* All zero: empty. */
typedef struct hm_ring {
    float value[HM_RING];
    uint8_t kept, next;
} hm_ring_t;

void ring_add(hm_ring_t *ring, double value);

/* The median; of two values the lesser, since hiccups only make calls slower. 0 where there is none. */
double ring_middle(const hm_ring_t *ring);

/* Variance of one value as a share of the median squared: from the median of absolute deviations, 1.4826 of which are
 * one standard deviation of a normal distribution (Hampel, JASA 69, 1974), and from what is believed before there are
 * values, which weighs as much as four. */
double ring_variance(const hm_ring_t *ring);

#endif
