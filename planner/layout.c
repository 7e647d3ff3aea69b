#include "route.h"

#include <stdbool.h>
#include <string.h>

static size_t mask_bytes(int count)
{
    return count > 1 ? ((size_t)count + 7) / 8 : 0;
}

/* Raw rows of a source for the ranks at positions [first, first + count). */
static size_t rows_raw(const hm_topo_t *topo, const hm_table_t *table, int source, int first, int count)
{
    size_t rows = 0;
    for (int p = first; p < first + count; p++)
        rows += table->raw[(size_t)source * (size_t)topo->ranks + (size_t)topo->order[p]];
    return rows;
}

/* The same of those whose maps go in this lane. */
static size_t rows_mapped(const hm_paths_t *paths, const hm_table_t *table, int source, int first, int count)
{
    size_t rows = 0;
    for (int p = first; p < first + count; p++)
        if (paths_map_here(paths, source, paths->topo->order[p])) rows += rows_raw(paths->topo, table, source, p, 1);
    return rows;
}

size_t layout_rows_raw(const hm_topo_t *topo, const hm_table_t *table, int source, int level, int group)
{
    return rows_raw(topo, table, source, topo->start[level][group], topo_group_size(topo, level, group));
}

size_t layout_head_bytes(size_t rows, size_t raw, int count)
{
    return layout_align(rows * mask_bytes(count)) + layout_align(raw * sizeof(uint32_t));
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
        part->rows = route_rows(paths, table, part->source, to, message->level);
        part->row_at = message->rows;
        message->rows += part->rows;
        size_t raw = rows_mapped(paths, table, part->source, message->first, message->count);
        part->mask_at = at;
        part->map_at = at + layout_align(part->rows * mask_bytes(message->count));
        at += layout_head_bytes(part->rows, raw, message->count);
    }
    message->head_bytes = at - message->at;
    return layout_align(at + message->rows * width);
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

/* Bytes of one source's share in one message, alignment counted at its worst. */
static size_t share_bytes(const hm_paths_t *paths, const hm_table_t *table, int source, int rank, int level,
                          size_t width, uint32_t *rows)
{
    int l = paths->level[level], group = paths->topo->group[l][rank];
    int first = paths->topo->start[l][group], count = topo_group_size(paths->topo, l, group);
    *rows = route_rows(paths, table, source, rank, level);
    return *rows * (mask_bytes(count) + width) + rows_mapped(paths, table, source, first, count) * sizeof(uint32_t) +
           4 * HM_ALIGN;
}

/* Lists of row numbers that both ends of a message keep: what the sender picked, what the receiver picks for itself. */
static size_t list_bytes(uint32_t rows)
{
    return rows * sizeof(uint32_t) + HM_ALIGN;
}

/* Adds what each rank needs for one lane. */
static void lane_need(const hm_paths_t *paths, const hm_table_t *table, size_t width, size_t *bytes)
{
    size_t n = (size_t)paths->topo->ranks;
    for (int s = 0; s < (int)n; s++)
        for (int r = 0; r < (int)n; r++) {
            const hm_path_t *path = &paths->path[(size_t)s * n + (size_t)r];
            uint32_t rows;
            if (path->step == 0) continue;
            size_t share = share_bytes(paths, table, s, r, path->level, width, &rows);
            share += list_bytes(rows);
            bytes[r] += share;
            bytes[path->prev] += share;
        }
}

/* The same for a single lane at depth 2, without a look at each path: a source's rows for another group come to its
 * rail peer there, which sends them on. */
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
                uint32_t rows = table->distinct[topo->levels][(size_t)s * n + (size_t)p];
                size_t mapped = table->raw[(size_t)s * n + (size_t)r], share = rows * width + list_bytes(rows);
                raw += mapped;
                share += mapped * sizeof(uint32_t) + 4 * HM_ALIGN;
                if (r == gate) continue;
                bytes[r] += share;
                sent += share;
            }
            bytes[gate] += sent;
            if (own) continue;
            uint32_t all = table->distinct[1][(size_t)s * (size_t)topo->groups[1] + (size_t)g];
            size_t share = all * (mask_bytes(topo_group_size(topo, 1, g)) + width) + raw * sizeof(uint32_t) +
                           4 * HM_ALIGN + list_bytes(all);
            bytes[gate] += share;
            bytes[s] += share;
        }
}

/* The same for all lanes at depth 2, where every rank of a group is once each source's gateway, and otherwise gets its
 * rows from each of the others: the lanes need not be gone through one by one. */
static void lanes_need(const hm_paths_t *paths, const hm_table_t *table, size_t width, size_t *bytes)
{
    const hm_topo_t *topo = paths->topo;
    size_t n = (size_t)topo->ranks, lanes = (size_t)paths->lanes;
    for (int s = 0; s < (int)n; s++)
        for (int p = 0, g = 0; p < (int)n; p++) {
            g += p == topo->start[1][g + 1];
            int r = topo->order[p], first = topo->start[1][g];
            uint32_t rows = route_rows(paths, table, s, r, 2), all = route_rows(paths, table, s, r, 1);
            size_t map = rows_raw(topo, table, s, p, 1) * sizeof(uint32_t);
            size_t alone = rows * width + 4 * HM_ALIGN + list_bytes(rows);
            size_t gate = all * (mask_bytes((int)lanes) + width) + map + 4 * HM_ALIGN + list_bytes(all);
            if (r == s) continue;
            if (topo->group[1][s] == g) gate = lanes * alone + map;
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
    /* Places of the source's distinct rows for every destination. */
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
