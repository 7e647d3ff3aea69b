#include "cost_links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Doubles that the counts of all depths fit in; the flat exchange takes 4 for each rank. */
static size_t links_rows(const hm_topo_t *topo)
{
    size_t depth = (size_t)topo->levels, kinds = 2 * depth * depth;
    return (kinds > 4 ? kinds : 4) * (size_t)topo->ranks;
}

size_t cost_memory(const hm_topo_t *topo, hm_cost_model_t model)
{
    if (model != HM_COST_LINKS && model != HM_COST_LINKS_SLICED) return 0;
    return links_rows(topo) + (size_t)topo->ranks; /* the carriers are two ints for each rank */
}

/* One source's rows come down the levels: carrier[g] is the rank that holds those for group g of the level before,
 * since the end of step held[g]. Groups are gone through backwards, because a level has at least as many as the one
 * above: the parent's entry must be read before its place is written. */
static void source_count(const hm_topo_t *topo, const hm_table_t *table, int source, int depth, double *rows,
                         int *carrier, int *held)
{
    size_t ranks = (size_t)topo->ranks;
    carrier[0] = source;
    held[0] = 0;
    for (int used = 0; used < depth; used++) {
        int above = used, level = used + 1 < depth ? used + 1 : topo->levels;
        const uint32_t *distinct = table->distinct[level] + (size_t)source * (size_t)topo->groups[level];
        for (int g = topo->groups[level] - 1; g >= 0; g--) {
            int parent = topo->group[above][topo->order[topo->start[level][g]]];
            int from = carrier[parent], step = held[parent];
            if (topo->group[level][from] != g) {
                int to = topo_rail_peer(topo, level, g, from);
                double *kind = rows + (size_t)(step * depth + used) * 2 * ranks;
                kind[from] += distinct[g];
                kind[ranks + (size_t)to] += distinct[g];
                from = to;
                step++;
            }
            carrier[g] = from;
            held[g] = step;
        }
    }
}

void cost_links_count(const hm_topo_t *topo, const hm_table_t *table, int depth, double *rows, int *carrier)
{
    memset(rows, 0, 2 * (size_t)depth * (size_t)depth * (size_t)topo->ranks * sizeof(*rows));
    for (int s = 0; s < topo->ranks; s++) source_count(topo, table, s, depth, rows, carrier, carrier + topo->ranks);
}

static double busiest(const double *rows, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        if (rows[i] > most) most = rows[i];
    return most;
}

/* Time of the steps: kinds of link work side by side within a step, steps follow each other. */
static double depth_time(const hm_topo_t *topo, const hm_profile_t *profile, const int *map, const double *rows,
                         size_t row_bytes, int depth, int slices)
{
    double sum = 0, longest = 0;
    for (int step = 0; step < depth; step++) {
        double slowest = 0;
        for (int used = 0; used < depth; used++) {
            const double *kind = rows + (size_t)(step * depth + used) * 2 * (size_t)topo->ranks;
            double most = busiest(kind, 2 * (size_t)topo->ranks);
            if (most <= 0) continue;
            int last = used == depth - 1, level = last ? topo->levels : used + 1;
            const hm_link_t *link = last ? profile_intra(profile, map, used) : profile_inter(profile, map, used + 1);
            double peers = (double)topo->groups[level] / topo->groups[used];
            double ms = link->alpha_ms + most * (double)row_bytes * cost_links_beta(link, peers) / slices;
            if (ms > slowest) slowest = ms;
        }
        sum += slowest;
        if (slowest > longest) longest = slowest;
    }
    return sum + (slices - 1) * longest;
}

/* The flat exchange: rows that leave the outermost group take the measured flat speed, the others that of the inside.
 */
static double flat_time(const hm_topo_t *topo, const hm_profile_t *profile, const int *map, const uint32_t *table_rows,
                        size_t row_bytes, double *rows)
{
    size_t ranks = (size_t)topo->ranks;
    memset(rows, 0, 4 * ranks * sizeof(*rows));
    for (size_t s = 0; s < ranks; s++)
        for (size_t r = 0; r < ranks; r++) {
            if (s == r) continue;
            double *kind = topo->group[1][s] != topo->group[1][r] ? rows : rows + 2 * ranks;
            kind[s] += table_rows[s * ranks + r];
            kind[ranks + r] += table_rows[s * ranks + r];
        }
    const hm_link_t *flat = profile_intra(profile, map, 0);
    double out = busiest(rows, 2 * ranks) * (double)row_bytes * cost_links_beta(flat, topo->groups[1]);
    double in = 0;
    if (topo->levels > 1)
        in = busiest(rows + 2 * ranks, 2 * ranks) * (double)row_bytes *
             cost_links_beta(profile_intra(profile, map, 1), (double)topo->ranks / topo->groups[1]);
    return flat->alpha_ms + (out > in ? out : in);
}

int cost_links_predict(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table, int slices,
                       double *memory, hm_cost_t *cost)
{
    int map[HM_MAX_LEVELS + 1];
    double *rows = memory != NULL ? memory : malloc(cost_memory(topo, HM_COST_LINKS) * sizeof(*rows));
    if (rows == NULL) return -ENOMEM;
    int *carrier = (int *)(rows + links_rows(topo));
    profile_map(profile, topo, map);
    cost->ms[0] = flat_time(topo, profile, map, table->raw, table->row_bytes, rows);
    cost->ms[1] = flat_time(topo, profile, map, table->distinct[topo->levels], table->row_bytes, rows);
    for (int d = 2; d <= topo->levels; d++) {
        cost_links_count(topo, table, d, rows, carrier);
        cost->ms[d] = depth_time(topo, profile, map, rows, table->row_bytes, d, slices);
    }
    if (memory == NULL) free(rows);
    return 0;
}
