#include "kept_parts.h"

#include "exec.h"
#include "exec_jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void lane_free(hm_kept_lane_t *lane)
{
    free(lane->out);
    free(lane->in);
    free(lane->part);
    free(lane->list);
    free(lane->tree);
    free(lane->own_at);
}

void kept_free(hm_kept_t *kept)
{
    if (kept == NULL) return;
    for (int l = 0; l < kept->lanes; l++) lane_free(&kept->lane[l]);
    free(kept->jobs.move);
    free(kept->jobs.leaf);
    free(kept->jobs.node);
    free(kept->jobs.table);
    free(kept->jobs.base);
    free(kept->jobs.rows);
    free(kept->jobs.child);
    free(kept->rows_out);
    free(kept->rows_in);
    free(kept->leaf);
    free(kept);
}

static void *array_make(size_t count, size_t size, bool *lacking)
{
    void *memory = calloc(count + 1, size);
    if (memory == NULL) *lacking = true;
    return memory;
}

/* A lane with copies of the messages, whose sizes the call that was just made has set. */
static void lane_make(const hm_route_t *route, hm_kept_lane_t *lane, bool *lacking)
{
    size_t outs = (size_t)route->outs, ins = (size_t)route->ins, parts = (size_t)route->parts;
    *lane = (hm_kept_lane_t){.route = route,
                             .out = array_make(outs, sizeof *lane->out, lacking),
                             .in = array_make(ins, sizeof *lane->in, lacking),
                             .part = array_make(parts, sizeof *lane->part, lacking),
                             .list = array_make(parts, sizeof *lane->list, lacking),
                             .tree = array_make(parts, sizeof *lane->tree, lacking),
                             .own_at = array_make(parts, sizeof *lane->own_at, lacking)};
    if (*lacking) return;
    memcpy(lane->out, route->out, outs * sizeof *lane->out);
    memcpy(lane->in, route->in, ins * sizeof *lane->in);
    memcpy(lane->part, route->part, parts * sizeof *lane->part);
}

/* Jobs of one tick at most: a leaf and a node for each incoming part, for the root another in each lane; tables of a
 * node's children, which are outgoing parts and its own rows; a move for each part. */
static void jobs_make(hm_kept_t *kept, bool *lacking)
{
    size_t lanes = (size_t)kept->lanes, ranks = (size_t)kept->place->topo->ranks, parts = 0;
    for (int l = 0; l < kept->lanes; l++) parts += (size_t)kept->lane[l].route->parts;
    hm_kept_jobs_t *jobs = &kept->jobs;
    *jobs = (hm_kept_jobs_t){.move = array_make(2 * parts + ranks + 4, sizeof *jobs->move, lacking),
                             .leaf = array_make(parts + lanes, sizeof *jobs->leaf, lacking),
                             .node = array_make(parts + lanes, sizeof *jobs->node, lacking),
                             .table = array_make(parts + lanes, sizeof *jobs->table, lacking),
                             .base = array_make(2 * (parts + lanes), sizeof *jobs->base, lacking),
                             .rows = array_make(2 * (parts + lanes), sizeof *jobs->rows, lacking),
                             .child = array_make(ranks, sizeof *jobs->child, lacking)};
}

/* Host memory, and what the table says of the dispatch. */
static hm_kept_t *kept_open(const hm_carry_t *carry, const hm_load_t *load, int me)
{
    bool lacking = false;
    const hm_topo_t *topo = load->place->topo;
    hm_kept_t *kept = calloc(1, sizeof *kept);
    if (kept == NULL) return NULL;
    *kept = (hm_kept_t){.place = load->place, .me = me, .depth = load->depth};
    kept->lanes = place_lanes(load->place, load->depth);
    kept->sizes.row_bytes = load->table->row_bytes;
    kept->sizes.width = load->width;
    kept->rows_out = array_make((size_t)topo->ranks, sizeof *kept->rows_out, &lacking);
    kept->rows_in = array_make((size_t)topo->ranks, sizeof *kept->rows_in, &lacking);
    kept->leaf = array_make((size_t)topo->ranks, sizeof *kept->leaf, &lacking);
    for (int l = 0; l < kept->lanes; l++)
        lane_make(carry->routes.depth[load->depth].route[l], &kept->lane[l], &lacking);
    jobs_make(kept, &lacking);
    if (lacking) {
        kept_free(kept);
        return NULL;
    }
    for (int r = 0; r < topo->ranks; r++) {
        kept->rows_out[r] = table_raw(topo, load->table, me, r);
        kept->rows_in[r] = table_raw(topo, load->table, r, me);
        kept->rows.count += (uint32_t)kept->rows_out[r];
        kept->leaf[r].sums = table_distinct(topo, load->table, r, topo->levels, topo->pos[me]);
    }
    kept->rows.distinct = load->distinct[me];
    return kept;
}

