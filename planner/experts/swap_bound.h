/* Lower bounds of how each exchange of two experts changes a summand, four pairs at a time: which few pairs are worth
 * an exact look. */
#ifndef HM_SWAP_BOUND_H
#define HM_SWAP_BOUND_H

#include "swap_term.h"

/* Adds to pair[a * stride + b], a < b, a lower bound of how the term's summand changes: exactly 0 where no load
 * changes. Up to 3 entries before these, and behind them at the end of a row, may be overwritten too. change: scratch,
 * [stride * stride], initialised. */
void swap_bound_add(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats,
                    float *change, float *pair);

#endif
