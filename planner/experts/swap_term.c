#include "swap_term.h"

static void term_order(hm_swap_term_t *term, int groups)
{
    for (int i = 0; i < 3; i++) {
        int best = -1;
        for (int g = 0; g < groups; g++) {
            if ((i > 0 && g == term->first[0]) || (i > 1 && g == term->first[1])) continue;
            if (best < 0 || term->load[g] > term->load[best]) best = g;
        }
        term->first[i] = best;
    }
}

void swap_term_prepare(hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats)
{
    int groups = stats->groups[term->level];
    for (int e = 0; e < stats->experts; e++) term->home[e] = stats->group[term->level][e];
    for (int g = 0; g < groups; g++) term->load[g] = term->compute ? 0 : stats->p[term->level][g];
    if (term->compute)
        for (int e = 0; e < stats->experts; e++) term->load[stats->group[term->level][e]] += stats->cnt[e];
    term_order(term, groups);
    term->top = term->load[term->first[0]] > 0 ? term->load[term->first[0]] : 1;
    term->base = 0;
    if (shape->objective == HM_SWAP_MAX) return;
    for (int g = 0; g < groups; g++) {
        term->weight[g] = swap_shape_weigh(shape, term->load[g] / term->top);
        term->base += term->weight[g];
    }
}

static double rows_after(const hm_swap_term_t *term, const hm_swap_stats_t *stats, int a, int b)
{
    if (!term->compute) return (double)swap_stats_hits(stats, term->level, a, b);
    return term->load[stats->group[term->level][a]] - stats->cnt[a] + stats->cnt[b];
}

static double max3(double x, double y, double z)
{
    double most = x > y ? x : y;
    return most > z ? most : z;
}

double swap_term_maximum(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats, int a,
                         int b)
{
    int ga = stats->group[term->level][a], gb = stats->group[term->level][b];
    if (shape->objective == HM_SWAP_MAX) {
        if (ga == gb) return term->load[term->first[0]];
        return max3(swap_term_others(term, ga, gb), rows_after(term, stats, a, b), rows_after(term, stats, b, a));
    }
    if (ga == gb) return term->top * swap_shape_exact(shape, term->base);
    /* Summed anew rather than base less two weights: nothing cancels. */
    double sum = 0;
    for (int g = 0; g < stats->groups[term->level]; g++) {
        double rows = g == ga ? rows_after(term, stats, a, b) : rows_after(term, stats, b, a);
        sum += g == ga || g == gb ? swap_shape_weigh(shape, rows / term->top) : term->weight[g];
    }
    return term->top * swap_shape_exact(shape, sum);
}
