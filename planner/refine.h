/* How far off predictions are on this cluster, learned from what real calls took: no extra traffic, no extra calls.
 *
 * Fed with times that all ranks agreed on, in the order of calls, so that every rank corrects alike. Kept by depth and
 * by the size of a call, since a model errs differently where start-up times count and where bandwidth does. */
#ifndef HM_REFINE_H
#define HM_REFINE_H

#include "topo.h"

#include <stdint.h>

#define HM_REFINE_KEPT 9  /* latest ratios of a depth and size */
#define HM_REFINE_LEAST 3 /* ratios from which on they count */
#define HM_REFINE_SIZES 6 /* classes of size, each four times the one before */

typedef struct hm_ratios {
    uint32_t count; /* calls so far; the first is not kept: it made connections */
    double ratio[HM_REFINE_KEPT];
} hm_ratios_t;

/* All zero: nothing is known. */
typedef struct hm_refine {
    hm_ratios_t depth[HM_REFINE_SIZES][HM_MAX_LEVELS + 1];
    int latest[HM_REFINE_SIZES]; /* the depth that was used last, among those that count */
} hm_refine_t;

/* The class of a call that moves so many bytes a rank. */
int refine_size(double bytes);

/* A call of this depth took measured_ms instead of predicted_ms (unrefined). Times that are not above 0 are left out.
 */
void refine_add(hm_refine_t *refine, int size, int depth, double predicted_ms, double measured_ms);

/* What to multiply a depth's predicted time with: the median of its latest ratios. A depth that was not tried often
 * enough is taken to err like the one that was used last, which leaves the choice between the two to the model. */
double refine_factor(const hm_refine_t *refine, int size, int depth);

#endif
