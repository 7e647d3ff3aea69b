#include "exec.h"

#include "log.h"

#include <errno.h>

/* One call under way: what its functions share. */
typedef struct run {
    const hm_call_t *call;
    hm_a2a_state_t *state;
    const hm_identity_t *identity;
    hm_route_t *route;
    hm_jobs_t *jobs;
    const hm_topo_t *topo;
    char *out, *in;          /* areas of the messages */
    char *free, *end;        /* scratch behind the areas, for row lists */
    uint32_t distinct;       /* of this rank */
    uint32_t **list;         /* by part, see hm_jobs_t */
    size_t at, width;        /* the slice: bytes [at, at + width) of every row */
    int picks, maps, moves;
} run_t;

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

/* Maps for every rank of a message from this rank's own rows: one pick and one map each. A message for a single rank
 * takes its row list from the same pick. */
static int own_maps_add(run_t *run, const hm_message_t *message, const hm_part_t *part)
{
    size_t at = part->map_at;
    for (int p = message->first; p < message->first + message->count; p++) {
        int rank = run->topo->order[p];
        size_t rows = raw_rows(run, run->route->me, rank), before = 0;
        uint32_t *place = list_take(run, run->distinct);
        if (place == NULL) return -ENOBUFS;
        for (int r = 0; r < rank; r++) before += raw_rows(run, run->route->me, r);
        run->jobs->pick[run->picks++] = (hm_pick_job_t){.mask = run->identity->mask,
                                                        .mask_bytes = run->identity->mask_bytes,
                                                        .rows = run->distinct,
                                                        .bits = {(uint32_t)p, 1},
                                                        .place = place,
                                                        .index = message->count == 1 ? run->list[message->part] : NULL};
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

static const hm_message_t *message_of(const run_t *run, int in_part)
{
    const hm_message_t *in = run->route->in;
    while (in_part < in->part || in_part >= in->part + in->parts) in++;
    return in;
}

/* One source's part of a message that is forwarded: its rows are picked from what came in, its maps are copied. */
static int forward_head_add(run_t *run, const hm_message_t *message, int index)
{
    const hm_part_t *part = &run->route->part[index];
    int from_index = run->route->in_part[part->source];
    const hm_part_t *from = &run->route->part[from_index];
    const hm_message_t *in = message_of(run, from_index);
    size_t skip = 0, bytes = 0;
    run->list[index] = list_take(run, part->rows);
    if (run->list[index] == NULL) return -ENOBUFS;
    run->jobs->pick[run->picks++] = (hm_pick_job_t){
        .mask = (const uint8_t *)run->in + from->mask_at,
        .mask_bytes = hm_mask_bytes((uint32_t)in->count),
        .rows = from->rows,
        .bits = {(uint32_t)(message->first - in->first), (uint32_t)message->count},
        .index = run->list[index],
        .sub = message->count > 1 ? (uint8_t *)run->out + part->mask_at : NULL};
    for (int p = in->first; p < message->first + message->count; p++) {
        size_t *sum = p < message->first ? &skip : &bytes;
        *sum += raw_rows(run, part->source, run->topo->order[p]) * sizeof(uint32_t);
    }
    run->jobs->move[run->moves++] = (hm_move_job_t){.dst = run->out + part->map_at,
                                                    .src = run->in + from->map_at + skip,
                                                    .dst_stride = bytes,
                                                    .src_stride = bytes,
                                                    .width = bytes,
                                                    .rows = bytes > 0};
    return 0;
}

/* The rows of one part of an outgoing message, this slice's bytes of them. */
static void payload_add(run_t *run, const hm_message_t *message, int index, const hm_rows_t *own)
{
    const hm_part_t *part = &run->route->part[index];
    if (part->rows == 0) return;
    hm_move_job_t job = {.dst = run->out + message->at + message->head_bytes + part->row_at * run->width,
                         .dst_stride = run->width,
                         .width = run->width,
                         .rows = part->rows,
                         .index = run->list[index]};
    if (part->source == run->route->me) {
        job.segments = own;
        job.src_stride = own->row_bytes;
        job.src_offset = run->at;
        job.via = run->identity->first;
    } else {
        int from_index = run->route->in_part[part->source];
        const hm_message_t *in = message_of(run, from_index);
        job.src = run->in + in->at + in->head_bytes + run->route->part[from_index].row_at * run->width;
        job.src_stride = run->width;
    }
    run->jobs->move[run->moves++] = job;
}

static int step_pack(run_t *run, int step, bool heads, const hm_rows_t *own)
{
    for (int i = 0; i < run->route->outs; i++) {
        const hm_message_t *message = &run->route->out[i];
        if (message->step != step) continue;
        for (int p = message->part; p < message->part + message->parts; p++) {
            int status = 0;
            if (heads && run->route->part[p].source == run->route->me) {
                status = own_head_add(run, message);
            } else if (heads) {
                status = forward_head_add(run, message, p);
            }
            if (status != 0) return status;
            payload_add(run, message, p, own);
        }
    }
    return jobs_submit(run);
}

/* What of a message travels in this slice: the head goes with the first. */
static void message_span(const run_t *run, const hm_message_t *message, size_t *at, size_t *bytes)
{
    size_t head = run->at == 0 ? 0 : message->head_bytes;
    *at = message->at + head;
    *bytes = message->head_bytes - head + message->rows * run->width;
}

static ncclResult_t step_exchange(run_t *run, int step)
{
    const hm_comm_t *comm = run->call->comm;
    cudaStream_t stream = run->call->stream;
    size_t at, bytes;
    ncclResult_t result = comm->real->ncclGroupStart();
    for (int i = 0; i < run->route->outs && result == ncclSuccess; i++) {
        const hm_message_t *message = &run->route->out[i];
        message_span(run, message, &at, &bytes);
        if (message->step == step && bytes > 0)
            result = comm->real->ncclSend(run->out + at, bytes, ncclUint8, message->peer, comm->handle, stream);
        if (message->step == step) atomic_fetch_add(&run->call->comm->stats.bytes_sent, bytes);
    }
    for (int i = 0; i < run->route->ins && result == ncclSuccess; i++) {
        const hm_message_t *message = &run->route->in[i];
        message_span(run, message, &at, &bytes);
        if (message->step == step && bytes > 0)
            result = comm->real->ncclRecv(run->in + at, bytes, ncclUint8, message->peer, comm->handle, stream);
    }
    ncclResult_t end = comm->real->ncclGroupEnd();
    return result != ncclSuccess ? result : end;
}

/* Lists which of the rows that came in for several ranks are this rank's: needed once, before the first expand. */
static int own_lists_add(run_t *run)
{
    for (int i = 0; i < run->route->ins; i++) {
        const hm_message_t *in = &run->route->in[i];
        for (int p = in->part; p < in->part + in->parts; p++) {
            const hm_part_t *part = &run->route->part[p];
            run->list[p] = NULL;
            if (in->count == 1) continue;
            run->list[p] = list_take(run, part->rows);
            if (run->list[p] == NULL) return -ENOBUFS;
            run->jobs->pick[run->picks++] =
                (hm_pick_job_t){.mask = (const uint8_t *)run->in + part->mask_at,
                                .mask_bytes = hm_mask_bytes((uint32_t)in->count),
                                .rows = part->rows,
                                .bits = {(uint32_t)(run->topo->pos[run->route->me] - in->first), 1},
                                .index = run->list[p]};
        }
    }
    return 0;
}

/* This rank's map within a part: behind those of the group's earlier positions. */
static const uint32_t *own_map(const run_t *run, const hm_message_t *in, const hm_part_t *part)
{
    size_t at = part->map_at;
    for (int p = in->first; p < run->topo->pos[run->route->me]; p++)
        at += raw_rows(run, part->source, run->topo->order[p]) * sizeof(uint32_t);
    return (const uint32_t *)(run->in + at);
}

/* Writes what came in to the job's receive buffers, in NCCL's order. */
static int slice_expand(run_t *run, size_t row_bytes)
{
    for (int i = 0; i < run->route->ins; i++) {
        const hm_message_t *in = &run->route->in[i];
        for (int p = in->part; p < in->part + in->parts; p++) {
            const hm_part_t *part = &run->route->part[p];
            size_t rows = raw_rows(run, part->source, run->route->me);
            if (rows == 0) continue;
            run->jobs->move[run->moves++] =
                (hm_move_job_t){.dst = (char *)run->call->recv[part->source] + run->at,
                                .dst_stride = row_bytes,
                                .src = run->in + in->at + in->head_bytes + part->row_at * run->width,
                                .src_stride = run->width,
                                .width = run->width,
                                .rows = (uint32_t)rows,
                                .index = own_map(run, in, part),
                                .via = run->list[p]};
        }
    }
    return jobs_submit(run);
}

/* The rows a rank keeps go straight from its send to its receive buffer. */
static void self_add(run_t *run, size_t row_bytes)
{
    int me = run->route->me;
    size_t rows = raw_rows(run, me, me);
    if (rows == 0 || run->call->send[me] == run->call->recv[me]) return;
    run->jobs->move[run->moves++] = (hm_move_job_t){.dst = run->call->recv[me],
                                                    .src = run->call->send[me],
                                                    .dst_stride = row_bytes,
                                                    .src_stride = row_bytes,
                                                    .width = row_bytes,
                                                    .rows = (uint32_t)rows};
}

/* One slice: all steps, then the receive buffers. */
static ncclResult_t slice_run(run_t *run, const hm_rows_t *own)
{
    int depth = run->route->paths->depth, status = 0;
    if (run->at == 0) self_add(run, own->row_bytes);
    for (int step = 1; step <= depth; step++) {
        status = step_pack(run, step, run->at == 0, own);
        if (status != 0) return state_result(status);
        ncclResult_t result = step_exchange(run, step);
        if (result != ncclSuccess) return result;
    }
    if (run->at == 0) status = own_lists_add(run);
    if (status == 0) status = slice_expand(run, own->row_bytes);
    return state_result(status);
}

ncclResult_t exec_run(const hm_call_t *call, hm_a2a_state_t *state, int depth, size_t width,
                      const hm_identity_t *identity)
{
    hm_layout_t layout;
    hm_route_t *route = state->route[depth];
    size_t row_bytes = state->table.row_bytes;
    layout_fill(route, &state->table, width, &layout);
    run_t run = {.call = call,
                 .state = state,
                 .identity = identity,
                 .route = route,
                 .jobs = &state->jobs[depth],
                 .topo = state->topo,
                 .out = state->scratch,
                 .in = (char *)state->scratch + layout.out_bytes,
                 .free = (char *)state->scratch + layout.out_bytes + layout.in_bytes,
                 .end = (char *)state->scratch + state->capacity,
                 .distinct = state->distinct[route->me],
                 .list = state->jobs[depth].list};
    hm_rows_t own = {call->comm->ranks, call->send, state->rows, row_bytes};
    for (run.at = 0; run.at < row_bytes; run.at += width) {
        run.width = row_bytes - run.at < width ? row_bytes - run.at : width;
        ncclResult_t result = slice_run(&run, &own);
        if (result != ncclSuccess) return result;
    }
    return ncclSuccess;
}
