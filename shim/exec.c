#include "exec.h"

#include "log.h"
#include "timing.h"
#include "window.h"

#include <errno.h>

/* One call under way: what its functions share. */
typedef struct run {
    const hm_call_t *call;
    hm_a2a_state_t *state;
    const hm_identity_t *identity;
    hm_route_t *const *routes; /* by lane */
    int depth, lanes, lane;    /* the lane at hand, with its route and lists: lane_enter */
    hm_route_t *route;
    uint32_t **list; /* by part, see hm_jobs_t */
    hm_jobs_t *jobs;
    const hm_topo_t *topo;
    char *out, *in;          /* areas of the messages */
    char *free, *end;        /* scratch behind the areas, for row lists */
    uint32_t distinct;       /* of this rank */
    size_t row_bytes, width; /* of a row; of a piece of it, the last one may be narrower */
    int slices;
    bool windows; /* near messages go through windows */
    int picks, maps, moves;
} run_t;

static void lane_enter(run_t *run, int lane)
{
    run->lane = lane;
    run->route = run->routes[lane];
    run->list = run->jobs->list[lane];
}

/* The bytes of every row that a slice carries in the lane at hand. */
static hm_piece_t piece_of(const run_t *run, int index)
{
    return layout_piece(run->row_bytes, run->width, index * run->lanes + run->lane);
}

static uint32_t *list_take(run_t *run, size_t entries)
{
    uint32_t *list = (uint32_t *)run->free;
    run->free += layout_align(entries * sizeof *list);
    return run->free <= run->end ? list : NULL;
}

static size_t raw_rows(const run_t *run, int source, int rank)
{
    return run->state->table.raw[(size_t)source * (size_t)run->topo->ranks + (size_t)rank];
}

static int jobs_submit(run_t *run)
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

/* What a slice sends in a step of this lane; the first one also makes heads. */
static int step_pack(run_t *run, int step, int index, const hm_rows_t *own)
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

/* What of a message travels in a slice: the head goes with the first. */
static void message_span(const run_t *run, const hm_message_t *message, int index, size_t *at, size_t *bytes)
{
    size_t head = index == 0 ? 0 : message->head_bytes;
    *at = message->at + head;
    *bytes = message->head_bytes - head + message->rows * piece_of(run, index).width;
}

/* Whether a message goes through a window. */
static bool message_near(const run_t *run, const hm_message_t *message)
{
    return run->windows && window_leads_to(run->state, message->peer);
}

/* The sends and receives of one step of a slice in this lane, inside a group. */
static ncclResult_t step_exchange(run_t *run, int step, int index)
{
    hm_comm_t *comm = run->call->comm;
    cudaStream_t stream = run->call->stream;
    ncclResult_t result = ncclSuccess;
    size_t at, bytes;
    for (int i = 0; i < run->route->outs && result == ncclSuccess; i++) {
        const hm_message_t *message = &run->route->out[i];
        if (message->step != step) continue;
        message_span(run, message, index, &at, &bytes);
        if (bytes > 0 && !message_near(run, message))
            result = comm->real->ncclSend(run->out + at, bytes, ncclUint8, message->peer, comm->handle, stream);
        atomic_fetch_add(&comm->stats.bytes_sent, bytes);
    }
    for (int i = 0; i < run->route->ins && result == ncclSuccess; i++) {
        const hm_message_t *message = &run->route->in[i];
        if (message->step != step) continue;
        message_span(run, message, index, &at, &bytes);
        if (bytes > 0 && !message_near(run, message))
            result = comm->real->ncclRecv(run->in + at, bytes, ncclUint8, message->peer, comm->handle, stream);
    }
    return result;
}

/* Lists which of the rows that came in for several ranks are this rank's: needed once, before the first expand. */
static int own_lists_add(run_t *run, int step)
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

/* Writes what a slice brought in a step of this lane to the job's receive buffers, in NCCL's order. */
static void step_expand(run_t *run, int step, hm_piece_t piece)
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

/* The rows a rank keeps go straight from its send to its receive buffer, beside what the wires carry. */
static int self_move(run_t *run)
{
    int me = run->route->me;
    size_t rows = raw_rows(run, me, me);
    hm_move_job_t job = {.dst = run->call->recv[me],
                         .src = run->call->send[me],
                         .dst_stride = run->row_bytes,
                         .src_stride = run->row_bytes,
                         .width = run->row_bytes,
                         .rows = (uint32_t)rows};
    if (rows == 0) return 0;
    return run->state->kernels->move_beside(run->state->context, run->call->stream, &job, 1);
}

