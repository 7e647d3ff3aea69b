#include "exec_jobs.h"

#include <errno.h>

static uint32_t *list_take(run_t *run, size_t entries)
{
    uint32_t *list = (uint32_t *)run->free;
    run->free += layout_align(entries * sizeof *list);
    return run->free <= run->end ? list : NULL;
}

/* Maps for the ranks of a message from this rank's own rows, as far as this lane carries them: one pick and one map
 * each. A message for a single rank takes its row list from the same pick. */
static int own_maps_add(run_t *run, const hm_message_t *message, const hm_part_t *part)
{
    size_t at = part->map_at;
    for (int p = message->first; p < message->first + message->count; p++) {
        int rank = run->topo->order[p];
        size_t rows = raw_rows(run, run->route->me, rank), before = 0;
        bool here = paths_map_here(run->route->paths, run->route->me, rank);
        if (!here && message->count > 1) continue;
        uint32_t *place = here ? list_take(run, run->distinct) : NULL;
        if (here && place == NULL) return -ENOBUFS;
        run->jobs->pick[run->picks++] = (hm_pick_job_t){.mask = run->identity->mask,
                                                        .mask_bytes = run->identity->mask_bytes,
                                                        .rows = run->distinct,
                                                        .bits = {(uint32_t)p, 1},
                                                        .place = place,
                                                        .index = message->count == 1 ? run->list[message->part] : NULL};
        if (!here) continue;
        for (int r = 0; r < rank; r++) before += raw_rows(run, run->route->me, r);
        run->jobs->map[run->maps++] =
            (hm_map_job_t){run->identity->id + before, place, (uint32_t *)(run->out + at), (uint32_t)rows};
        at += rows * sizeof(uint32_t);
    }
    return 0;
}

/* The head of a message of this rank's own rows. */
static int own_head_add(run_t *run, const hm_message_t *message)
{
    const hm_part_t *part = &run->route->part[message->part];
    run->list[message->part] = list_take(run, part->rows);
    if (run->list[message->part] == NULL) return -ENOBUFS;
    if (message->count > 1)
        run->jobs->pick[run->picks++] = (hm_pick_job_t){.mask = run->identity->mask,
                                                        .mask_bytes = run->identity->mask_bytes,
                                                        .rows = run->distinct,
                                                        .bits = {(uint32_t)message->first, (uint32_t)message->count},
                                                        .index = run->list[message->part],
                                                        .sub = (uint8_t *)run->out + part->mask_at};
    return own_maps_add(run, message, part);
}

static const hm_message_t *message_of(const hm_route_t *route, int in_part)
{
    const hm_message_t *in = route->in;
    while (in_part < in->part || in_part >= in->part + in->parts) in++;
    return in;
}

/* One source's part of a message that is forwarded: its rows are picked from what came in, its maps are copied. */
static int forward_head_add(run_t *run, const hm_message_t *message, int index)
{
    const hm_part_t *part = &run->route->part[index];
    int from_index = run->route->in_part[part->source];
    const hm_part_t *from = &run->route->part[from_index];
    const hm_message_t *in = message_of(run->route, from_index);
    size_t skip = 0, bytes = 0;
    if (part->rows == 0) return 0;
    run->list[index] = list_take(run, part->rows);
    if (run->list[index] == NULL) return -ENOBUFS;
    run->jobs->pick[run->picks++] =
        (hm_pick_job_t){.mask = (const uint8_t *)run->in + from->mask_at,
                        .mask_bytes = hm_mask_bytes((uint32_t)in->count),
                        .rows = from->rows,
                        .bits = {(uint32_t)(message->first - in->first), (uint32_t)message->count},
                        .most = part->rows,
                        .index = run->list[index],
                        .sub = message->count > 1 ? (uint8_t *)run->out + part->mask_at : NULL};
    for (int p = in->first; p < message->first + message->count; p++) {
        size_t *sum = p < message->first ? &skip : &bytes;
        if (paths_map_here(run->route->paths, part->source, run->topo->order[p]))
            *sum += raw_rows(run, part->source, run->topo->order[p]) * sizeof(uint32_t);
    }
    if (bytes == 0) return 0;
    run->jobs->move[run->moves++] = (hm_move_job_t){.dst = run->out + part->map_at,
                                                    .src = run->in + from->map_at + skip,
                                                    .dst_stride = bytes,
                                                    .src_stride = bytes,
                                                    .width = bytes,
                                                    .rows = 1};
    return 0;
}

