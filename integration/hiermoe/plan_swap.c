/* Suggests swaps from the tokens that plan_count kept. */
#include "command.h"
#include "experts/swap.h"
#include "plan_command.h"
#include "plan_traffic.h"

#include <stdlib.h>
#include <string.h>

/* What one objective suggests: swaps, each after those before it. */
typedef struct series {
    const hm_plan_result_t *result;
    uint64_t *rows; /* [ranks] scratch */
    int count;
    hm_plan_swap_t swap[HM_PLAN_MAX_SWAPS];
} series_t;

/* What chooses: sums over sources are enough for it. */
static int search_slices(const hm_plan_request_t *request)
{
    return request->cost_model == HM_COST_PADDED_SLICED ? (int)request->slices : 1;
}

/* Rows that the busiest rank's experts compute. */
static double stats_rows_most(const hm_plan_result_t *result, const hm_swap_stats_t *stats, uint64_t *rows)
{
    uint64_t most = 0;
    memset(rows, 0, (size_t)result->topo->ranks * sizeof(*rows));
    for (int e = 0; e < stats->experts; e++) {
        uint64_t *home = &rows[stats->group[stats->levels][e]];
        *home += stats->cnt[e];
        if (*home > most) most = *home;
    }
    return (double)most * result->counts.kept_scale;
}

/* Predicted ms at the plan's depth, by true maxima, with the compute of the busiest rank. */
static double stats_time(const series_t *series, const hm_swap_stats_t *stats)
{
    const hm_plan_result_t *result = series->result;
    hm_cost_t cost;
    hm_hits_t hits = {.row_bytes = result->counts.hits.row_bytes, .raw = result->counts.hits.raw};
    for (int l = 1; l <= result->topo->levels; l++)
        for (int g = 0; g < result->topo->groups[l]; g++) {
            double rows = stats->p[l][g] * result->counts.kept_scale;
            if (rows > hits.level[l]) hits.level[l] = rows;
        }
    if (cost_predict_hits(result->topo, result->profile, &hits, search_slices(result->request), &cost) != 0) return 0;
    return cost.ms[result->swap_depth] +
           result->request->compute_ms / 1000 * stats_rows_most(result, stats, series->rows);
}

static int series_update(void *context, hm_swap_stats_t *stats, int a, int b)
{
    series_t *series = context;
    const hm_plan_result_t *result = series->result;
    hm_plan_swap_t *swap = &series->swap[series->count++];
    swap->before_ms = stats_time(series, stats);
    int rc = swap_stats_swap(stats, result->counts.ids, result->counts.kept, (int)result->request->top_k, a, b);
    swap->after_ms = stats_time(series, stats);
    return rc;
}

static const char *swaps_refuse(const hm_plan_result_t *result)
{
    if (result->depth == 0) return "the call is best left alone";
    if (result->counts.ids == NULL) return "uniform routing: no expert is better placed elsewhere";
    if (result->placement.experts > HM_PLAN_MAX_SWAP_EXPERTS) return "not scored above 1024 experts";
    if (result->request->top_k > HM_SWAP_MAX_TOPK) return "not scored above top-64";
    return NULL;
}

/* Lets one objective choose. 0, or a negative errno. */
static int series_choose(series_t *series, const hm_swap_options_t *how)
{
    const hm_plan_result_t *result = series->result;
    const hm_plan_request_t *request = result->request;
    hm_swap_choice_t choice[HM_PLAN_MAX_SWAPS];
    hm_swap_stats_t *stats = NULL;
    hm_swap_t *swap = NULL;
    int rc = swap_stats_create(result->topo, &result->placement, &stats);
    if (rc == 0) rc = swap_stats_add(stats, result->counts.ids, result->counts.kept, (int)request->top_k, 1);
    if (rc == 0)
        rc = swap_create(result->topo, result->profile, &result->placement, result->counts.hits.row_bytes,
                         result->depth, how, &swap);
    int count = rc != 0 ? rc : swap_choose_several(swap, stats, series_update, series, (int)request->swaps, choice);
    for (int i = 0; i < count; i++) {
        series->swap[i].a = choice[i].a;
        series->swap[i].b = choice[i].b;
        series->swap[i].move_ms = choice[i].move_ms;
    }
    swap_destroy(swap);
    swap_stats_destroy(stats);
    return count < 0 ? count : 0;
}

