#include "traffic.h"

#include "message.h"

#include <string.h>

/* One lane of a call. */
typedef struct lane {
    int lane, lanes;
    bool heads;   /* messages have them */
    double width; /* bytes of every row that go in it */
} lane_t;

/* What a message carries for one source and one rank, a group by itself: rows and, where raw is not 0, their map. */
static inline double leaf_bytes(uint32_t rows, uint32_t raw, double width)
{
    if (rows == 0) return 0;
    return (double)rows * width + (double)message_maps_bytes(raw);
}

/* Whether a lane carries a source's maps for all ranks of the group of `member` (paths_map_here): inside the source's
 * own outermost group the first lane does. In other groups a lane carries the map of its gateway alone. */
static bool maps_here(const hm_topo_t *topo, const lane_t *lane, int source, int member)
{
    return lane->lanes == 1 || (lane->lane == 0 && topo->group[1][source] == topo->group[1][member]);
}

/* The same for one source and a group of a level, sent to its rank `to`: rows and the head before them. */
static double group_bytes(const hm_topo_t *topo, const hm_table_t *table, const lane_t *lane, int source, int level,
                          int group, int to)
{
    size_t rows = table_distinct(topo, table, source, level, group), raw = 0;
    if (rows == 0 || !lane->heads) return (double)rows * lane->width;
    if (maps_here(topo, lane, source, to))
        raw = table_raw_group(topo, table, source, level, group);
    else if (level == 1)
        raw = table_raw(topo, table, source, to);
    return (double)rows * lane->width + (double)message_head_bytes(rows, raw, topo_group_size(topo, level, group));
}

/* Counting one source's messages. */
typedef struct count {
    const hm_topo_t *topo;
    const hm_table_t *table;
    int source, depth;
    bool heads;
    double *bytes; /* as in traffic_deep */
    int *carrier;  /* [groups of the level before] the rank that holds the source's rows for a group */
    int *held;     /* [groups] since the end of this step */
    double *part;  /* [step * ranks + rank] several lanes: bytes of each row that a rank holds since a step */
} count_t;

/* [ranks] bytes sent in a step at a used level, both from 0; followed by [ranks] bytes received. */
static double *kind_at(const count_t *count, int step, int level)
{
    return count->bytes + (size_t)(step * count->depth + level) * 2 * (size_t)count->topo->ranks;
}

/* Follows one source's rows down the levels in a lane, to the rank that then holds them for each group of level
 * depth - 1. Goes through groups backwards: a level has at least as many as the one above, and the parent's entry must
 * be read before it is overwritten. */
static void groups_count(const count_t *count, const lane_t *lane)
{
    const hm_topo_t *topo = count->topo;
    int *carrier = count->carrier, *held = count->held;
    carrier[0] = count->source;
    held[0] = 0;
    for (int above = 0; above < count->depth - 1; above++) {
        int level = above + 1;
        for (int g = topo->groups[level] - 1; g >= 0; g--) {
            int parent = topo->group[above][topo->order[topo->start[level][g]]];
            int from = carrier[parent], step = held[parent];
            if (topo->group[level][from] != g) {
                int to = topo_lane_peer(topo, level, g, from, level == 1 ? lane->lane : 0);
                double *sent = kind_at(count, step, above), *received = sent + topo->ranks;
                double share = group_bytes(topo, count->table, lane, count->source, level, g, to);
                sent[from] += share;
                received[to] += share;
                from = to;
                step++;
            }
            carrier[g] = from;
            held[g] = step;
        }
    }
}

/* From the one rank that holds a source's rows for a group, with their maps, to the group's other ranks. */
static void leaves_count(const count_t *count, int group)
{
    const hm_topo_t *topo = count->topo;
    size_t ranks = (size_t)topo->ranks, source = (size_t)count->source;
    const uint32_t *raw = count->table->raw + source * ranks;
    const uint32_t *distinct = count->table->distinct[topo->levels] + source * ranks; /* by position */
    double width = (double)count->table->row_bytes, sum = 0;
    int above = count->depth - 1, carrier = count->carrier[group];
    double *sent = kind_at(count, count->held[group], above), *received = sent + ranks;
    for (int p = topo->start[above][group]; p < topo->start[above][group + 1]; p++) {
        int rank = topo->order[p];
        double share = rank == carrier ? 0 : leaf_bytes(distinct[p], count->heads ? raw[rank] : 0, width);
        received[rank] += share;
        sum += share;
    }
    sent[carrier] += sum;
}

/* The same where each rank of a group holds the rows of other lanes, and all have their maps: each sends its part of
 * the rows to all others. Clears `part` for the group. */
static void parts_count(const count_t *count, int group)
{
    const hm_topo_t *topo = count->topo;
    size_t ranks = (size_t)topo->ranks;
    const uint32_t *distinct = count->table->distinct[topo->levels] + (size_t)count->source * ranks;
    int above = count->depth - 1, first = topo->start[above][group], end = topo->start[above][group + 1];
    double rows = 0;
    for (int p = first; p < end; p++) rows += distinct[p];
    for (int step = 1; step < count->depth; step++) {
        double *part = count->part + (size_t)step * ranks, all = 0;
        double *sent = kind_at(count, step, above), *received = sent + ranks;
        for (int p = first; p < end; p++) all += part[topo->order[p]];
        for (int p = first; all > 0 && p < end; p++) {
            int rank = topo->order[p];
            sent[rank] += part[rank] * (rows - distinct[p]);
            received[rank] += (all - part[rank]) * distinct[p];
            part[rank] = 0;
        }
    }
}

