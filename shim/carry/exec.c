#include "exec.h"

#include "exec_jobs.h"
#include "near.h"

#include "planner/call/layout.h"

/* Whether a message goes through a window. */
static bool message_near(const hm_run_t *run, const hm_message_t *message)
{
    return run->near && windows_lead_to(run->windows, message->peer);
}

/* The sends and receives of one step of a slice in this lane, inside a group. */
static ncclResult_t step_exchange(hm_run_t *run, int step, int index)
{
    const hm_route_t *route = run->lane.route;
    ncclResult_t result = ncclSuccess;
    size_t width = run_piece(run, index).width;
    for (int i = 0; i < route->outs && result == ncclSuccess; i++) {
        const hm_message_t *message = &route->out[i];
        if (message->step != step) continue;
        hm_span_t span = message_span(message, index, width);
        if (span.bytes > 0 && !message_near(run, message))
            result = channel_send(run->channel, run->areas.out + span.at, span.bytes, message->peer);
        hm_comm_t *comm = run->channel->comm;
        stats_sent_add(&comm->stats, &comm->seat, place_node(run->load->place, message->peer), span.bytes);
    }
    for (int i = 0; i < route->ins && result == ncclSuccess; i++) {
        const hm_message_t *message = &route->in[i];
        if (message->step != step) continue;
        hm_span_t span = message_span(message, index, width);
        if (span.bytes > 0 && !message_near(run, message))
            result = channel_recv(run->channel, run->areas.in + span.at, span.bytes, message->peer);
    }
    return result;
}

/* The rows a rank keeps go straight from its send to its receive buffer, beside what the wires carry. */
static int self_move(const hm_run_t *run)
{
    int me = run->channel->comm->rank;
    size_t rows = run_rows_raw(run, me, me), row_bytes = run->load->table->row_bytes;
    hm_move_job_t job = {.dst = run->load->call->recv[me],
                         .src = run->load->call->send[me],
                         .dst_stride = row_bytes,
                         .src_stride = row_bytes,
                         .width = row_bytes,
                         .rows = (uint32_t)rows};
    if (rows == 0) return 0;
    return run->channel->kernels->move_beside(run->channel->context, run->channel->stream, &job, 1);
}

/* The slice that is in a step at a tick, or -1: slice k makes step s at tick k + s - 1, so that one slice crosses the
 * inner links while the next one crosses the outer ones. */
static int slice_at(const hm_run_t *run, int tick, int step)
{
    int index = tick - (step - 1);
    return index >= 0 && index < run->slices ? index : -1;
}

/* Packs what the tick sends, and unpacks what the tick before it received, in all lanes. */
static int tick_move(hm_run_t *run, int tick, const hm_rows_t *own)
{
    int status = 0;
    for (int step = 1; step <= run->load->depth && status == 0; step++) {
        int before = slice_at(run, tick - 1, step), now = slice_at(run, tick, step);
        for (int lane = 0; lane < run->lanes && status == 0; lane++) {
            run_lane_enter(run, lane);
            if (before == 0) status = exec_jobs_lists(run, step);
            if (before >= 0) exec_jobs_expand(run, step, run_piece(run, before));
            if (now >= 0 && status == 0) status = exec_jobs_pack(run, step, now, own);
        }
    }
    return status != 0 ? status : exec_jobs_submit(run);
}

static ncclResult_t tick_exchange(hm_run_t *run, int tick)
{
    ncclResult_t result = channel_group_begin(run->channel);
    for (int step = 1; step <= run->load->depth && result == ncclSuccess; step++) {
        int index = slice_at(run, tick, step);
        for (int lane = 0; lane < run->lanes && index >= 0 && result == ncclSuccess; lane++) {
            run_lane_enter(run, lane);
            result = step_exchange(run, step, index);
        }
        if (index >= 0 && run->near && result == ncclSuccess) result = near_tokens(run, step);
    }
    return channel_group_end(run->channel, result);
}

static ncclResult_t ticks_run(hm_run_t *run, hm_clock_t *clock, const hm_rows_t *own)
{
    const hm_channel_t *channel = run->channel;
    int ticks = run->slices + run->load->depth - 1;
    for (int tick = 0; tick < ticks; tick++) {
        int status = tick_move(run, tick, own);
        if (status == 0 && tick == 0) status = channel->kernels->fork(channel->context, channel->stream);
        if (status != 0) return channel_result(status);
        clock_step(clock, channel);
        ncclResult_t result = tick_exchange(run, tick);
        if (result != ncclSuccess) return result;
        if (run->near) status = near_pull(run, tick + 1);
        clock_step(clock, channel);
        if (tick == 0 && status == 0) status = self_move(run);
        if (status != 0) return channel_result(status);
    }
    int status = tick_move(run, ticks, own);
    if (status != 0 || !run->near) return channel_result(status);
    return near_finish(run);
}

/* Lays all messages out and parts the scratch. */
static void run_lay(hm_run_t *run, const hm_scratch_t *scratch)
{
    hm_layout_t layout = {0, 0};
    for (int lane = 0; lane < run->lanes; lane++)
        layout_fill(run->routes->route[lane], run->load->table, run->load->width, &layout);
    char *memory = scratch->memory;
    run->areas = (hm_areas_t){.out = memory,
                              .in = memory + layout.out_bytes,
                              .free = memory + layout.out_bytes + layout.in_bytes,
                              .end = memory + scratch->capacity};
    if (run->near) near_layout(run);
}

hm_run_t exec_open(const hm_load_t *load, hm_carry_t *carry, hm_channel_t *channel)
{
    int lanes = place_lanes(load->place, load->depth);
    size_t row_bytes = load->table->row_bytes, pieces = (row_bytes + load->width - 1) / load->width;
    hm_run_t run = {.load = load,
                    .channel = channel,
                    .windows = &carry->windows,
                    .routes = &carry->routes.depth[load->depth],
                    .lanes = lanes,
                    .slices = ((int)pieces + lanes - 1) / lanes};
    run.near = run.slices == 1 && carry->windows.use == HM_WINDOWS_ON;
    run_lay(&run, &carry->scratch);
    return run;
}

ncclResult_t exec_run(const hm_load_t *load, hm_carry_t *carry, hm_channel_t *channel, hm_clock_t *clock)
{
    hm_run_t run = exec_open(load, carry, channel);
    if (run.lanes > 1) atomic_fetch_add(&channel->comm->stats.spread, 1);
    if (run.near) atomic_fetch_add(&channel->comm->stats.windows, 1);
    hm_rows_t own = {channel->comm->ranks, load->call->send, load->rows->count, load->table->row_bytes};
    ncclResult_t result = ticks_run(&run, clock, &own);
    /* Also after an error: the memory of this call is free once the stream has come to this point. */
    int status = channel->kernels->merge(channel->context, channel->stream);
    return result != ncclSuccess ? result : channel_result(status);
}
