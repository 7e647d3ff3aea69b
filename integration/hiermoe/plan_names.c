#include "experts/swap.h"
#include "plan_command.h"

#include <string.h>

static const char *const costs[] = {[HM_COST_PADDED] = "padded",
                                    [HM_COST_PADDED_SLICED] = "padded-sliced",
                                    [HM_COST_LINKS] = "links",
                                    [HM_COST_LINKS_SLICED] = "links-sliced"};

static const char *const objectives[] = {
    [HM_SWAP_MAX] = "max", [HM_SWAP_SMOOTH_MAX] = "smooth", [HM_SWAP_LOG_SUM_EXP] = "lse"};

static int name_find(const char *const *names, int count, const char *name)
{
    int i = 0;
    while (i < count && strcmp(names[i], name) != 0) i++;
    return i < count ? i : -1;
}

const char *plan_cost_name(hm_cost_model_t model)
{
    return costs[model];
}

const char *plan_objective_name(int objective)
{
    return objectives[objective];
}

int plan_cost_find(const char *name)
{
    return name_find(costs, sizeof(costs) / sizeof(costs[0]), name);
}

int plan_objective_find(const char *name)
{
    return name_find(objectives, sizeof(objectives) / sizeof(objectives[0]), name);
}
