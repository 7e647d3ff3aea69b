/* What an all-to-all of a job would take with experts elsewhere, or with several copies of them. */
#ifndef HM_PLAN_TRAFFIC_H
#define HM_PLAN_TRAFFIC_H

#include "plan_command.h"

typedef struct hm_plan_traffic {
    hm_cost_t cost;
    int depth;        /* the one to use */
    double rows_most; /* chosen rows of the rank that computes most */
} hm_plan_traffic_t;

/* Counts the job's tokens anew: for experts at `rank` (NULL: the job's own places), or, where copies is not NULL, each
 * choice for its nearest copy. 0, or the exit status, having said why. */
int plan_traffic(const hm_plan_job_t *job, int *rank, const hm_plan_copies_t *copies, hm_plan_traffic_t *traffic);

/* At the depth to use, with what comes on top. */
static inline double plan_traffic_ms(const hm_plan_traffic_t *traffic)
{
    return traffic->cost.ms[traffic->depth] + traffic->cost.extra_ms[traffic->depth];
}

#endif
