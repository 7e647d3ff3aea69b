/* One summand of a swap's objective and its maxima: shared by swap.c (choice) and swap_score.c (arithmetic). */
#ifndef HM_SWAP_SCORE_H
#define HM_SWAP_SCORE_H

#include "swap.h"

/* Tables of pairs are worked at in blocks of 4 by 4, so their rows and columns are that many. */
static inline size_t pair_stride(int experts)
{
    return ((size_t)experts + 3) & ~(size_t)3;
}

/* ms_per_row * (maximum over the level's groups) + alpha_ms. Compute terms count raw rows by rank. */
typedef struct hm_swap_term {
    int level, compute;
    double ms_per_row, alpha_ms;
    int32_t *home;  /* [stride] each expert's group */
    double *load;   /* [groups] rows now */
    double *weight; /* [groups] weigh(load); unused for HM_SWAP_MAX */
    double top;     /* largest load, 1 if there is none */
    double base;    /* sum of weight */
    int first[3];   /* groups of the three largest loads; -1 where there are fewer */
} hm_swap_term_t;

/* How a term changes with its sum of weights, as lines that bound it from below: two loads and a multiplication. The
 * function is concave, so a chord lies below it. Cells are the leading bits of a float: relative to the change, for
 * most exchanges change next to nothing and must not pass for gains. */
#define SHAPE_CELL_BITS 5
#define SHAPE_LOW (-30)
#define SHAPE_OCTAVES 50
#define SHAPE_CELLS (SHAPE_OCTAVES << SHAPE_CELL_BITS)
enum {
    SHAPE_GROWS, /* by what share of itself the sum grows */
    SHAPE_FALLS, /* by what share it falls, up to a half */
    SHAPE_STAYS, /* what share of it stays, up to a half */
    SHAPE_PARTS
};
typedef struct hm_swap_line {
    float start, slope;
} hm_swap_line_t;
typedef struct hm_swap_shape {
    hm_swap_objective_t objective;
    int gamma;
    float slack; /* how far off a weight made in float may be, relative */
    hm_swap_line_t line[SHAPE_PARTS * SHAPE_CELLS];
} hm_swap_shape_t;

void shape_fill(hm_swap_shape_t *shape, hm_swap_objective_t objective, int gamma);

/* Sets home, load, weight, top, base and first from the statistics. */
void term_prepare(hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats);

/* The maximum with a and b exchanged (a == b: as it is), to the last bits. */
double term_maximum(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats, int a,
                    int b);

/* Adds to pair[a * stride + b], a < b, a lower bound of how the term's summand changes, exactly 0 where no load does;
 * entries less than 4 before and, at the end of a row, behind those may be overwritten. change: [stride * stride],
 * scratch, but initialised. */
void term_bound(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats, float *change,
                float *pair);

#endif
