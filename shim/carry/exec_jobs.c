#include "exec_jobs.h"

#include <errno.h>

/* Distinct rows of this rank. */
static uint32_t distinct_own(const hm_run_t *run)
{
    return run->load->distinct[run->lane.route->me];
}

static uint32_t *list_take(hm_run_t *run, size_t entries)
{
    uint32_t *list = (uint32_t *)run->areas.free;
    run->areas.free += message_align(entries * sizeof *list);
    return run->areas.free <= run->areas.end ? list : NULL;
}

/* Maps for the ranks of a message from this rank's own rows, as far as this lane carries them: one pick and one map
 * each. A message for a single rank takes its row list from the same pick. */
static int own_maps_add(hm_run_t *run, const hm_message_t *message, const hm_part_t *part)
{
    size_t at = part->map_at;
    for (int p = message->first; p < message->first + message->count; p++) {
        int rank = run->load->place->topo->order[p];
        size_t rows = run_rows_raw(run, run->lane.route->me, rank), before = 0;
        bool here = paths_map_here(run->lane.route->paths, run->lane.route->me, rank);
        if (!here && message->count > 1) continue;
        uint32_t *place = here ? list_take(run, distinct_own(run)) : NULL;
        if (here && place == NULL) return -ENOBUFS;
        run->routes->jobs.pick[run->queue.picks++] =
            (hm_pick_job_t){.mask = run->load->rows->identity.mask,
                            .mask_bytes = run->load->rows->identity.mask_bytes,
                            .rows = distinct_own(run),
                            .bits = {(uint32_t)p, 1},
                            .place = place,
                            .index = message->count == 1 ? run->lane.list[message->part] : NULL};
        if (!here) continue;
        for (int r = 0; r < rank; r++) before += run_rows_raw(run, run->lane.route->me, r);
        run->routes->jobs.map[run->queue.maps++] = (hm_map_job_t){run->load->rows->identity.id + before, place,
                                                                  (uint32_t *)(run->areas.out + at), (uint32_t)rows};
        at += rows * sizeof(uint32_t);
    }
    return 0;
}

/* The head of a message of this rank's own rows. */
static int own_head_add(hm_run_t *run, const hm_message_t *message)
{
    const hm_part_t *part = &run->lane.route->part[message->part];
    run->lane.list[message->part] = list_take(run, part->rows);
    if (run->lane.list[message->part] == NULL) return -ENOBUFS;
    if (message->count > 1)
        run->routes->jobs.pick[run->queue.picks++] =
            (hm_pick_job_t){.mask = run->load->rows->identity.mask,
                            .mask_bytes = run->load->rows->identity.mask_bytes,
                            .rows = distinct_own(run),
                            .bits = {(uint32_t)message->first, (uint32_t)message->count},
                            .index = run->lane.list[message->part],
                            .sub = (uint8_t *)run->areas.out + part->mask_at};
    return own_maps_add(run, message, part);
}

static const hm_message_t *message_of(const hm_route_t *route, int in_part)
{
    const hm_message_t *in = route->in;
    while (in_part < in->part || in_part >= in->part + in->parts) in++;
    return in;
}

/* One source's part of a message that is forwarded: its rows are picked from what came in, its maps are copied. */
static int forward_head_add(hm_run_t *run, const hm_message_t *message, int index)
{
    const hm_part_t *part = &run->lane.route->part[index];
    int from_index = run->lane.route->in_part[part->source];
    const hm_part_t *from = &run->lane.route->part[from_index];
    const hm_message_t *in = message_of(run->lane.route, from_index);
    size_t skip = 0, bytes = 0;
    if (part->rows == 0) return 0;
    run->lane.list[index] = list_take(run, part->rows);
    if (run->lane.list[index] == NULL) return -ENOBUFS;
    run->routes->jobs.pick[run->queue.picks++] =
        (hm_pick_job_t){.mask = (const uint8_t *)run->areas.in + from->mask_at,
                        .mask_bytes = hm_mask_bytes((uint32_t)in->count),
                        .rows = from->rows,
                        .bits = {(uint32_t)(message->first - in->first), (uint32_t)message->count},
                        .most = part->rows,
                        .index = run->lane.list[index],
                        .sub = message->count > 1 ? (uint8_t *)run->areas.out + part->mask_at : NULL};
    for (int p = in->first; p < message->first + message->count; p++) {
        size_t *sum = p < message->first ? &skip : &bytes;
        if (paths_map_here(run->lane.route->paths, part->source, run->load->place->topo->order[p]))
            *sum += run_rows_raw(run, part->source, run->load->place->topo->order[p]) * sizeof(uint32_t);
    }
    if (bytes == 0) return 0;
    run->routes->jobs.move[run->queue.moves++] = (hm_move_job_t){.dst = run->areas.out + part->map_at,
                                                                 .src = run->areas.in + from->map_at + skip,
                                                                 .dst_stride = bytes,
                                                                 .src_stride = bytes,
                                                                 .width = bytes,
                                                                 .rows = 1};
    return 0;
}

