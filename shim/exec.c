#include "exec_jobs.h"

#include "timing.h"
#include "window.h"

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
            if (before == 0) status = exec_jobs_lists(run, step);
            if (before >= 0) exec_jobs_expand(run, step, piece_of(run, before));
            if (now >= 0 && status == 0) status = exec_jobs_pack(run, step, now, own);
        }
    }
    return status != 0 ? status : exec_jobs_submit(run);
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
    if (lanes > 1) atomic_fetch_add(&call->comm->stats.spread, 1);
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
