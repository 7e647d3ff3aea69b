/* One summand of a swap's objective: its loads, and its maximum with two experts exchanged. */
#ifndef HM_SWAP_TERM_H
#define HM_SWAP_TERM_H

#include "swap_shape.h"
#include "swap_stats.h"

#include <stdbool.h>

/* Rows and columns of tables of pairs, which are worked on in blocks of 4 by 4. */
static inline size_t swap_pair_stride(int experts)
{
    return ((size_t)experts + 3) & ~(size_t)3;
}

/* ms_per_row * (maximum over the level's groups) + alpha_ms. */
typedef struct hm_swap_term {
    int level;
    bool compute; /* counts raw rows by rank, not hits */
    double ms_per_row, alpha_ms;
    int32_t *home;  /* [stride] each expert's group */
    double *load;   /* [groups] rows now */
    double *weight; /* [groups] weigh(load); unused for HM_SWAP_MAX */
    double top;     /* largest load, 1 if there is none */
    double base;    /* sum of weight */
    int first[3];   /* groups of the three largest loads; -1 where there are fewer */
} hm_swap_term_t;

/* Sets home, load, weight, top, base and first from the statistics. */
void swap_term_prepare(hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats);

/* The maximum with a and b exchanged (a == b: the present one), exact up to the last bits. */
double swap_term_maximum(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats, int a,
                         int b);

/* The largest load outside two groups. */
static inline double swap_term_others(const hm_swap_term_t *term, int ga, int gb)
{
    for (int i = 0; i < 3 && term->first[i] >= 0; i++)
        if (term->first[i] != ga && term->first[i] != gb) return term->load[term->first[i]];
    return 0;
}

#endif
