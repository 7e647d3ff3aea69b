#include "way.h"

/* The widest pieces that fit into the scratch there is, not wider than for as many slices as the dispatch had; 0 where
 * not even 16 bytes of a row do. */
size_t way_width(const hm_carry_t *carry, const hm_kept_t *kept, size_t row_bytes)
{
    size_t lanes = (size_t)kept->lanes, pieces = (kept->sizes.row_bytes + kept->sizes.width - 1) / kept->sizes.width;
    size_t slices = (pieces + lanes - 1) / lanes, wanted = message_width(row_bytes, lanes * slices);
    size_t fixed = kept->sizes.areas_most * HM_ALIGN, capacity = carry->scratch.capacity;
    if (fixed + kept->sizes.rows_most * wanted <= capacity) return wanted;
    if (fixed >= capacity) return 0;
    size_t width = (capacity - fixed) / kept->sizes.rows_most / HM_ALIGN * HM_ALIGN;
    return width == 0 ? 0 : message_width(row_bytes, (row_bytes + width - 1) / width);
}

static void area_lay(size_t *at, size_t rows, size_t width, size_t *end)
{
    *at = *end;
    *end += message_align(rows * width);
}

static void lane_lay(const hm_kept_t *kept, hm_kept_lane_t *lane, size_t width, size_t *end)
{
    for (int m = 0; m < lane->route->outs; m++) area_lay(&lane->out[m].at, lane->out[m].rows, width, end);
    for (int m = 0; m < lane->route->ins; m++) {
        const hm_message_t *in = &lane->in[m];
        area_lay(&lane->in[m].at, in->rows, width, end);
        for (int p = in->part; p < in->part + in->parts && in->count > 1; p++)
            area_lay(&lane->own_at[p], kept->leaf[lane->part[p].source].sums, width, end);
    }
    area_lay(&lane->root_at, kept->leaf[kept->me].sums, width, end);
}

hm_way_t way_open(hm_carry_t *carry, hm_channel_t *channel, hm_kept_t *kept, const hm_back_call_t *call, bool back)
{
    size_t width = way_width(carry, kept, call->row_bytes), pieces = (call->row_bytes + width - 1) / width, end = 0;
    hm_way_t way = {.channel = channel, .kept = kept, .call = call, .width = width, .back = back};
    way.scratch = carry->scratch.memory;
    way.slices = ((int)pieces + kept->lanes - 1) / kept->lanes;
    for (int l = 0; l < kept->lanes; l++) lane_lay(kept, &kept->lane[l], width, &end);
    return way;
}

/* The messages of the dispatch's step `step` in a lane: those that this rank sends, or those that it receives. */
static ncclResult_t lane_exchange(hm_way_t *way, const hm_kept_lane_t *lane, int step, size_t width, bool send)
{
    bool outs = send != way->back;
    hm_comm_t *comm = way->channel->comm;
    const hm_message_t *message = outs ? lane->out : lane->in;
    ncclResult_t result = ncclSuccess;
    for (int i = 0, count = outs ? lane->route->outs : lane->route->ins; i < count && result == ncclSuccess; i++) {
        size_t bytes = message[i].rows * width;
        if (message[i].step != step || bytes == 0) continue;
        if (send) {
            result = channel_send(way->channel, way->scratch + message[i].at, bytes, message[i].peer);
            stats_sent_add(&comm->stats, &comm->seat, place_node(way->kept->place, message[i].peer), bytes);
        } else {
            result = channel_recv(way->channel, way->scratch + message[i].at, bytes, message[i].peer);
        }
    }
    return result;
}

ncclResult_t way_exchange(hm_way_t *way, int tick)
{
    hm_kept_t *kept = way->kept;
    ncclResult_t result = channel_group_begin(way->channel);
    for (int step = 1; step <= kept->depth; step++) {
        int slice = way_slice(way, tick, step);
        for (int l = 0; l < kept->lanes && slice >= 0 && result == ncclSuccess; l++) {
            size_t width = way_piece(way, slice, l).width;
            result = lane_exchange(way, &kept->lane[l], way_step(way, step), width, true);
            if (result == ncclSuccess) result = lane_exchange(way, &kept->lane[l], way_step(way, step), width, false);
        }
    }
    return channel_group_end(way->channel, result);
}
