#include "traffic.h"

#include "message.h"

#include <string.h>

/* What a message carries for one source and one rank: rows and their map. */
static inline double leaf_bytes(const hm_table_t *table, const uint32_t *raw, const uint32_t *distinct, int rank,
                                int group)
{
    if (distinct[group] == 0) return 0;
    return (double)distinct[group] * (double)table->row_bytes + (double)message_maps_bytes(raw[rank]);
}

/* The same for one source and one group: rows and the head before them. */
static double share_bytes(const hm_topo_t *topo, const hm_table_t *table, int source, int level, int group)
{
    size_t rows = table_distinct(topo, table, source, level, group);
    if (rows == 0) return 0;
    size_t raw = table_raw_group(topo, table, source, level, group);
    return (double)rows * (double)table->row_bytes +
           (double)message_head_bytes(rows, raw, topo_group_size(topo, level, group));
}

/* From whoever holds a source's rows for a group to the group's other ranks. Groups of the last level are ranks,
 * numbered by position. */
static void leaves_count(const hm_topo_t *topo, const hm_table_t *table, int source, int depth, double *bytes,
                         const int *carrier, const int *held)
{
    size_t ranks = (size_t)topo->ranks;
    const uint32_t *raw = table->raw + (size_t)source * ranks;
    const uint32_t *distinct = table->distinct[topo->levels] + (size_t)source * ranks;
    int above = depth - 1;
    for (int g = 0; g < topo->groups[above]; g++) {
        double *sent = bytes + (size_t)(held[g] * depth + above) * 2 * ranks, *received = sent + ranks, sum = 0;
        for (int p = topo->start[above][g]; p < topo->start[above][g + 1]; p++) {
            int rank = topo->order[p];
            double share = rank == carrier[g] ? 0 : leaf_bytes(table, raw, distinct, rank, p);
            received[rank] += share;
            sum += share;
        }
        sent[carrier[g]] += sum;
    }
}

/* One source's rows come down the levels: carrier[g] is the rank that holds those for group g of the level before,
 * since the end of step held[g]. Groups are gone through backwards, because a level has at least as many as the one
 * above: the parent's entry must be read before its place is written. */
static void source_count(const hm_topo_t *topo, const hm_table_t *table, int source, int depth, double *bytes,
                         int *carrier, int *held)
{
    size_t ranks = (size_t)topo->ranks;
    carrier[0] = source;
    held[0] = 0;
    for (int above = 0; above < depth - 1; above++) {
        int level = above + 1;
        for (int g = topo->groups[level] - 1; g >= 0; g--) {
            int parent = topo->group[above][topo->order[topo->start[level][g]]];
            int from = carrier[parent], step = held[parent];
            if (topo->group[level][from] != g) {
                int to = topo_rail_peer(topo, level, g, from);
                double *kind = bytes + (size_t)(step * depth + above) * 2 * ranks;
                double share = share_bytes(topo, table, source, level, g);
                kind[from] += share;
                kind[ranks + (size_t)to] += share;
                from = to;
                step++;
            }
            carrier[g] = from;
            held[g] = step;
        }
    }
    leaves_count(topo, table, source, depth, bytes, carrier, held);
}

void traffic_deep(const hm_topo_t *topo, const hm_table_t *table, int depth, double *bytes, int *carrier)
{
    memset(bytes, 0, 2 * (size_t)depth * (size_t)depth * (size_t)topo->ranks * sizeof(*bytes));
    for (int s = 0; s < topo->ranks; s++) source_count(topo, table, s, depth, bytes, carrier, carrier + topo->ranks);
}

/* Bytes of the flat exchange, of plain rows or of messages with heads: [0, ranks) sent to other outermost groups, then
 * received from them, then the same inside groups. */
void traffic_flat(const hm_topo_t *topo, const hm_table_t *table, bool messages, double *bytes)
{
    size_t ranks = (size_t)topo->ranks;
    memset(bytes, 0, 4 * ranks * sizeof(*bytes));
    for (size_t s = 0; s < ranks; s++) {
        const uint32_t *raw = table->raw + s * ranks, *distinct = table->distinct[topo->levels] + s * ranks;
        for (int g = 0; g < topo->groups[1]; g++) {
            bool inside = topo->group[1][s] == g;
            double *sent = bytes + (inside ? 2 * ranks : 0), *received = sent + ranks, sum = 0;
            for (int p = topo->start[1][g]; p < topo->start[1][g + 1]; p++) {
                int rank = topo->order[p];
                double share =
                    messages ? leaf_bytes(table, raw, distinct, rank, p) : (double)raw[rank] * (double)table->row_bytes;
                if (rank == (int)s) share = 0;
                received[rank] += share;
                sum += share;
            }
            sent[s] += sum;
        }
    }
}
