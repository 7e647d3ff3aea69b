/* The shape of an objective: what maximum is taken over a level's groups, exactly and bounded from below. */
#ifndef HM_SWAP_SHAPE_H
#define HM_SWAP_SHAPE_H

#include "smooth.h"

#include <stdint.h>
#include <string.h>

/* Bounds are worked out in float; they stay below the exact value by at least this share of the change. */
#define HM_SWAP_SLACK 2e-6

typedef enum hm_swap_objective {
    HM_SWAP_MAX,        /* the heaviest group */
    HM_SWAP_SMOOTH_MAX, /* Eq. 11: the gamma-norm of all groups */
    HM_SWAP_LOG_SUM_EXP /* max/gamma * log(sum(exp(gamma * x / max))), max being that of the present placement */
} hm_swap_objective_t;

/* How a term changes with its sum of weights, bounded from below by lines: two loads and a multiplication. The function
 * is concave, so that a chord lies below it. Cells are the leading bits of a float, so that bounds are tight relative
 * to the change: most exchanges change next to nothing, and must not look like gains. */
#define HM_SHAPE_CELL_BITS 5
#define HM_SHAPE_LOW (-30)
#define HM_SHAPE_OCTAVES 50
#define HM_SHAPE_CELLS (HM_SHAPE_OCTAVES << HM_SHAPE_CELL_BITS)
enum {
    HM_SHAPE_GROWS, /* by what share of itself the sum grows */
    HM_SHAPE_FALLS, /* by what share it falls, up to a half */
    HM_SHAPE_STAYS, /* what share of it stays, up to a half */
    HM_SHAPE_PARTS
};
typedef struct hm_swap_line {
    float start, slope;
} hm_swap_line_t;
typedef struct hm_swap_shape {
    hm_swap_objective_t objective;
    int gamma;
    float slack; /* relative error of a weight worked out in float */
    hm_swap_line_t line[HM_SHAPE_PARTS * HM_SHAPE_CELLS];
} hm_swap_shape_t;

void swap_shape_fill(hm_swap_shape_t *shape, hm_swap_objective_t objective, int gamma);

/* What a sum of weights comes to, in units of the largest load; not for HM_SWAP_MAX, which has no weights. */
static inline double swap_shape_exact(const hm_swap_shape_t *shape, double sum)
{
    if (shape->objective == HM_SWAP_LOG_SUM_EXP) return sum > 0 ? 1 + smooth_log(sum) / shape->gamma : 0;
    return smooth_root(sum, shape->gamma);
}

/* The weight of a load, given as a share of the largest. */
static inline double swap_shape_weigh(const hm_swap_shape_t *shape, double ratio)
{
    if (shape->objective == HM_SWAP_LOG_SUM_EXP) return smooth_exp(shape->gamma * (ratio - 1));
    return smooth_power(ratio, shape->gamma);
}

/* Where a cell starts: HM_SHAPE_CELL_BITS leading bits behind a float's exponent. */
static inline float swap_shape_cell(int cell)
{
    uint32_t bits = ((uint32_t)(HM_SHAPE_LOW + 127) << 23) + ((uint32_t)cell << (23 - HM_SHAPE_CELL_BITS));
    float start;
    memcpy(&start, &bits, sizeof start);
    return start;
}

#endif
