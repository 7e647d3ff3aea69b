/* How shares_window.c and shares_search.c see a layer: experts with tokens that may go to either side, the most loaded
 * first. */
#ifndef HM_SHARES_DIVISION_H
#define HM_SHARES_DIVISION_H

#include <stdbool.h>

typedef struct hm_division {
    int count, resident;       /* resident: so many of the first that the GPU takes need no transfer */
    double *cpu, *gpu;         /* [count] ms on either side */
    bool *on_cpu, *now;        /* [count] the best division, and room for the one that is tried */
    double stream_ms, held_ms; /* held_ms: of the GPU, for experts that are resident anyway */
    double best_ms;            /* of on_cpu */
    double *work;              /* [3 * (count + 1)] scratch */
} hm_division_t;

/* Sets on_cpu and best_ms: the best division in which the CPU takes a run of experts. O(count). */
void division_window(hm_division_t *division);

/* Branch and bound from on_cpu, among the 64 last, for divisions that are better by this share; at most `steps`. */
void division_search(hm_division_t *division, double share, int steps);

static inline double division_later(double a, double b)
{
    return a > b ? a : b;
}

#endif
