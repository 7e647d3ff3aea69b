#include "swap_shape.h"

/* exact(sum * (1 + share)) less exact(sum), for the sum of which exact is 1. */
static double shape_change(const hm_swap_shape_t *shape, double share)
{
    double power = shape->objective == HM_SWAP_LOG_SUM_EXP ? 0 : 1.0 / shape->gamma, sum = 1;
    if (share > 0.125 || share < -0.125) return swap_shape_exact(shape, 1 + share) - 1;
    for (int k = 20; k > 0; k--) sum = 1 + sum * share * (power - k) / (k + 1); /* small ones to the last bits too */
    return share * sum / shape->gamma;
}

static double shape_part(const hm_swap_shape_t *shape, int part, double x)
{
    if (part == HM_SHAPE_STAYS) return shape_change(shape, x - 1);
    return shape_change(shape, part == HM_SHAPE_FALLS ? -x : x);
}

/* The first cell starts at 0. What stays of a sum cannot bring a term below 0, nor exp below exp(-gamma). */
static void part_fill(hm_swap_shape_t *shape, int part)
{
    double from = 0, low = part == HM_SHAPE_STAYS ? -1 : 0,
           slack = part == HM_SHAPE_GROWS ? -HM_SWAP_SLACK : HM_SWAP_SLACK;
    for (int i = 0; i < HM_SHAPE_CELLS && (part == HM_SHAPE_GROWS || from <= 0.5); i++) {
        double to = swap_shape_cell(i + 1), high = shape_part(shape, part, to), slope = (high - low) / (to - from);
        if (i == 0 && part == HM_SHAPE_STAYS) slope = 0;
        if (i == HM_SHAPE_CELLS - 1) slope = 0;
        shape->line[part * HM_SHAPE_CELLS + i] =
            (hm_swap_line_t){(float)((low - slope * from) * (1 + slack)), (float)(slope * (1 + slack))};
        from = to;
        low = high;
    }
}

void swap_shape_fill(hm_swap_shape_t *shape, hm_swap_objective_t objective, int gamma)
{
    shape->objective = objective;
    shape->gamma = gamma;
    shape->slack = (float)(gamma + 6) * 6e-7f;
    if (objective == HM_SWAP_MAX) return;
    for (int part = 0; part < HM_SHAPE_PARTS; part++) part_fill(shape, part);
}