/* Whether a group of level depth - 1 lies in the source's outermost group, where all lanes take the same way. */
static bool group_near(const count_t *count, int group)
{
    const hm_topo_t *topo = count->topo;
    int above = count->depth - 1;
    return topo->group[1][topo->order[topo->start[above][group]]] == topo->group[1][count->source];
}

static void source_count(const count_t *count, const lane_t *lane, int lanes)
{
    int groups = count->topo->groups[count->depth - 1];
    for (int l = 0; l < lanes; l++) {
        groups_count(count, &lane[l]);
        for (int g = 0; g < groups && lanes > 1; g++)
            if (!group_near(count, g))
                count->part[count->held[g] * count->topo->ranks + count->carrier[g]] += lane[l].width;
    }
    for (int g = 0; g < groups; g++) {
        if (lanes == 1 || group_near(count, g))
            leaves_count(count, g);
        else
            parts_count(count, g);
    }
}

size_t traffic_scratch(const hm_topo_t *topo, int depth)
{
    return ((size_t)depth + 1) * (size_t)topo->ranks; /* part, and two ints for each rank */
}

static void deep_count(const hm_topo_t *topo, const hm_table_t *table, int depth, int lanes, size_t width, bool heads,
                       double *bytes, double *scratch)
{
    size_t ranks = (size_t)topo->ranks, each = (size_t)depth * ranks;
    lane_t lane[HM_MAX_LANES];
    int *carrier = (int *)(scratch + each);
    count_t count = {.topo = topo, .table = table, .depth = depth, .heads = heads, .bytes = bytes, .part = scratch};
    count.carrier = carrier;
    count.held = carrier + ranks;
    memset(bytes, 0, 2 * (size_t)depth * each * sizeof *bytes);
    memset(scratch, 0, each * sizeof *scratch);
    for (int l = 0; l < lanes; l++)
        lane[l] = (lane_t){l, lanes, heads, (double)message_lane_bytes(table->row_bytes, width, lanes, l)};
    for (count.source = 0; count.source < topo->ranks; count.source++) source_count(&count, lane, lanes);
}

void traffic_deep(const hm_topo_t *topo, const hm_table_t *table, int depth, int lanes, size_t width, double *bytes,
                  double *scratch)
{
    deep_count(topo, table, depth, lanes, width, true, bytes, scratch);
}

static void counts_swap(double *one, double *other, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double kept = one[i];
        one[i] = other[i];
        other[i] = kept;
    }
}

/* In blocks of [ranks] sent and [ranks] received. */
static void ways_turn(double *bytes, size_t blocks, size_t ranks)
{
    for (size_t b = 0; b < blocks; b++) counts_swap(bytes + 2 * b * ranks, bytes + (2 * b + 1) * ranks, ranks);
}

void traffic_deep_kept(const hm_topo_t *topo, const hm_table_t *table, int depth, int lanes, size_t width, bool back,
                       double *bytes, double *scratch)
{
    size_t ranks = (size_t)topo->ranks, each = 2 * (size_t)depth * ranks;
    deep_count(topo, table, depth, lanes, width, false, bytes, scratch);
    if (!back) return;
    for (int step = 0; step < depth / 2; step++)
        counts_swap(bytes + (size_t)step * each, bytes + (size_t)(depth - 1 - step) * each, each);
    ways_turn(bytes, (size_t)(depth * depth), ranks);
}

static void flat_count(const hm_topo_t *topo, const hm_table_t *table, bool messages, bool heads, double *bytes)
{
    size_t ranks = (size_t)topo->ranks;
    double width = (double)table->row_bytes;
    memset(bytes, 0, 4 * ranks * sizeof *bytes);
    for (size_t s = 0; s < ranks; s++) {
        const uint32_t *raw = table->raw + s * ranks, *distinct = table->distinct[topo->levels] + s * ranks;
        for (int g = 0; g < topo->groups[1]; g++) {
            bool inside = topo->group[1][s] == g;
            double *sent = bytes + (inside ? 2 * ranks : 0), *received = sent + ranks, sum = 0;
            for (int p = topo->start[1][g]; p < topo->start[1][g + 1]; p++) {
                int rank = topo->order[p];
                double share =
                    messages ? leaf_bytes(distinct[p], heads ? raw[rank] : 0, width) : (double)raw[rank] * width;
                if (rank == (int)s) share = 0;
                received[rank] += share;
                sum += share;
            }
            sent[s] += sum;
        }
    }
}

void traffic_flat(const hm_topo_t *topo, const hm_table_t *table, bool messages, double *bytes)
{
    flat_count(topo, table, messages, true, bytes);
}

void traffic_flat_kept(const hm_topo_t *topo, const hm_table_t *table, bool messages, bool back, double *bytes)
{
    flat_count(topo, table, messages, false, bytes);
    if (back) ways_turn(bytes, 2, (size_t)topo->ranks);
}
