/* One summand of a swap's objective and its maxima: shared by swap.c (choice) and swap_score.c (arithmetic). */
#ifndef HM_SWAP_SCORE_H
#define HM_SWAP_SCORE_H

#include "swap.h"

/* ms_per_row * (maximum over the level's groups) + alpha_ms. Compute terms count raw rows by rank. */
typedef struct hm_swap_term {
    int level, compute;
    double ms_per_row, alpha_ms;
    int32_t *home;  /* [E] each expert's group */
    double *load;   /* [groups] rows now */
    double *weight; /* [groups] weigh(load); unused for HM_SWAP_MAX */
    double top;     /* largest load, 1 if there is none */
    double base;    /* sum of weight */
    int first[3];   /* groups of the three largest loads; -1 where there are fewer */
} hm_swap_term_t;

/* The function that turns a sum of weights into a multiple of `top`, with its chords. It is concave, so a chord lies
 * below it: a lower bound for two loads and a multiplication. Cells are the leading bits of the sum, a float. */
#define SHAPE_CELL_BITS 6
#define SHAPE_LOW (-20)
#define SHAPE_OCTAVES 40
#define SHAPE_CELLS (SHAPE_OCTAVES << SHAPE_CELL_BITS)
typedef struct hm_swap_shape {
    hm_swap_objective_t objective;
    int gamma;
    float value[SHAPE_CELLS], slope[SHAPE_CELLS];
} hm_swap_shape_t;

void shape_fill(hm_swap_shape_t *shape, hm_swap_objective_t objective, int gamma);

/* Sets home, load, weight, top, base and first from the statistics. */
void term_prepare(hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats);

/* The maximum with a and b exchanged (a == b: as it is), to the last bits. */
double term_maximum(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats, int a,
                    int b);

/* Adds to pair[a * E + b], a < b, a lower bound of the term's summand (for HM_SWAP_MAX the summand itself, rounded).
 * change: [E * E] scratch. */
void term_bound(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats, float *change,
                float *pair);

#endif
