/* How far off predictions are on this cluster, learned from what real calls took: no extra traffic, no extra calls. A
 * few calls are left alone that were planned deep: a model that errs the same way for all depths is right about none.
 *
 * Fed with times that all ranks agreed on, in the order of calls, so that every rank corrects alike. Kept by depth and
 * by the size of a call, since a model errs differently where start-up times count and where bandwidth does. */
#ifndef HM_REFINE_H
#define HM_REFINE_H

#include "topo.h"

#include <stdint.h>

#define HM_REFINE_KEPT 9    /* latest ratios of a depth and size */
#define HM_REFINE_LEAST 3   /* ratios from which on they count */
#define HM_REFINE_SIZES 6   /* classes of size, each four times the one before */
#define HM_REFINE_TRIAL 16  /* one in so many calls is left alone, until enough were */
#define HM_REFINE_CHECK 256 /* and later, since networks change */

typedef struct hm_ratios {
    uint32_t count; /* calls so far; the first is not kept: it made connections */
    double ratio[HM_REFINE_KEPT];
} hm_ratios_t;

/* All zero: nothing is known. */
typedef struct hm_refine {
    hm_ratios_t depth[HM_REFINE_SIZES][HM_MAX_LEVELS + 1];
    int latest[HM_REFINE_SIZES];        /* the depth that was chosen last, among those that count */
    uint32_t since[HM_REFINE_SIZES][2]; /* calls since refine_take last acted: [0] left alone, [1] deep; of one size are
                                         * calls that should go deep and calls that should not */
} hm_refine_t;

/* The class of a call that moves so many bytes a rank. */
int refine_size(double bytes);

/* A call of this depth took measured_ms instead of predicted_ms (unrefined). Times that are not above 0 are left out.
 */
void refine_add(hm_refine_t *refine, int size, int depth, double predicted_ms, double measured_ms);

/* Notes that a call goes so deep, by choice. 1: it should be left alone instead, so that what that takes is known too.
 * Now and then what the other depths once took is forgotten, so that a bad moment does not rule them out for good: in
 * HM_REFINE_CHECK calls, or in HM_REFINE_TRIAL of those left alone, few of which are looked at. */
int refine_take(hm_refine_t *refine, int size, int depth);

/* What to multiply a depth's predicted time with: the median of its latest ratios. A depth that was not tried often
 * enough is taken to err like the one that was chosen last, which leaves the choice between the two to the model. */
double refine_factor(const hm_refine_t *refine, int size, int depth);

#endif
