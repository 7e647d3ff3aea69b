/* The lists of what is added where on the way back. */
#include "kept_parts.h"

#include <errno.h>
#include <stdlib.h>

/* Keeps children in the order of positions. */
static void child_insert(hm_kept_child_t *child, int count, hm_kept_child_t one)
{
    while (count > 0 && child[count - 1].first > one.first) {
        child[count] = child[count - 1];
        count--;
    }
    child[count] = one;
}

int kept_children(const hm_kept_t *kept, const hm_kept_lane_t *lane, int source)
{
    hm_kept_child_t *child = kept->jobs.child;
    int count = 0;
    uint32_t own = kept->leaf[source].sums;
    if (own > 0) child_insert(child, count++, (hm_kept_child_t){-1, -1, kept->place->topo->pos[kept->me], own});
    for (int m = 0; m < lane->route->outs; m++) {
        const hm_message_t *out = &lane->out[m];
        for (int p = out->part; p < out->part + out->parts; p++)
            if (lane->part[p].source == source && lane->part[p].rows > 0)
                child_insert(child, count++, (hm_kept_child_t){m, p, out->first, lane->part[p].rows});
    }
    return count;
}

/* Nodes of the tree, from the innermost, that two positions do not share. */
static uint32_t parting(const hm_topo_t *topo, int one, int other)
{
    uint32_t nodes = 0;
    for (int level = 1; level <= topo->levels; level++)
        nodes += topo->group[level][topo->order[one]] != topo->group[level][topo->order[other]];
    return nodes;
}

/* The pieces of the `sums` sums from number `first` on, at the node of a source. own: list of this rank's own rows. */
static int node_add(const hm_kept_t *kept, const hm_kept_lane_t *lane, int source, uint32_t first, uint32_t sums,
                    const uint32_t *own, hm_children_t *piece)
{
    const hm_kept_child_t *child = kept->jobs.child;
    int count = kept_children(kept, lane, source);
    uint32_t row = 0;
    for (int c = 0; c < count; c++) {
        piece[c] = (hm_children_t){.sum = child[c].part < 0 ? own : lane->list[child[c].part],
                                   .rows = child[c].rows,
                                   .first_sum = first,
                                   .sums = sums,
                                   .first_row = row};
        if (c > 0) piece[c].parting = parting(kept->place->topo, child[c - 1].first, child[c].first);
        row += child[c].rows;
    }
    return count;
}

/* Pieces of all nodes of a lane at which this rank forwarded rows. */
static int lane_add(const hm_kept_t *kept, const hm_kept_lane_t *lane, hm_children_t *piece)
{
    int count = 0;
    for (int i = 0; i < lane->route->ins; i++) {
        const hm_message_t *in = &lane->in[i];
        for (int p = in->part; p < in->part + in->parts && in->count > 1; p++)
            count += node_add(kept, lane, lane->part[p].source, lane->tree[p], lane->part[p].rows, lane->list[p],
                              piece + count);
    }
    return count;
}

/* Pieces of the root where this rank adds all raw rows itself, rank by rank. */
static int whole_add(const hm_kept_t *kept, hm_children_t *piece)
{
    const hm_topo_t *topo = kept->place->topo;
    uint32_t row = 0, *id = kept->rows.id;
    for (int r = 0; r < topo->ranks; id += kept->rows_out[r++]) piece[topo->pos[r]].sum = id;
    for (int p = 0; p < topo->ranks; p++) {
        uint32_t rows = (uint32_t)kept->rows_out[topo->order[p]];
        piece[p] = (hm_children_t){piece[p].sum, rows, kept->whole, kept->rows.distinct, row, 0};
        if (p > 0) piece[p].parting = parting(topo, p - 1, p);
        row += rows;
    }
    return topo->ranks;
}

int kept_lists_make(hm_kept_t *kept, hm_channel_t *channel, void *work)
{
    size_t ranks = (size_t)kept->place->topo->ranks, most = 3 * ranks + 1;
    for (int l = 0; l < kept->lanes; l++) most += (size_t)kept->lane[l].route->parts;
    hm_children_t *piece = malloc(most * sizeof *piece);
    int count = 0;
    if (piece == NULL) return -ENOMEM;
    for (size_t s = 0; s < ranks; s++)
        piece[count++] = (hm_children_t){.sum = kept->leaf[s].map,
                                         .rows = (uint32_t)kept->rows_in[s],
                                         .first_sum = kept->leaf[s].first_sum,
                                         .sums = kept->leaf[s].sums,
                                         .first_row = kept->leaf[s].first_row};
    for (int l = 0; l < kept->lanes; l++) count += lane_add(kept, &kept->lane[l], piece + count);
    count += node_add(kept, &kept->lane[0], kept->me, kept->root, kept->rows.distinct, kept->rows.own, piece + count);
    count += whole_add(kept, piece + count);
    hm_invert_job_t job = {piece, count, kept->whole + kept->rows.distinct, kept->offset, kept->child, work};
    int status = channel->kernels->invert(channel->context, channel->stream, &job);
    free(piece);
    return status;
}
