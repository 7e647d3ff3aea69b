/* The way of a dispatch back, adding rows of one token wherever they meet. */
#include "back.h"

#include "way.h"

/* Jobs of a tick that are not enqueued yet. Nodes add what leaves, sums of this rank's own rows, have made. */
typedef struct queue {
    int leaves, nodes, entries; /* entries of the nodes' tables */
    const hm_rows_t *own;       /* the rows that this rank sends */
} queue_t;

/* The sums of this rank's rows of a source, in a piece of their columns, to `dst`. */
static void leaf_add(const hm_way_t *way, queue_t *queue, int source, hm_piece_t piece, char *dst)
{
    const hm_kept_t *kept = way->kept;
    const hm_kept_leaf_t *leaf = &kept->leaf[source];
    if (leaf->sums == 0) return;
    kept->jobs.leaf[queue->leaves++] = (hm_sum_job_t){.offset = kept->offset + leaf->first_sum,
                                                      .child = kept->child,
                                                      .sums = leaf->sums,
                                                      .type = way->call->type,
                                                      .width = piece.width,
                                                      .sources = queue->own,
                                                      .src_offset = piece.at,
                                                      .dst = dst,
                                                      .dst_stride = piece.width};
}

/* The rows that a node of a source adds in a lane, child by child. own: where this rank's own sums lie. */
static const hm_rows_t *children_table(const hm_way_t *way, queue_t *queue, const hm_kept_lane_t *lane, int source,
                                       size_t width, const char *own)
{
    const hm_kept_t *kept = way->kept;
    const hm_kept_child_t *child = kept->jobs.child;
    const void **base = kept->jobs.base + queue->entries;
    size_t *rows = kept->jobs.rows + queue->entries;
    int count = kept_children(kept, lane, source);
    for (int c = 0; c < count; c++) {
        const hm_message_t *out = &lane->out[child[c].part < 0 ? 0 : child[c].message];
        base[c] = child[c].part < 0 ? own : way_part(way, out, &lane->part[child[c].part], width);
        rows[c] = child[c].rows;
    }
    queue->entries += count;
    hm_rows_t *table = &kept->jobs.table[queue->nodes];
    *table = (hm_rows_t){count, base, rows, width};
    return table;
}

/* One part of a message back: rows of this rank alone, or of all ranks to which it forwarded the part. */
static void part_add(const hm_way_t *way, queue_t *queue, const hm_kept_lane_t *lane, const hm_message_t *in, int index,
                     hm_piece_t piece)
{
    const hm_kept_t *kept = way->kept;
    const hm_part_t *part = &lane->part[index];
    char *dst = way_part(way, in, part, piece.width), *own = way->scratch + lane->own_at[index];
    if (part->rows == 0) return;
    leaf_add(way, queue, part->source, piece, in->count > 1 ? own : dst);
    if (in->count == 1) return;
    const hm_rows_t *table = children_table(way, queue, lane, part->source, piece.width, own);
    kept->jobs.node[queue->nodes++] = (hm_sum_job_t){.offset = kept->offset + lane->tree[index],
                                                     .child = kept->child,
                                                     .sums = part->rows,
                                                     .partings = (uint32_t)kept->place->topo->levels,
                                                     .type = way->call->type,
                                                     .width = piece.width,
                                                     .sources = table,
                                                     .dst = dst,
                                                     .dst_stride = piece.width};
}

/* What a step of a slice sends. */
static void lane_add(const hm_way_t *way, queue_t *queue, const hm_kept_lane_t *lane, int step, hm_piece_t piece)
{
    for (int m = 0; m < lane->route->ins && piece.width > 0; m++) {
        const hm_message_t *in = &lane->in[m];
        for (int p = in->part; p < in->part + in->parts && in->step == step; p++)
            part_add(way, queue, lane, in, p, piece);
    }
}

/* The sums of this rank's tokens from lists whose first sum has a number; sources and columns are still to be set. */
static hm_sum_job_t root_job(const hm_kept_t *kept, const hm_back_call_t *call, uint32_t first_sum)
{
    return (hm_sum_job_t){.offset = kept->offset + first_sum,
                          .child = kept->child,
                          .sums = kept->rows.distinct,
                          .partings = (uint32_t)kept->place->topo->levels,
                          .type = call->type,
                          .into = {.rows = kept->rows.count,
                                   .id = kept->rows.id,
                                   .first = kept->rows.first,
                                   .filler = call->filler_unread ? kept->rows.filler : NULL}};
}

