#include "plan.h"

#include "cost.h"

#include <math.h>

#define PLAN_SLICE_BYTES ((uint64_t)256 << 10) /* that a rank sends to other outermost groups in a slice, at least */

size_t plan_memory(int ranks)
{
    /* What cost_memory says for the most levels there can be. */
    return (2 * (size_t)HM_MAX_LEVELS * HM_MAX_LEVELS + HM_MAX_LEVELS + 2) * (size_t)ranks;
}

int plan_slices_of(uint64_t bytes, int most)
{
    uint64_t full = bytes / PLAN_SLICE_BYTES;
    return full < 1 ? 1 : full < (uint64_t)most ? (int)full : most;
}

int plan_slices(const hm_topo_t *topo, const hm_table_t *table, int depth, const hm_plan_options_t *options)
{
    uint64_t most = 0;
    if (options->force_slices > 0) return options->force_slices;
    if (depth < 2) return 1;
    for (int s = 0; s < topo->ranks; s++) {
        uint64_t rows = 0;
        for (int g = 0; g < topo->groups[1]; g++)
            if (g != topo->group[1][s]) rows += table->distinct[1][s * topo->groups[1] + g];
        if (rows > most) most = rows;
    }
    return plan_slices_of(most * table->row_bytes, options->most_slices);
}

void plan_choose(const hm_topo_t *topo, const struct hm_profile *profile, const hm_table_t *table,
                 const hm_plan_options_t *options, double *memory, hm_plan_t *plan)
{
    hm_cost_t cost;
    int slices[HM_MAX_LEVELS + 1] = {1};
    for (int d = 1; d <= topo->levels; d++) slices[d] = plan_slices(topo, table, d, options);
    hm_cost_options_t how = {.model = HM_COST_LINKS_SLICED,
                             .slices = 1,
                             .slices_at = slices,
                             .lanes = options->lanes,
                             .own_beside = options->own_beside,
                             .memory = memory};
    *plan = (hm_plan_t){.depth = 0};
    for (int d = 0; d <= HM_MAX_LEVELS; d++) plan->predicted_ms[d] = NAN;
    if (profile != NULL && cost_predict(topo, profile, table, &how, &cost) == 0) {
        for (int d = 0; d <= cost.levels; d++) plan->predicted_ms[d] = cost.ms[d] + cost.extra_ms[d];
        plan->depth = cost_depth_choose(&cost);
        plan->copies = cost.copies;
    } else {
        hm_hits_t hits;
        cost_hits(topo, table, &hits);
        plan->copies = hits.copies;
    }
    int force = options->force_depth;
    if (force >= 0) plan->depth = force < topo->levels ? force : topo->levels;
}