/* The rows of one part of an outgoing message, a piece of them. */
static void payload_add(run_t *run, const hm_message_t *message, int index, hm_piece_t piece, const hm_rows_t *own)
{
    const hm_part_t *part = &run->route->part[index];
    if (part->rows == 0 || piece.width == 0) return;
    hm_move_job_t job = {.dst = run->out + message->at + message->head_bytes + part->row_at * piece.width,
                         .dst_stride = piece.width,
                         .width = piece.width,
                         .rows = part->rows,
                         .index = run->list[index]};
    if (part->source == run->route->me) {
        job.segments = own;
        job.src_stride = own->row_bytes;
        job.src_offset = piece.at;
        job.via = run->identity->first;
    } else {
        int from_index = run->route->in_part[part->source];
        const hm_message_t *in = message_of(run->route, from_index);
        job.src = run->in + in->at + in->head_bytes + run->route->part[from_index].row_at * piece.width;
        job.src_stride = piece.width;
        job.src_rows = run->route->part[from_index].rows;
    }
    run->jobs->move[run->moves++] = job;
}

int exec_jobs_pack(run_t *run, int step, int index, const hm_rows_t *own)
{
    for (int i = 0; i < run->route->outs; i++) {
        const hm_message_t *message = &run->route->out[i];
        if (message->step != step) continue;
        for (int p = message->part; p < message->part + message->parts; p++) {
            int status = 0;
            if (index == 0 && run->route->part[p].source == run->route->me) {
                status = own_head_add(run, message);
            } else if (index == 0) {
                status = forward_head_add(run, message, p);
            }
            if (status != 0) return status;
            payload_add(run, message, p, piece_of(run, index), own);
        }
    }
    return 0;
}

int exec_jobs_lists(run_t *run, int step)
{
    for (int i = 0; i < run->route->ins; i++) {
        const hm_message_t *in = &run->route->in[i];
        if (in->step != step) continue;
        for (int p = in->part; p < in->part + in->parts; p++) {
            const hm_part_t *part = &run->route->part[p];
            run->list[p] = NULL;
            if (in->count == 1 || part->rows == 0) continue;
            run->list[p] = list_take(run, part->rows);
            if (run->list[p] == NULL) return -ENOBUFS;
            run->jobs->pick[run->picks++] =
                (hm_pick_job_t){.mask = (const uint8_t *)run->in + part->mask_at,
                                .mask_bytes = hm_mask_bytes((uint32_t)in->count),
                                .rows = part->rows,
                                .bits = {(uint32_t)(run->topo->pos[run->route->me] - in->first), 1},
                                .most = part->rows,
                                .index = run->list[p]};
        }
    }
    return 0;
}

/* This rank's map of a source, in whichever lane it came: behind those of the group's earlier positions. */
static const uint32_t *own_map(const run_t *run, int source)
{
    int lane = 0, me = run->route->me;
    while (!paths_map_here(run->routes[lane]->paths, source, me)) lane++;
    const hm_route_t *route = run->routes[lane];
    int index = route->in_part[source];
    size_t at = route->part[index].map_at;
    for (int p = message_of(route, index)->first; p < run->topo->pos[me]; p++)
        if (paths_map_here(route->paths, source, run->topo->order[p]))
            at += raw_rows(run, source, run->topo->order[p]) * sizeof(uint32_t);
    return (const uint32_t *)(run->in + at);
}

void exec_jobs_expand(run_t *run, int step, hm_piece_t piece)
{
    for (int i = 0; i < run->route->ins && piece.width > 0; i++) {
        const hm_message_t *in = &run->route->in[i];
        if (in->step != step) continue;
        for (int p = in->part; p < in->part + in->parts; p++) {
            const hm_part_t *part = &run->route->part[p];
            size_t rows = raw_rows(run, part->source, run->route->me);
            if (rows == 0) continue;
            run->jobs->move[run->moves++] =
                (hm_move_job_t){.dst = (char *)run->call->recv[part->source] + piece.at,
                                .dst_stride = run->row_bytes,
                                .src = run->in + in->at + in->head_bytes + part->row_at * piece.width,
                                .src_stride = piece.width,
                                .width = piece.width,
                                .rows = (uint32_t)rows,
                                .via_entries = part->rows,
                                .src_rows = part->rows,
                                .index = own_map(run, part->source),
                                .via = run->list[p]};
        }
    }
}

int exec_jobs_submit(run_t *run)
{
    const hm_kernels_t *kernels = run->state->kernels;
    hm_context_t *context = run->state->context;
    void *stream = run->call->stream;
    int status = run->picks > 0 ? kernels->pick(context, stream, run->jobs->pick, run->picks) : 0;
    if (status == 0 && run->maps > 0) status = kernels->map(context, stream, run->jobs->map, run->maps);
    if (status == 0 && run->moves > 0) status = kernels->move(context, stream, run->jobs->move, run->moves);
    run->picks = run->maps = run->moves = 0;
    return status;
}