/* The rows of one part of an outgoing message, a piece of them. */
static void payload_add(hm_run_t *run, const hm_message_t *message, int index, hm_piece_t piece, const hm_rows_t *own)
{
    const hm_part_t *part = &run->lane.route->part[index];
    if (part->rows == 0 || piece.width == 0) return;
    hm_move_job_t job = {.dst = run->areas.out + message->at + message->head_bytes + part->row_at * piece.width,
                         .dst_stride = piece.width,
                         .width = piece.width,
                         .rows = part->rows,
                         .index = run->lane.list[index]};
    if (part->source == run->lane.route->me) {
        job.segments = own;
        job.src_stride = own->row_bytes;
        job.src_offset = piece.at;
        job.via = run->load->rows->identity.first;
    } else {
        int from_index = run->lane.route->in_part[part->source];
        const hm_message_t *in = message_of(run->lane.route, from_index);
        job.src = run->areas.in + in->at + in->head_bytes + run->lane.route->part[from_index].row_at * piece.width;
        job.src_stride = piece.width;
        job.src_rows = run->lane.route->part[from_index].rows;
    }
    run->routes->jobs.move[run->queue.moves++] = job;
}

int exec_jobs_pack(hm_run_t *run, int step, int index, const hm_rows_t *own)
{
    for (int i = 0; i < run->lane.route->outs; i++) {
        const hm_message_t *message = &run->lane.route->out[i];
        if (message->step != step) continue;
        for (int p = message->part; p < message->part + message->parts; p++) {
            int status = 0;
            if (index == 0 && run->lane.route->part[p].source == run->lane.route->me) {
                status = own_head_add(run, message);
            } else if (index == 0) {
                status = forward_head_add(run, message, p);
            }
            if (status != 0) return status;
            payload_add(run, message, p, run_piece(run, index), own);
        }
    }
    return 0;
}

int exec_jobs_lists(hm_run_t *run, int step)
{
    for (int i = 0; i < run->lane.route->ins; i++) {
        const hm_message_t *in = &run->lane.route->in[i];
        if (in->step != step) continue;
        for (int p = in->part; p < in->part + in->parts; p++) {
            const hm_part_t *part = &run->lane.route->part[p];
            run->lane.list[p] = NULL;
            if (in->count == 1 || part->rows == 0) continue;
            run->lane.list[p] = list_take(run, part->rows);
            if (run->lane.list[p] == NULL) return -ENOBUFS;
            run->routes->jobs.pick[run->queue.picks++] =
                (hm_pick_job_t){.mask = (const uint8_t *)run->areas.in + part->mask_at,
                                .mask_bytes = hm_mask_bytes((uint32_t)in->count),
                                .rows = part->rows,
                                .bits = {(uint32_t)(run->load->place->topo->pos[run->lane.route->me] - in->first), 1},
                                .most = part->rows,
                                .index = run->lane.list[p]};
        }
    }
    return 0;
}

/* This rank's map of a source, in whichever lane it came: behind those of the group's earlier positions. */
const uint32_t *exec_jobs_own_map(const hm_run_t *run, int source)
{
    int lane = 0, me = run->lane.route->me;
    while (!paths_map_here(run->routes->route[lane]->paths, source, me)) lane++;
    const hm_route_t *route = run->routes->route[lane];
    int index = route->in_part[source];
    size_t at = route->part[index].map_at;
    for (int p = message_of(route, index)->first; p < run->load->place->topo->pos[me]; p++)
        if (paths_map_here(route->paths, source, run->load->place->topo->order[p]))
            at += run_rows_raw(run, source, run->load->place->topo->order[p]) * sizeof(uint32_t);
    return (const uint32_t *)(run->areas.in + at);
}

void exec_jobs_expand(hm_run_t *run, int step, hm_piece_t piece)
{
    for (int i = 0; i < run->lane.route->ins && piece.width > 0; i++) {
        const hm_message_t *in = &run->lane.route->in[i];
        if (in->step != step) continue;
        for (int p = in->part; p < in->part + in->parts; p++) {
            const hm_part_t *part = &run->lane.route->part[p];
            size_t rows = run_rows_raw(run, part->source, run->lane.route->me);
            if (rows == 0) continue;
            run->routes->jobs.move[run->queue.moves++] =
                (hm_move_job_t){.dst = (char *)run->load->call->recv[part->source] + piece.at,
                                .dst_stride = run->load->table->row_bytes,
                                .src = run->areas.in + in->at + in->head_bytes + part->row_at * piece.width,
                                .src_stride = piece.width,
                                .width = piece.width,
                                .rows = (uint32_t)rows,
                                .via_entries = part->rows,
                                .src_rows = part->rows,
                                .index = exec_jobs_own_map(run, part->source),
                                .via = run->lane.list[p]};
        }
    }
}

int exec_jobs_submit(hm_run_t *run)
{
    const hm_kernels_t *kernels = run->channel->kernels;
    hm_context_t *context = run->channel->context;
    void *stream = run->channel->stream;
    const hm_jobs_t *jobs = &run->routes->jobs;
    hm_queue_t *queue = &run->queue;
    int status = queue->picks > 0 ? kernels->pick(context, stream, jobs->pick, queue->picks) : 0;
    if (status == 0 && queue->maps > 0) status = kernels->map(context, stream, jobs->map, queue->maps);
    if (status == 0 && queue->moves > 0) status = kernels->move(context, stream, jobs->move, queue->moves);
    *queue = (hm_queue_t){0, 0, 0};
    return status;
}
