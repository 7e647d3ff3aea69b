#include "plan.h"

#include <errno.h>
#include <math.h>

/* Without a profile: a byte between outermost groups weighs this many times one further in, and a replaced call must
 * save this share of the weighted rows to be worth its agreement and its kernels. */
#define OUTER_WEIGHT 8.0
#define WORTHWHILE 0.8

/* Rows that leave their source's own group at a level, one copy per group of that level hit. */
static double rows_leaving(const hm_topo_t *topo, const uint32_t *rows, int level)
{
    double sum = 0;
    for (int s = 0; s < topo->ranks; s++)
        for (int g = 0; g < topo->groups[level]; g++)
            if (g != topo->group[level][s]) sum += rows[(size_t)s * (size_t)topo->groups[level] + (size_t)g];
    return sum;
}

/* Rows between ranks of different outermost groups, counted per rank. */
static double rows_across(const hm_topo_t *topo, const uint32_t *rows)
{
    double sum = 0;
    for (int s = 0; s < topo->ranks; s++)
        for (int r = 0; r < topo->ranks; r++)
            if (topo->group[1][r] != topo->group[1][s]) sum += rows[(size_t)s * (size_t)topo->ranks + (size_t)r];
    return sum;
}

/* Weighted rows of a flat exchange of `rows` (raw, or distinct per rank). */
static double weigh_flat(const hm_topo_t *topo, const uint32_t *rows)
{
    double all = rows_leaving(topo, rows, topo->levels);
    double across = topo->levels > 1 ? rows_across(topo, rows) : 0;
    return all - across + OUTER_WEIGHT * across;
}

/* Weighted rows at depth d > 1: one copy per outermost group, then all copies per rank further in. */
static double weigh_deep(const hm_topo_t *topo, const hm_table_t *table)
{
    return rows_leaving(topo, table->distinct[topo->levels], topo->levels) +
           OUTER_WEIGHT * rows_leaving(topo, table->distinct[1], 1);
}

static int depth_by_rule(const hm_topo_t *topo, const hm_table_t *table)
{
    double raw = weigh_flat(topo, table->raw), flat = weigh_flat(topo, table->distinct[topo->levels]);
    double deep = topo->levels > 1 ? weigh_deep(topo, table) : INFINITY;
    if (flat <= deep) return flat < WORTHWHILE * raw ? 1 : 0;
    return deep < WORTHWHILE * raw ? topo->levels : 0;
}

int plan_choose(const hm_topo_t *topo, const struct hm_profile *profile, const hm_table_t *table, int force_depth,
                hm_plan_t *plan)
{
    (void)profile;
    for (int d = 0; d <= HM_MAX_LEVELS; d++) plan->predicted_ms[d] = NAN;
    if (force_depth >= 0) {
        plan->depth = force_depth < topo->levels ? force_depth : topo->levels;
    } else {
        plan->depth = depth_by_rule(topo, table);
    }
    return 0;
}
