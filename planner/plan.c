#include "plan.h"

#include "cost.h"

#include <math.h>

size_t plan_memory(int ranks)
{
    /* What cost_memory says for the most levels there can be. */
    return (2 * (size_t)HM_MAX_LEVELS * HM_MAX_LEVELS + 1) * (size_t)ranks;
}

void plan_choose(const hm_topo_t *topo, const struct hm_profile *profile, const hm_table_t *table, int force_depth,
                 const double *factor, double *memory, hm_plan_t *plan)
{
    hm_cost_t cost;
    hm_cost_options_t options = {.model = HM_COST_LINKS, .slices = 1, .memory = memory};
    *plan = (hm_plan_t){.depth = 0};
    for (int d = 0; d <= HM_MAX_LEVELS; d++) plan->predicted_ms[d] = plan->model_ms[d] = NAN;
    if (profile != NULL && cost_predict(topo, profile, table, &options, &cost) == 0) {
        for (int d = 0; d <= cost.levels; d++) {
            plan->model_ms[d] = cost.ms[d] + cost.extra_ms[d];
            if (factor != NULL) {
                cost.ms[d] *= factor[d];
                cost.extra_ms[d] *= factor[d];
            }
            plan->predicted_ms[d] = cost.ms[d] + cost.extra_ms[d];
        }
        plan->depth = cost_depth_choose(&cost);
    }
    if (force_depth >= 0) plan->depth = force_depth < topo->levels ? force_depth : topo->levels;
}
