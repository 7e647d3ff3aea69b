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

/* The most rows, as one rank's, that a wire between the groups of a level carries. The fit had all ranks of a group
 * busy alike; where they share a wire, a rank that is busier than its neighbours only pays `alone` of the fitted time
 * for what it has, and the group pays for its mean. rows: [2 * ranks] sent, received. */
static double busiest(const hm_topo_t *topo, int level, const double *rows, double alone)
{
    double most = 0;
    for (int way = 0; way < 2; way++, rows += topo->ranks) {
        for (int g = 0; g < topo->groups[level]; g++) {
            double sum = 0;
            for (int p = topo->start[level][g]; p < topo->start[level][g + 1]; p++) {
                double one = rows[topo->order[p]];
                sum += one;
                if (one * alone > most) most = one * alone;
            }
            sum /= topo_group_size(topo, level, g);
            if (sum > most) most = sum;
        }
    }
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
            int last = used == depth - 1, level = last ? topo->levels : used + 1;
            double most = busiest(topo, level, kind, last ? 1 : profile_alone(profile, map, level));
            if (most <= 0) continue;
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
    double alone = topo->levels > 1 ? profile_alone(profile, map, 1) : 1;
    double out = busiest(topo, 1, rows, alone) * (double)row_bytes * cost_links_beta(flat, topo->groups[1]);
    double in = 0;
    if (topo->levels > 1)
        in = busiest(topo, topo->levels, rows + 2 * ranks, 1) * (double)row_bytes *
             cost_links_beta(profile_intra(profile, map, 1), (double)topo->ranks / topo->groups[1]);
    return flat->alpha_ms + (out > in ? out : in);
}

/* What comes on top because of us, for the busiest rank: rows looked at, written to messages, written to the receive
 * buffer. kinds: blocks of 2 * ranks counts as in cost_links_count; work: as many doubles as ranks. */
static double depth_extra(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table,
                          const double *rows, size_t kinds, double *work)
{
    size_t ranks = (size_t)topo->ranks;
    double looked = 0, written = 0;
    memset(work, 0, ranks * sizeof(*work));
    for (size_t s = 0; s < ranks; s++) {
        double sent = 0;
        for (size_t r = 0; r < ranks; r++) {
            sent += table->raw[s * ranks + r];
            work[r] += table->raw[s * ranks + r];
        }
        if (sent > looked) looked = sent;
    }
    for (size_t r = 0; r < ranks; r++) {
        for (size_t k = 0; k < kinds; k++) work[r] += rows[k * 2 * ranks + r];
        if (work[r] > written) written = work[r];
    }
    return profile->agree_ms + (profile->identify_ms * looked + profile->pack_ms * written) * (double)table->row_bytes;
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
    cost->extra_ms[1] = depth_extra(topo, profile, table, rows, 2, (double *)(void *)carrier);
    for (int d = 2; d <= topo->levels; d++) {
        cost_links_count(topo, table, d, rows, carrier);
        cost->ms[d] = depth_time(topo, profile, map, rows, table->row_bytes, d, slices);
        cost->extra_ms[d] = depth_extra(topo, profile, table, rows, (size_t)(d * d), (double *)(void *)carrier);
    }
    if (memory == NULL) free(rows);
    return 0;
}
