/* How far off predictions are on this cluster, learned from what real calls took, without extra traffic or calls. Some
 * calls are left alone on purpose: without plain times a common error of all depths goes unseen.
 *
 * Fed with times that all ranks agreed on, in the order of calls, so that every rank learns the same. Kept by depth and
 * by the size of a call, since a model errs differently where start-up counts and where bandwidth does. */
#ifndef HM_REFINE_H
#define HM_REFINE_H

#include "topo.h"

#include <stdbool.h>
#include <stdint.h>

#define HM_REFINE_KEPT 9    /* latest ratios kept of a depth and size */
#define HM_REFINE_LEAST 3   /* ratios needed before they are used */
#define HM_REFINE_SIZES 6   /* classes of size, each four times the one before */
#define HM_REFINE_TRIAL 16  /* one in so many deep calls is left alone, until enough were */
#define HM_REFINE_CHECK 256 /* and one in so many later, since networks change */

typedef struct hm_ratios {
    uint32_t count; /* calls so far; the first one is not kept, since it made connections */
    double ratio[HM_REFINE_KEPT];
} hm_ratios_t;

/* All zero: nothing is known. */
typedef struct hm_refine {
    hm_ratios_t depth[HM_REFINE_SIZES][HM_MAX_LEVELS + 1];
    int latest[HM_REFINE_SIZES];        /* the last chosen depth with enough ratios */
    uint32_t since[HM_REFINE_SIZES][2]; /* calls since refine_take last acted: [0] left alone, [1] deep. Apart, since
                                         * calls of one size may be planned either way */
} hm_refine_t;

/* The class of a call that moves so many bytes for each rank. */
int refine_size(double bytes);

/* A call of this depth took measured_ms where the model, without factors, predicted predicted_ms. Times not above 0 are
 * ignored. */
void refine_add(hm_refine_t *refine, int size, int depth, double predicted_ms, double measured_ms);

/* Notes that a call was planned this deep. True: leave it alone instead, so that the time of plain calls is known too.
 * Every HM_REFINE_CHECK deep calls, or HM_REFINE_TRIAL of those left alone (few of which are looked at), the ratios of
 * the other depths are forgotten, so that a bad moment does not rule them out for good. */
bool refine_take(hm_refine_t *refine, int size, int depth);

/* What to multiply a depth's predicted time by: the median of its latest ratios. A depth that was not tried often
 * enough gets the factor of the one chosen last, so that the model alone decides between the two. */
double refine_factor(const hm_refine_t *refine, int size, int depth);

#endif