/* Device memory that is being dealt out, and copies into it that are not enqueued yet. */
typedef struct deal {
    hm_kept_t *kept;
    char *at, *end;
    int moves;
} deal_t;

static uint32_t *words_take(deal_t *deal, size_t words)
{
    uint32_t *memory = (uint32_t *)deal->at;
    deal->at += message_align(words * sizeof *memory);
    return memory;
}

/* Memory for words that lie in memory of the dispatch now. */
static uint32_t *words_keep(deal_t *deal, const uint32_t *from, size_t words)
{
    uint32_t *memory = words_take(deal, words);
    size_t bytes = words * sizeof *memory;
    if (words > 0)
        deal->kept->jobs.move[deal->moves++] = (hm_move_job_t){
            .dst = memory, .src = from, .dst_stride = bytes, .src_stride = bytes, .width = bytes, .rows = 1};
    return memory;
}

/* Numbers all sums: of this rank's rows by source, of incoming parts for several ranks, at last the root's, twice.
 * Returns how many there are, and their children. */
static uint32_t sums_number(hm_kept_t *kept, size_t *children)
{
    uint32_t sums = 0, rows = 0;
    const hm_topo_t *topo = kept->place->topo;
    for (int s = 0; s < topo->ranks; s++) {
        kept->leaf[s].first_sum = sums;
        kept->leaf[s].first_row = rows;
        sums += kept->leaf[s].sums;
        rows += (uint32_t)kept->rows_in[s];
    }
    *children = rows + kept->leaf[kept->me].sums + kept->rows.count;
    for (int l = 0; l < kept->lanes; l++) {
        hm_kept_lane_t *lane = &kept->lane[l];
        for (int p = 0; p < lane->route->outs; p++)
            for (int q = lane->out[p].part; q < lane->out[p].part + lane->out[p].parts; q++)
                if (l == 0 || lane->part[q].source != kept->me) *children += lane->part[q].rows;
        for (int i = 0; i < lane->route->ins; i++)
            for (int p = lane->in[i].part; p < lane->in[i].part + lane->in[i].parts && lane->in[i].count > 1; p++) {
                lane->tree[p] = sums;
                sums += lane->part[p].rows;
                *children += kept->leaf[lane->part[p].source].sums;
            }
    }
    kept->root = sums;
    kept->whole = sums + kept->rows.distinct;
    return kept->whole + kept->rows.distinct;
}

/* Keeps the lists of a lane, which were picked for the dispatch. */
static void lane_keep(deal_t *deal, hm_kept_lane_t *lane, uint32_t *const *list)
{
    const hm_route_t *route = lane->route;
    for (int m = 0; m < route->outs; m++)
        for (int p = lane->out[m].part; p < lane->out[m].part + lane->out[m].parts; p++)
            lane->list[p] = words_keep(deal, list[p], lane->part[p].rows);
    for (int m = 0; m < route->ins; m++)
        for (int p = lane->in[m].part; p < lane->in[m].part + lane->in[m].parts; p++) {
            uint32_t own = deal->kept->leaf[lane->part[p].source].sums;
            if (lane->in[m].count > 1) lane->list[p] = words_keep(deal, list[p], own);
        }
}

