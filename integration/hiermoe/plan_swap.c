/* Suggests swaps from the tokens that plan_count kept. */
#include "command.h"
#include "plan_command.h"
#include "swap.h"

#include <string.h>

/* Swaps one after the other. */
typedef struct series {
    const plan_result_t *result;
    int count;
    plan_swap_t swap[PLAN_MAX_SWAPS];
} series_t;

/* The plan's time at its depth by true maxima, from statistics. */
static double stats_time(const plan_result_t *result, const hm_swap_stats_t *stats)
{
    hm_cost_t cost;
    hm_hits_t hits = {.row_bytes = result->counts.hits.row_bytes, .raw = result->counts.hits.raw};
    for (int l = 1; l <= result->topo->levels; l++)
        for (int g = 0; g < result->topo->groups[l]; g++) {
            double rows = stats->p[l][g] * result->counts.kept_scale;
            if (rows > hits.level[l]) hits.level[l] = rows;
        }
    int slices = result->options->cost_model == HM_COST_PADDED_SLICED ? (int)result->options->slices : 1;
    if (cost_predict_hits(result->topo, result->profile, &hits, slices, &cost) != 0) return 0;
    return cost.ms[result->swap_depth];
}

static int series_update(void *context, hm_swap_stats_t *stats, int a, int b)
{
    series_t *series = context;
    const plan_result_t *result = series->result;
    plan_swap_t *swap = &series->swap[series->count++];
    swap->before_ms = stats_time(result, stats);
    int rc = swap_stats_swap(stats, result->counts.ids, result->counts.kept, (int)result->options->top_k, a, b);
    swap->after_ms = stats_time(result, stats);
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

int plan_swaps(plan_result_t *result)
{
    static const hm_swap_objective_t objectives[] = {HM_SWAP_MAX, HM_SWAP_SMOOTH_MAX};
    const plan_options_t *options = result->options;
    hm_swap_options_t how = HM_SWAP_DEFAULTS;
    double most = 0;
    result->swap_depth = result->depth;
    result->swap_note = swaps_refuse(result);
    if (result->swap_note != NULL || options->swaps == 0) return 0;
    how.scale = result->counts.kept_scale;
    how.expert_bytes = options->expert_bytes;
    how.horizon = options->horizon;
    if (options->trace_path == NULL && options->routing.kind == HM_ROUTING_GROUP)
        how.routing_groups = options->routing.groups;
    for (size_t i = 0; i < sizeof(objectives) / sizeof(objectives[0]); i++) {
        series_t series = {.result = result};
        how.objective = objectives[i];
        int rc = series_choose(&series, &how);
        if (rc != 0) return command_fail("swaps: %s", strerror(-rc));
        double gain = series_cut(&series, options->horizon);
        if (gain <= most) continue;
        most = gain;
        result->swap_count = series.count;
        memcpy(result->swap, series.swap, sizeof(series.swap));
    }
    if (most <= 0) result->swap_note = "none gains more than moving it costs within the horizon";
    return 0;
}