/* Cuts the series where its swaps together gain most per all-to-all, the cost of moving spread over the horizon. Needed
 * because a smooth maximum may fall where the true maximum, which calls wait for, does not. Returns that gain in ms. */
static double series_cut(series_t *series, double horizon)
{
    double most = 0, moved = 0;
    int kept = 0;
    for (int i = 0; i < series->count; i++) {
        moved += horizon > 0 ? series->swap[i].move_ms / horizon : 0;
        double gain = series->swap[0].before_ms - series->swap[i].after_ms - moved;
        if (gain <= most) continue;
        most = gain;
        kept = i + 1;
    }
    series->count = kept;
    return most;
}

/* Keeps what one objective suggests if it gains more than `most`, the best so far. */
static int objective_try(hm_plan_result_t *result, const hm_swap_options_t *how, uint64_t *rows, double *most)
{
    series_t series = {.result = result, .rows = rows};
    int rc = series_choose(&series, how);
    if (rc != 0) return command_fail("swaps: %s", strerror(-rc));
    double gain = series_cut(&series, how->horizon);
    if (gain <= *most) return 0;
    *most = gain;
    result->swap_count = series.count;
    result->swap_objective = how->objective;
    memcpy(result->swap, series.swap, sizeof(series.swap));
    return 0;
}

int plan_swaps_choose(hm_plan_result_t *result)
{
    const hm_plan_request_t *request = result->request;
    hm_swap_options_t how = HM_SWAP_DEFAULTS;
    double most = 0;
    int rc = 0;
    result->swap_depth = result->depth;
    result->swap_note = swaps_refuse(result);
    if (result->swap_note != NULL || request->swaps == 0) return 0;
    result->swaps_scored = true;
    how.scale = result->counts.kept_scale;
    how.expert_bytes = request->expert_bytes;
    how.horizon = request->horizon;
    how.routing_groups = (int)request->routing_groups;
    how.compute_ms = request->compute_ms / 1000;
    if (request->gamma > 0) how.gamma = (int)request->gamma;
    uint64_t *rows = malloc((size_t)result->topo->ranks * sizeof(*rows));
    if (rows == NULL) return command_fail("out of memory");
    for (int o = HM_SWAP_MAX; o <= HM_SWAP_LOG_SUM_EXP && rc == 0; o++) {
        how.objective = (hm_swap_objective_t)o;
        bool any = request->objective == HM_PLAN_OBJECTIVE_ANY;
        bool wanted = any ? o != HM_SWAP_LOG_SUM_EXP : o == request->objective;
        if (wanted) rc = objective_try(result, &how, rows, &most);
    }
    free(rows);
    if (rc == 0 && most <= 0) result->swap_note = "none gains more than moving it costs within the horizon";
    return rc;
}

/* Counts all tokens anew with experts at `rank`, and predicts by the table's own cost. */
static int placement_price(const hm_plan_job_t *job, int *rank, double *ms)
{
    hm_plan_traffic_t traffic;
    int rc = plan_traffic(job, rank, NULL, &traffic);
    if (rc != 0) return rc;
    *ms = traffic.cost.ms[job->result.swap_depth] + job->request.compute_ms / 1000 * traffic.rows_most;
    return 0;
}

int plan_swaps_price(hm_plan_job_t *job)
{
    hm_plan_result_t *result = &job->result;
    size_t bytes = (size_t)job->request.experts * sizeof(int);
    if (job->request.cost_model < HM_COST_LINKS || result->swap_count == 0) return 0;
    int *rank = malloc(bytes);
    if (rank == NULL) return command_fail("out of memory");
    memcpy(rank, result->placement.rank, bytes);
    double now = 0;
    int rc = placement_price(job, rank, &now);
    for (int i = 0; i < result->swap_count && rc == 0; i++) {
        hm_plan_swap_t *swap = &result->swap[i];
        int was = rank[swap->a];
        rank[swap->a] = rank[swap->b];
        rank[swap->b] = was;
        swap->before_ms = now;
        rc = placement_price(job, rank, &now);
        swap->after_ms = now;
    }
    free(rank);
    return rc;
}
