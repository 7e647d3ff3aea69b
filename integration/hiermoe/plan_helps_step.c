/* The predicted step of a job with and without each measure. */
#include "command.h"
#include "experts/loads.h"
#include "plan_helps.h"
#include "replicas/replicas.h"

#include <stdlib.h>
#include <string.h>

/* Loads of the first half of every rank's tokens: a forecast must not know the tokens that it is priced with. Without
 * tokens, all alike. */
static void loads_forecast(const hm_plan_job_t *job, uint64_t *loads)
{
    const hm_plan_counts_t *counts = &job->result.counts;
    size_t ranks = (size_t)job->topo->ranks, keep = counts->kept / ranks, top_k = (size_t)job->request.top_k;
    for (int e = 0; e < job->result.placement.experts; e++) loads[e] = counts->ids == NULL;
    if (counts->ids == NULL) return;
    for (size_t r = 0; r < ranks; r++)
        loads_add(counts->ids + r * keep * top_k, keep > 1 ? keep / 2 : keep, (int)top_k, loads);
}

/* Experts by their ranks, for copies that follow the places that swaps gave them. */
static void order_by_rank(const int *rank, int experts, int ranks, int *order)
{
    int at = 0;
    for (int r = 0; r < ranks; r++)
        for (int e = 0; e < experts; e++)
            if (rank[e] == r) order[at++] = e;
}

/* Prices copies at the given places. memory: [2 * experts + ranks * slots], loads and work: [experts]. */
static int copies_price(const hm_helps_job_t *helps, const int *rank, int *memory, uint64_t *loads, double *work,
                        hm_plan_traffic_t *traffic)
{
    const hm_plan_job_t *job = &helps->job;
    int experts = job->result.placement.experts, slots = (int)helps->request.slots;
    int *count = memory, *order = memory + experts, *slot = memory + 2 * experts;
    loads_forecast(job, loads);
    if (replicas_count(loads, experts, job->topo->ranks, slots, count, work) != 0)
        return command_fail("--slots: %d: expected enough for %d experts", slots, experts);
    order_by_rank(rank, experts, job->topo->ranks, order);
    replicas_place(order, count, experts, slot);
    hm_plan_copies_t copies = {slot, slots};
    return plan_traffic(job, NULL, &copies, traffic);
}

static int traffic_price(hm_helps_job_t *helps)
{
    const hm_plan_job_t *job = &helps->job;
    const hm_plan_result_t *result = &job->result;
    size_t n = (size_t)result->placement.experts, places = (size_t)job->topo->ranks * (size_t)helps->request.slots;
    int *memory = malloc((3 * n + places) * sizeof(*memory)), *swapped = memory + 2 * n + places;
    uint64_t *loads = malloc(n * sizeof(*loads));
    double *work = malloc(n * sizeof(*work));
    int rc = memory != NULL && loads != NULL && work != NULL ? 0 : command_fail("out of memory");
    if (rc == 0) {
        memcpy(swapped, result->placement.rank, n * sizeof(*swapped));
        for (int i = 0; i < result->swap_count; i++) {
            int a = result->swap[i].a, b = result->swap[i].b, rank = swapped[a];
            swapped[a] = swapped[b];
            swapped[b] = rank;
        }
        rc = plan_traffic(job, NULL, NULL, &helps->traffic[0][0]);
    }
    if (rc == 0) rc = plan_traffic(job, swapped, NULL, &helps->traffic[1][0]);
    if (rc == 0) rc = copies_price(helps, result->placement.rank, memory, loads, work, &helps->traffic[0][1]);
    if (rc == 0) rc = copies_price(helps, swapped, memory, loads, work, &helps->traffic[1][1]);
    free(work);
    free(loads);
    free(memory);
    return rc;
}

/* One all-to-all: each chunk pays the start-up of every level that it passes, and an agreement where it is replaced. */
static hm_overlap_cost_t exchange_cost(const hm_plan_job_t *job, const hm_plan_traffic_t *traffic, int depth)
{
    const hm_plan_result_t *result = &job->result;
    hm_cost_term_t term[HM_MAX_LEVELS];
    double whole = traffic->cost.ms[depth] + traffic->cost.extra_ms[depth];
    double alpha = depth > 0 ? result->profile->agree_ms : 0;
    int terms = cost_terms(result->topo, result->profile, result->counts.hits.row_bytes, depth > 0 ? depth : 1, term);
    for (int i = 0; i < terms; i++) alpha += term[i].alpha_ms;
    if (alpha > whole) alpha = whole;
    return (hm_overlap_cost_t){alpha, whole - alpha};
}

/* The step with a set of measures, bit by bit. */
static int step_predict(hm_helps_job_t *helps, unsigned set, double *ms)
{
    bool has[HM_HELPS_MEASURES];
    for (int m = 0; m < HM_HELPS_MEASURES; m++) has[m] = set >> m & 1;
    const hm_plan_traffic_t *traffic = &helps->traffic[has[HM_HELPS_SWAP]][has[HM_HELPS_REPLICAS]];
    hm_step_t step = helps->step;
    hm_step_how_t how = {.degree = {1, 1}, .reduction = HM_REDUCTION_CHUNKS};
    hm_overlap_cost_t *part = step.layer.part;
    part[HM_OVERLAP_DISPATCH] = exchange_cost(&helps->job, traffic, has[HM_HELPS_DEDUP] ? traffic->depth : 0);
    part[HM_OVERLAP_EXPERTS].ms = helps->job.request.compute_ms / 1000 * traffic->rows_most;
    part[HM_OVERLAP_COMBINE] = exchange_cost(&helps->job, traffic, has[HM_HELPS_BOTH] ? traffic->depth : 0);
    int rc;
    if (has[HM_HELPS_OVERLAP]) {
        how.reduction = HM_REDUCTION_BEST;
        rc = step_choose(&step, false, &how, NULL, ms);
    } else {
        rc = step_simulate(&step, &how, NULL, ms);
    }
    helps->how = how;
    return rc == 0 ? 0 : command_fail("--what-helps: %s", strerror(-rc));
}

/* Adds a measure to a set where that makes the step shorter. */
static int measure_add(hm_helps_job_t *helps, hm_helps_measure_t measure, unsigned alone, unsigned *set, double *least)
{
    double ms;
    int rc = step_predict(helps, *set | alone, &ms);
    helps->taken[measure] = rc == 0 && ms < *least;
    if (helps->taken[measure]) {
        *set |= alone;
        *least = ms;
    }
    helps->together_ms[measure] = *least;
    return rc;
}

int helps_solve(hm_helps_job_t *helps)
{
    unsigned set = 0;
    double least = 0;
    int rc = plan_job_solve(&helps->job);
    if (rc == 0) rc = traffic_price(helps);
    if (rc == 0) rc = step_predict(helps, 0, &helps->plain_ms);
    least = helps->plain_ms;
    for (int m = 0; m < HM_HELPS_MEASURES && rc == 0; m++) {
        unsigned alone = 1u << m;
        if (m == HM_HELPS_BOTH) alone |= 1u << HM_HELPS_DEDUP; /* sums need rows that are known to be copies */
        rc = step_predict(helps, alone, &helps->alone_ms[m]);
        if (rc == 0) rc = measure_add(helps, (hm_helps_measure_t)m, alone, &set, &least);
    }
    return rc != 0 ? rc : step_predict(helps, set, &least);
}
