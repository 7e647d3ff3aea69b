#include "near.h"

#include "planner/call/layout.h"

#define TOKEN_BYTES 16 /* of the board on the device, which nobody reads between two agreements */

static hm_route_t *near_route(const hm_run_t *run, int lane, int rank)
{
    return run->routes->near[lane * run->load->place->topo->ranks + rank];
}

void near_layout(const hm_run_t *run)
{
    for (int r = 0; r < run->load->place->topo->ranks; r++) {
        hm_layout_t layout = {0, 0};
        for (int lane = 0; lane < run->lanes; lane++)
            if (near_route(run, lane, r) != NULL)
                layout_fill(near_route(run, lane, r), run->load->table, run->load->width, &layout);
    }
}

static ncclResult_t token_send(const hm_channel_t *channel, const hm_board_t *board, int rank)
{
    return channel_send(channel, board->device, TOKEN_BYTES, rank);
}

static ncclResult_t token_recv(const hm_channel_t *channel, const hm_board_t *board, int rank)
{
    return channel_recv(channel, (char *)board->device + TOKEN_BYTES, TOKEN_BYTES, rank);
}

/* Bytes of a message in a call of one slice. */
static size_t bytes_of(const hm_run_t *run, const hm_message_t *message, int lane)
{
    hm_piece_t piece = message_piece(run->load->table->row_bytes, run->load->width, lane);
    return message_span(message, 0, piece.width).bytes;
}

/* Whether any message to or from a near rank has bytes; step 0: of all steps. */
static bool messages_flow(const hm_run_t *run, bool out, int peer, int step)
{
    for (int lane = 0; lane < run->lanes; lane++) {
        const hm_route_t *route = run->routes->route[lane];
        const hm_message_t *messages = out ? route->out : route->in;
        for (int i = 0, count = out ? route->outs : route->ins; i < count; i++)
            if (messages[i].peer == peer && (step == 0 || messages[i].step == step) &&
                bytes_of(run, &messages[i], lane) > 0)
                return true;
    }
    return false;
}

/* Tokens with all near ranks, the way that messages go or back. */
static ncclResult_t tokens_pass(const hm_run_t *run, int step, bool back)
{
    ncclResult_t result = ncclSuccess;
    for (int r = 0; r < run->channel->comm->ranks && result == ncclSuccess; r++) {
        if (!windows_lead_to(run->windows, r)) continue;
        if (messages_flow(run, !back, r, step)) result = token_send(run->channel, run->load->board, r);
        if (result == ncclSuccess && messages_flow(run, back, r, step))
            result = token_recv(run->channel, run->load->board, r);
    }
    return result;
}

ncclResult_t near_tokens(const hm_run_t *run, int step)
{
    return tokens_pass(run, step, false);
}

/* Where a near rank has laid out what it sends this rank in a step of a lane. */
static size_t message_at(const hm_route_t *route, int me, int step)
{
    const hm_message_t *message = route->out;
    while (message->peer != me || message->step != step) message++;
    return message->at;
}

int near_pull(const hm_run_t *run, int step)
{
    hm_move_job_t *jobs = run->routes->jobs.move;
    int count = 0;
    for (int lane = 0; lane < run->lanes; lane++) {
        const hm_route_t *route = run->routes->route[lane];
        for (int i = 0; i < route->ins; i++) {
            const hm_message_t *message = &route->in[i];
            size_t bytes = bytes_of(run, message, lane);
            if (message->step != step || bytes == 0 || !windows_lead_to(run->windows, message->peer)) continue;
            size_t at = message_at(near_route(run, lane, message->peer), route->me, step);
            jobs[count++] = (hm_move_job_t){.dst = run->areas.in + message->at,
                                            .src = (char *)run->windows->window[message->peer] + at,
                                            .dst_stride = bytes,
                                            .src_stride = bytes,
                                            .width = bytes,
                                            .rows = 1};
        }
    }
    return count == 0 ? 0 : channel_move(run->channel, jobs, count);
}

ncclResult_t near_finish(const hm_run_t *run)
{
    ncclResult_t result = channel_group_begin(run->channel);
    if (result == ncclSuccess) result = tokens_pass(run, 0, true);
    return channel_group_end(run->channel, result);
}

ncclResult_t near_greet(const hm_windows_t *windows, hm_channel_t *channel, const hm_board_t *board)
{
    ncclResult_t result = channel_group_begin(channel);
    for (int r = 0; r < channel->comm->ranks && result == ncclSuccess; r++) {
        if (!windows_lead_to(windows, r)) continue;
        result = token_send(channel, board, r);
        if (result == ncclSuccess) result = token_recv(channel, board, r);
    }
    return channel_group_end(channel, result);
}
