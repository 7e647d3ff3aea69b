/* Suggests swaps from the tokens that plan_count kept. */
#include "command.h"
#include "plan_command.h"
#include "swap.h"

#include <stdlib.h>
#include <string.h>

/* Swaps one after the other. */
typedef struct series {
    const plan_result_t *result;
    uint64_t *rows; /* [ranks] to count in */
    int count;
    plan_swap_t swap[PLAN_MAX_SWAPS];
} series_t;

hm_cost_model_t plan_swap_cost(const plan_options_t *options)
{
    return options->cost_model == HM_COST_PADDED_SLICED ? HM_COST_PADDED_SLICED : HM_COST_PADDED;
}

/* Rows chosen of the experts of the rank that has most of them. */
static double stats_rows_most(const plan_result_t *result, const hm_swap_stats_t *stats, uint64_t *rows)
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

/* The plan's time at its depth by true maxima, from statistics, with the compute of the busiest rank. */
static double stats_time(const series_t *series, const hm_swap_stats_t *stats)
{
    const plan_result_t *result = series->result;
    hm_cost_t cost;
    hm_hits_t hits = {.row_bytes = result->counts.hits.row_bytes, .raw = result->counts.hits.raw};
    for (int l = 1; l <= result->topo->levels; l++)
        for (int g = 0; g < result->topo->groups[l]; g++) {
            double rows = stats->p[l][g] * result->counts.kept_scale;
            if (rows > hits.level[l]) hits.level[l] = rows;
        }
    int slices = plan_swap_cost(result->options) == HM_COST_PADDED_SLICED ? (int)result->options->slices : 1;
    if (cost_predict_hits(result->topo, result->profile, &hits, slices, &cost) != 0) return 0;
    return cost.ms[result->swap_depth] +
           result->options->compute_ms / 1000 * stats_rows_most(result, stats, series->rows);
}

static int series_update(void *context, hm_swap_stats_t *stats, int a, int b)
{
    series_t *series = context;
    const plan_result_t *result = series->result;
    plan_swap_t *swap = &series->swap[series->count++];
    swap->before_ms = stats_time(series, stats);
    int rc = swap_stats_swap(stats, result->counts.ids, result->counts.kept, (int)result->options->top_k, a, b);
    swap->after_ms = stats_time(series, stats);
    return rc;
}

static const char *swaps_refuse(const plan_result_t *result)
{
    if (result->depth == 0) return "the call is best left alone";
    if (result->counts.ids == NULL) return "uniform routing: no expert is better placed elsewhere";
    if (result->placement.experts > PLAN_MAX_SWAP_EXPERTS) return "not scored above 1024 experts";
    if (result->options->top_k > HM_SWAP_MAX_TOPK) return "not scored above top-64";
    return NULL;
}

/* What an objective suggests, one swap after the other. */
static int series_choose(series_t *series, const hm_swap_options_t *how)
{
    const plan_result_t *result = series->result;
    const plan_options_t *options = result->options;
    hm_swap_choice_t choice[PLAN_MAX_SWAPS];
    hm_swap_stats_t *stats = NULL;
    hm_swap_t *swap = NULL;
    int rc = swap_stats_create(result->topo, &result->placement, &stats);
    if (rc == 0) rc = swap_stats_add(stats, result->counts.ids, result->counts.kept, (int)options->top_k, 1);
    if (rc == 0)
        rc = swap_create(result->topo, result->profile, &result->placement, result->counts.hits.row_bytes,
                         result->depth, how, &swap);
    int count = rc != 0 ? rc : swap_choose_several(swap, stats, series_update, series, (int)options->swaps, choice);
    for (int i = 0; i < count; i++) {
        series->swap[i].a = choice[i].a;
        series->swap[i].b = choice[i].b;
        series->swap[i].move_ms = choice[i].move_ms;
    }
    swap_destroy(swap);
    swap_stats_destroy(stats);
    return count < 0 ? count : 0;
}

/* Leaves of a series the swaps that together gain most of each all-to-all, what moving costs over the horizon taken
 * off: a smooth maximum may fall where the true one, which calls wait for, does not. Returns that gain. */
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

/* Takes what one objective suggests if it gains more than what was found before. */
static int objective_try(plan_result_t *result, const hm_swap_options_t *how, uint64_t *rows, double *most)
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

int plan_swaps(plan_result_t *result)
{
    const plan_options_t *options = result->options;
    hm_swap_options_t how = HM_SWAP_DEFAULTS;
    double most = 0;
    int rc = 0;
    result->swap_depth = result->depth;
    result->swap_note = swaps_refuse(result);
    if (result->swap_note != NULL || options->swaps == 0) return 0;
    result->swaps_scored = 1;
    how.scale = result->counts.kept_scale;
    how.expert_bytes = options->expert_bytes;
    how.horizon = options->horizon;
    how.routing_groups = (int)options->routing_groups;
    how.compute_ms = options->compute_ms / 1000;
    if (options->gamma > 0) how.gamma = (int)options->gamma;
    uint64_t *rows = malloc((size_t)result->topo->ranks * sizeof(*rows));
    if (rows == NULL) return command_fail("out of memory");
    for (int o = HM_SWAP_MAX; o <= HM_SWAP_LOG_SUM_EXP && rc == 0; o++) {
        how.objective = (hm_swap_objective_t)o;
        int wanted = options->objective == PLAN_OBJECTIVE_ANY ? o != HM_SWAP_LOG_SUM_EXP : o == options->objective;
        if (wanted) rc = objective_try(result, &how, rows, &most);
    }
    free(rows);
    if (rc == 0 && most <= 0) result->swap_note = "none gains more than moving it costs within the horizon";
    return rc;
}
