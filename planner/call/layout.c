#include "layout.h"

#include <stdbool.h>

/* Distinct rows of `source` for the group of `rank` at a used level. */
static uint32_t path_rows(const hm_paths_t *paths, const hm_table_t *table, int source, int rank, int level)
{
    int l = paths->level[level];
    return table_distinct(paths->topo, table, source, l, paths->topo->group[l][rank]);
}

/* Raw rows of a source for the ranks at positions [first, first + count) whose maps go in this lane. */
static size_t rows_mapped(const hm_paths_t *paths, const hm_table_t *table, int source, int first, int count)
{
    size_t rows = 0;
    for (int p = first; p < first + count; p++) {
        int rank = paths->topo->order[p];
        if (paths_map_here(paths, source, rank)) rows += table_raw(paths->topo, table, source, rank);
    }
    return rows;
}

/* Lays one message out from message->at; returns the bytes behind its end. */
static size_t message_fill(hm_route_t *route, const hm_table_t *table, size_t width, hm_message_t *message)
{
    const hm_paths_t *paths = route->paths;
    int to = paths->topo->order[message->first]; /* any rank of the group names it */
    size_t at = message->at;
    message->rows = 0;
    for (int i = message->part; i < message->part + message->parts; i++) {
        hm_part_t *part = &route->part[i];
        part->rows = path_rows(paths, table, part->source, to, message->level);
        part->row_at = message->rows;
        message->rows += part->rows;
        size_t raw = rows_mapped(paths, table, part->source, message->first, message->count);
        part->mask_at = at;
        part->map_at = at + message_masks_bytes(part->rows, message->count);
        at += message_head_bytes(part->rows, raw, message->count);
    }
    message->head_bytes = at - message->at;
    return message_align(message_span(message, 0, width).bytes + message->at);
}

void layout_fill(hm_route_t *route, const hm_table_t *table, size_t width, hm_layout_t *layout)
{
    for (int i = 0; i < route->outs; i++) {
        route->out[i].at = layout->out_bytes;
        layout->out_bytes = message_fill(route, table, width, &route->out[i]);
    }
    for (int i = 0; i < route->ins; i++) {
        route->in[i].at = layout->in_bytes;
        layout->in_bytes = message_fill(route, table, width, &route->in[i]);
    }
}

/* Bytes of a list of row numbers. Both ends of a message keep one: rows that the sender picked, rows for the receiver.
 */
static size_t list_bytes(size_t rows)
{
    return rows * sizeof(uint32_t) + HM_ALIGN;
}

/* Scratch that one source's part of a message takes at either end, at most. */
static size_t part_need(size_t rows, size_t raw, int count, size_t width)
{
    return message_part_most(rows, raw, count, width) + list_bytes(rows);
}

/* Adds what each rank needs for one lane. */
static void lane_need(const hm_paths_t *paths, const hm_table_t *table, size_t width, size_t *bytes)
{
    const hm_topo_t *topo = paths->topo;
    size_t n = (size_t)topo->ranks;
    for (int s = 0; s < (int)n; s++)
        for (int r = 0; r < (int)n; r++) {
            const hm_path_t *path = &paths->path[(size_t)s * n + (size_t)r];
            if (path->step == 0) continue;
            int level = paths->level[path->level], group = topo->group[level][r];
            int first = topo->start[level][group], count = topo_group_size(topo, level, group);
            size_t mapped = rows_mapped(paths, table, s, first, count);
            size_t share = part_need(table_distinct(topo, table, s, level, group), mapped, count, width);
            bytes[r] += share;
            bytes[path->prev] += share;
        }
}

/* The same for a single lane at depth 2, faster: a source's rows for another group go to its rail peer there, which
 * forwards them, so that no path need be looked up. */
static void rails_need(const hm_paths_t *paths, const hm_table_t *table, size_t width, size_t *bytes)
{
    const hm_topo_t *topo = paths->topo;
    size_t n = (size_t)topo->ranks;
    for (int s = 0; s < (int)n; s++)
        for (int g = 0; g < topo->groups[1]; g++) {
            bool own = topo->group[1][s] == g;
            int gate = own ? s : topo_rail_peer(topo, 1, g, s);
            size_t sent = 0, raw = 0;
            for (int p = topo->start[1][g]; p < topo->start[1][g + 1]; p++) {
                int r = topo->order[p];
                size_t mapped = table_raw(topo, table, s, r);
                size_t share = part_need(table_distinct(topo, table, s, topo->levels, p), mapped, 1, width);
                raw += mapped;
                if (r == gate) continue;
                bytes[r] += share;
                sent += share;
            }
            bytes[gate] += sent;
            if (own) continue;
            size_t share = part_need(table_distinct(topo, table, s, 1, g), raw, topo_group_size(topo, 1, g), width);
            bytes[gate] += share;
            bytes[s] += share;
        }
}

/* The same for all lanes at depth 2 together: every rank of another group is a source's gateway in one lane, and in the
 * others receives from each other rank of its group. */
static void lanes_need(const hm_paths_t *paths, const hm_table_t *table, size_t width, size_t *bytes)
{
    const hm_topo_t *topo = paths->topo;
    size_t n = (size_t)topo->ranks, lanes = (size_t)paths->lanes;
    for (int s = 0; s < (int)n; s++)
        for (int p = 0, g = 0; p < (int)n; p++) {
            g += p == topo->start[1][g + 1];
            int r = topo->order[p], first = topo->start[1][g];
            size_t rows = path_rows(paths, table, s, r, 2), mapped = table_raw(topo, table, s, r);
            size_t alone = part_need(rows, 0, 1, width); /* in a lane without maps */
            size_t gate = part_need(path_rows(paths, table, s, r, 1), mapped, (int)lanes, width);
            if (r == s) continue;
            if (topo->group[1][s] == g) gate = (lanes - 1) * alone + part_need(rows, mapped, 1, width);
            bytes[r] += gate;
            bytes[s] += gate;
            for (int q = first; q < first + (int)lanes && topo->group[1][s] != g; q++)
                bytes[topo->order[q]] += q == p ? (lanes - 1) * alone : alone;
        }
}

size_t layout_need(hm_paths_t *const *paths, const hm_table_t *table, const uint32_t *distinct, size_t width,
                   size_t *work)
{
    size_t n = (size_t)paths[0]->topo->ranks, most = 0;
    /* Where each of a rank's own distinct rows is, for every destination. */
    for (size_t s = 0; s < n; s++) work[s] = n * (distinct[s] * sizeof(uint32_t) + HM_ALIGN);
    if (paths[0]->lanes > 1 && paths[0]->depth == 2) {
        lanes_need(paths[0], table, width, work);
    } else if (paths[0]->depth == 2) {
        rails_need(paths[0], table, width, work);
    } else {
        for (int lane = 0; lane < paths[0]->lanes; lane++) lane_need(paths[lane], table, width, work);
    }
    for (size_t r = 0; r < n; r++)
        if (work[r] > most) most = work[r];
    return most;
}