/* The slice that is in a step at a tick, or -1: slice k makes step s at tick k + s - 1, so that one slice crosses the
 * inner links while the next one crosses the outer ones. */
static int slice_at(const run_t *run, int tick, int step)
{
    int index = tick - (step - 1);
    return index >= 0 && index < run->slices ? index : -1;
}

/* Packs what the tick sends, and unpacks what the tick before it received, in all lanes. */
static int tick_move(run_t *run, int tick, const hm_rows_t *own)
{
    int status = 0;
    for (int step = 1; step <= run->depth && status == 0; step++) {
        int before = slice_at(run, tick - 1, step), now = slice_at(run, tick, step);
        for (int lane = 0; lane < run->lanes && status == 0; lane++) {
            lane_enter(run, lane);
            if (before == 0) status = own_lists_add(run, step);
            if (before >= 0) step_expand(run, step, piece_of(run, before));
            if (now >= 0 && status == 0) status = step_pack(run, step, now, own);
        }
    }
    return status != 0 ? status : jobs_submit(run);
}

static ncclResult_t tick_exchange(run_t *run, int tick)
{
    const hm_real_t *real = run->call->comm->real;
    ncclResult_t result = real->ncclGroupStart();
    for (int step = 1; step <= run->depth && result == ncclSuccess; step++) {
        int index = slice_at(run, tick, step);
        for (int lane = 0; lane < run->lanes && index >= 0 && result == ncclSuccess; lane++) {
            lane_enter(run, lane);
            result = step_exchange(run, step, index);
        }
        if (index >= 0 && run->windows && result == ncclSuccess)
            result = window_tokens(run->call, run->state, run->depth, step, run->width);
    }
    ncclResult_t end = real->ncclGroupEnd();
    return result != ncclSuccess ? result : end;
}

static ncclResult_t ticks_run(run_t *run, const hm_rows_t *own)
{
    const hm_kernels_t *kernels = run->state->kernels;
    int ticks = run->slices + run->depth - 1;
    for (int tick = 0; tick < ticks; tick++) {
        int status = tick_move(run, tick, own);
        if (status == 0 && tick == 0) status = kernels->fork(run->state->context, run->call->stream);
        if (status != 0) return state_result(status);
        timing_step(run->state, run->call->stream);
        ncclResult_t result = tick_exchange(run, tick);
        if (result != ncclSuccess) return result;
        if (run->windows) status = window_pull(run->call, run->state, run->depth, tick + 1, run->width, run->in);
        timing_step(run->state, run->call->stream);
        if (tick == 0 && status == 0) status = self_move(run);
        if (status != 0) return state_result(status);
    }
    int status = tick_move(run, ticks, own);
    if (status != 0 || !run->windows) return state_result(status);
    return window_finish(run->call, run->state, run->depth, run->width);
}

ncclResult_t exec_run(const hm_call_t *call, hm_a2a_state_t *state, int depth, size_t width,
                      const hm_identity_t *identity)
{
    hm_layout_t layout = {0, 0};
    int lanes = state_lanes(state, depth);
    size_t row_bytes = state->table.row_bytes, pieces = (row_bytes + width - 1) / width;
    for (int lane = 0; lane < lanes; lane++) layout_fill(state->route[depth][lane], &state->table, width, &layout);
    run_t run = {.call = call,
                 .state = state,
                 .identity = identity,
                 .routes = state->route[depth],
                 .depth = depth,
                 .lanes = lanes,
                 .jobs = &state->jobs[depth],
                 .topo = state->topo,
                 .out = state->scratch,
                 .in = (char *)state->scratch + layout.out_bytes,
                 .free = (char *)state->scratch + layout.out_bytes + layout.in_bytes,
                 .end = (char *)state->scratch + state->capacity,
                 .distinct = state->distinct[call->comm->rank],
                 .row_bytes = row_bytes,
                 .width = width,
                 .slices = ((int)pieces + lanes - 1) / lanes};
    lane_enter(&run, 0);
    hm_rows_t own = {call->comm->ranks, call->send, state->rows, row_bytes};
    /* A later slice would overwrite what near ranks still read. */
    run.windows = run.slices == 1 && state->windows == HM_WINDOWS_ON;
    if (run.windows) {
        window_layout(state, depth, width);
        atomic_fetch_add(&call->comm->stats.windows, 1);
    }
    ncclResult_t result = ticks_run(&run, &own);
    /* Also after an error: the memory of this call is free once the stream has come to this point. */
    int status = state->kernels->merge(state->context, call->stream);
    return result != ncclSuccess ? result : state_result(status);
}