/* The rows that a rank keeps bring no message: their distinct numbers, and the number of each row among these. */
static int own_map_make(hm_kept_t *kept, hm_channel_t *channel, const hm_load_t *load, uint32_t *place)
{
    const hm_kernels_t *kernels = channel->kernels;
    const hm_identity_t *identity = &load->rows->identity;
    size_t before = 0;
    for (int r = 0; r < kept->me; r++) before += kept->rows_out[r];
    hm_pick_job_t pick = {.mask = identity->mask,
                          .mask_bytes = identity->mask_bytes,
                          .rows = kept->rows.distinct,
                          .bits = {(uint32_t)load->place->topo->pos[kept->me], 1},
                          .index = kept->rows.own,
                          .place = place};
    hm_map_job_t map = {identity->id + before, place, kept->leaf[kept->me].map, (uint32_t)kept->rows_out[kept->me]};
    if (map.rows == 0) return 0;
    int status = kernels->pick(channel->context, channel->stream, &pick, 1);
    return status != 0 ? status : kernels->map(channel->context, channel->stream, &map, 1);
}

/* Deals the device memory out and enqueues all that fills it. */
static int kept_fill(hm_kept_t *kept, hm_carry_t *carry, hm_channel_t *channel, const hm_load_t *load,
                     const uint32_t *filler, deal_t *deal)
{
    const hm_identity_t *identity = &load->rows->identity;
    hm_run_t run = exec_open(load, carry, channel);
    size_t children;
    uint32_t sums = sums_number(kept, &children);
    run_lane_enter(&run, 0);
    kept->rows.id = words_keep(deal, identity->id, kept->rows.count);
    kept->rows.first = words_keep(deal, identity->first, kept->rows.distinct);
    if (filler != NULL) kept->rows.filler = words_keep(deal, filler, 1);
    kept->rows.own = words_take(deal, kept->leaf[kept->me].sums);
    for (int s = 0; s < kept->place->topo->ranks; s++) {
        size_t rows = kept->rows_in[s];
        kept->leaf[s].map =
            s == kept->me || rows == 0 ? words_take(deal, rows) : words_keep(deal, exec_jobs_own_map(&run, s), rows);
    }
    for (int l = 0; l < kept->lanes; l++) lane_keep(deal, &kept->lane[l], run.routes->jobs.list[l]);
    kept->offset = words_take(deal, sums + (size_t)1);
    kept->child = words_take(deal, children);
    void *work = deal->at;
    deal->at += channel->kernels->invert_bytes(sums);
    if (deal->at > deal->end) return -ENOBUFS;
    int status = own_map_make(kept, channel, load, work);
    if (status == 0) status = channel_move(channel, kept->jobs.move, deal->moves);
    return status != 0 ? status : kept_lists_make(kept, channel, work);
}

int kept_make(hm_carry_t *carry, hm_channel_t *channel, const hm_load_t *load, const uint32_t *filler, void *memory,
              hm_kept_t **out)
{
    size_t most = kept_need(carry, channel, load);
    hm_kept_t *kept = kept_open(carry, load, channel->comm->rank);
    if (kept == NULL) return -ENOMEM;
    for (int r = 0; r < load->place->topo->ranks; r++) {
        const hm_kept_count_t *count = &carry->kept[r];
        if (count->rows > kept->sizes.rows_most) kept->sizes.rows_most = count->rows;
        if (count->areas > kept->sizes.areas_most) kept->sizes.areas_most = count->areas;
    }
    deal_t deal = {kept, memory, (char *)memory + most, 0};
    int status = kept_fill(kept, carry, channel, load, filler, &deal);
    if (status != 0) {
        kept_free(kept);
        return status;
    }
    kept->sizes.bytes = (size_t)(deal.at - (char *)memory);
    *out = kept;
    return 0;
}

size_t kept_bytes(const hm_kept_t *kept)
{
    return kept->sizes.bytes;
}

bool kept_fits(const hm_kept_t *kept, const hm_call_t *call, size_t row_bytes, bool back)
{
    const size_t *out = back ? kept->rows_in : kept->rows_out, *in = back ? kept->rows_out : kept->rows_in;
    for (int r = 0; r < kept->place->topo->ranks; r++)
        if (call->send_bytes[r] != out[r] * row_bytes || call->recv_bytes[r] != in[r] * row_bytes) return false;
    return true;
}
