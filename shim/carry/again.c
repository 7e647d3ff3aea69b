/* The way of a dispatch again, with other bytes. */
#include "back.h"
#include "way.h"

static const hm_part_t *part_in(const hm_kept_lane_t *lane, int source, const hm_message_t **message)
{
    int index = lane->route->in_part[source];
    const hm_message_t *in = lane->in;
    while (index < in->part || index >= in->part + in->parts) in++;
    *message = in;
    return &lane->part[index];
}

/* The rows of one part of an outgoing message: this rank's own, or some of what came in. */
static hm_move_job_t pack_job(const hm_way_t *way, const hm_kept_lane_t *lane, const hm_message_t *out, int index,
                              hm_piece_t piece, const hm_rows_t *own)
{
    const hm_part_t *part = &lane->part[index];
    hm_move_job_t job = {.dst = way_part(way, out, part, piece.width),
                         .dst_stride = piece.width,
                         .width = piece.width,
                         .rows = part->rows,
                         .index = lane->list[index]};
    if (part->source == way->kept->me) {
        job.segments = own;
        job.src_stride = own->row_bytes;
        job.src_offset = piece.at;
        job.via = way->kept->rows.first;
        return job;
    }
    const hm_message_t *in;
    const hm_part_t *from = part_in(lane, part->source, &in);
    job.src = way_part(way, in, from, piece.width);
    job.src_stride = piece.width;
    job.src_rows = from->rows;
    return job;
}

static int lane_pack(const hm_way_t *way, const hm_kept_lane_t *lane, int step, hm_piece_t piece, const hm_rows_t *own,
                     hm_move_job_t *job)
{
    int count = 0;
    for (int m = 0; m < lane->route->outs && piece.width > 0; m++) {
        const hm_message_t *out = &lane->out[m];
        for (int p = out->part; p < out->part + out->parts && out->step == step; p++)
            if (lane->part[p].rows > 0) job[count++] = pack_job(way, lane, out, p, piece, own);
    }
    return count;
}

/* What came in, to the job's receive buffers. */
static int lane_expand(const hm_way_t *way, const hm_kept_lane_t *lane, int step, hm_piece_t piece, hm_move_job_t *job)
{
    int count = 0;
    for (int m = 0; m < lane->route->ins && piece.width > 0; m++) {
        const hm_message_t *in = &lane->in[m];
        for (int p = in->part; p < in->part + in->parts && in->step == step; p++) {
            const hm_part_t *part = &lane->part[p];
            const hm_kept_leaf_t *leaf = &way->kept->leaf[part->source];
            if (way->kept->rows_in[part->source] == 0) continue;
            job[count++] = (hm_move_job_t){.dst = (char *)way->call->call->recv[part->source] + piece.at,
                                           .dst_stride = way->call->row_bytes,
                                           .src = way_part(way, in, part, piece.width),
                                           .src_stride = piece.width,
                                           .width = piece.width,
                                           .rows = (uint32_t)way->kept->rows_in[part->source],
                                           .via_entries = leaf->sums,
                                           .src_rows = part->rows,
                                           .index = leaf->map,
                                           .via = lane->list[p]};
        }
    }
    return count;
}

/* Reads what the tick before brought, and packs what this one sends. */
static int tick_move(const hm_way_t *way, int tick, const hm_rows_t *own)
{
    const hm_kept_t *kept = way->kept;
    hm_move_job_t *job = kept->jobs.move;
    int count = 0;
    for (int step = 1; step <= kept->depth; step++) {
        int before = way_slice(way, tick - 1, step), now = way_slice(way, tick, step);
        for (int l = 0; l < kept->lanes; l++) {
            const hm_kept_lane_t *lane = &kept->lane[l];
            if (before >= 0) count += lane_expand(way, lane, step, way_piece(way, before, l), job + count);
            if (now >= 0) count += lane_pack(way, lane, step, way_piece(way, now, l), own, job + count);
        }
    }
    return count == 0 ? 0 : channel_move(way->channel, job, count);
}

/* The rows that this rank keeps, beside what the wires carry. */
static int self_move(const hm_way_t *way)
{
    int me = way->kept->me;
    size_t row_bytes = way->call->row_bytes;
    hm_move_job_t job = {.dst = way->call->call->recv[me],
                         .src = way->call->call->send[me],
                         .dst_stride = row_bytes,
                         .src_stride = row_bytes,
                         .width = row_bytes,
                         .rows = (uint32_t)way->kept->rows_out[me]};
    if (job.rows == 0) return 0;
    return way->channel->kernels->move_beside(way->channel->context, way->channel->stream, &job, 1);
}

static ncclResult_t ticks_run(hm_way_t *way, const hm_rows_t *own)
{
    hm_channel_t *channel = way->channel;
    for (int tick = 0; tick < way_ticks(way); tick++) {
        int status = tick_move(way, tick, own);
        if (status == 0 && tick == 0) status = channel->kernels->fork(channel->context, channel->stream);
        if (status != 0) return channel_result(status);
        ncclResult_t result = way_exchange(way, tick);
        if (result != ncclSuccess) return result;
        if (tick == 0) status = self_move(way);
        if (status != 0) return channel_result(status);
    }
    return channel_result(tick_move(way, way_ticks(way), own));
}

ncclResult_t again_run(hm_carry_t *carry, hm_channel_t *channel, hm_kept_t *kept, const hm_back_call_t *again)
{
    hm_way_t way = way_open(carry, channel, kept, again, false);
    hm_rows_t own = {channel->comm->ranks, again->call->send, kept->rows_out, again->row_bytes};
    ncclResult_t result = ticks_run(&way, &own);
    /* Also after an error: the memory of this call is free once the stream has come to this point. */
    int status = channel->kernels->merge(channel->context, channel->stream);
    return result != ncclSuccess ? result : channel_result(status);
}
