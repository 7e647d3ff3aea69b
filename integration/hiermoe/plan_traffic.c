#include "plan_traffic.h"

int plan_traffic(const hm_plan_job_t *job, int *rank, const hm_plan_copies_t *copies, hm_plan_traffic_t *traffic)
{
    const hm_plan_result_t *result = &job->result;
    hm_placement_t placement = {result->placement.experts, rank != NULL ? rank : result->placement.rank};
    hm_plan_counts_t counts;
    int rc = plan_count(&job->request, job->topo, &placement, copies, result->trace, &counts);
    if (rc == 0) rc = plan_predict(result, &counts, &traffic->cost);
    if (rc == 0) {
        traffic->depth = cost_depth_choose(&traffic->cost);
        traffic->rows_most = counts.hits.raw;
    }
    plan_counts_free(&counts);
    return rc;
}