/* The whole sums of this rank's tokens, in the columns of a slice, to the job's receive buffers. */
static void root_add(const hm_way_t *way, queue_t *queue, const hm_kept_lane_t *lane, hm_piece_t piece,
                     const hm_rows_t *into)
{
    const hm_kept_t *kept = way->kept;
    char *own = way->scratch + lane->root_at;
    if (piece.width == 0 || kept->rows.count == 0) return;
    leaf_add(way, queue, kept->me, piece, own);
    const hm_rows_t *table = children_table(way, queue, lane, kept->me, piece.width, own);
    hm_sum_job_t job = root_job(kept, way->call, kept->root);
    job.width = piece.width;
    job.into.offset = piece.at;
    job.sources = table;
    job.into.table = into;
    kept->jobs.node[queue->nodes++] = job;
}

static int tick_add(const hm_way_t *way, int tick, const hm_rows_t *own, const hm_rows_t *into)
{
    const hm_kept_t *kept = way->kept;
    const hm_channel_t *channel = way->channel;
    queue_t queue = {.own = own};
    int status = 0, last = way_slice(way, tick - 1, kept->depth);
    for (int l = 0; l < kept->lanes; l++) {
        const hm_kept_lane_t *lane = &kept->lane[l];
        if (last >= 0) root_add(way, &queue, lane, way_piece(way, last, l), into);
        for (int step = 1; step <= kept->depth; step++) {
            int slice = way_slice(way, tick, step);
            if (slice >= 0) lane_add(way, &queue, lane, way_step(way, step), way_piece(way, slice, l));
        }
    }
    if (queue.leaves > 0)
        status = channel->kernels->sum(channel->context, channel->stream, kept->jobs.leaf, queue.leaves);
    if (status == 0 && queue.nodes > 0)
        status = channel->kernels->sum(channel->context, channel->stream, kept->jobs.node, queue.nodes);
    return status;
}

bool back_possible(const hm_carry_t *carry, const hm_kept_t *kept, size_t row_bytes)
{
    return way_width(carry, kept, row_bytes) > 0;
}

ncclResult_t back_run(hm_carry_t *carry, hm_channel_t *channel, hm_kept_t *kept, const hm_back_call_t *back)
{
    hm_way_t way = way_open(carry, channel, kept, back, true);
    hm_rows_t own = {channel->comm->ranks, back->call->send, kept->rows_in, back->row_bytes};
    hm_rows_t into = {channel->comm->ranks, (const void *const *)back->call->recv, kept->rows_out, back->row_bytes};
    for (int tick = 0; tick < way_ticks(&way); tick++) {
        int status = tick_add(&way, tick, &own, &into);
        if (status != 0) return channel_result(status);
        ncclResult_t result = way_exchange(&way, tick);
        if (result != ncclSuccess) return result;
    }
    return channel_result(tick_add(&way, way_ticks(&way), &own, &into));
}

ncclResult_t back_settle(hm_channel_t *channel, hm_kept_t *kept, const hm_back_call_t *back)
{
    const hm_topo_t *topo = kept->place->topo;
    const void **base = kept->jobs.base;
    for (int p = 0; p < topo->ranks; p++) {
        base[p] = back->call->recv[topo->order[p]];
        kept->jobs.rows[p] = kept->rows_out[topo->order[p]];
    }
    hm_rows_t sources = {topo->ranks, base, kept->jobs.rows, back->row_bytes};
    hm_rows_t into = {topo->ranks, (const void *const *)back->call->recv, kept->rows_out, back->row_bytes};
    hm_sum_job_t job = root_job(kept, back, kept->whole);
    job.width = back->row_bytes;
    job.sources = &sources;
    job.into.table = &into;
    job.into.in_place = true;
    if (kept->rows.count == 0) return ncclSuccess;
    return channel_result(channel->kernels->sum(channel->context, channel->stream, &job, 1));
}
