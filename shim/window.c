#include "window.h"

#include "agree.h"
#include "log.h"
#include "settings.h"

#include <errno.h>
#include <stdlib.h>

#define TOKEN_BYTES 16 /* of table_device, which nobody reads between two agreements */

static bool rank_near(const hm_a2a_state_t *state, int me, int rank)
{
    const uint32_t level = (uint32_t)state->topo->levels - 1;
    return rank != me && state->topo->group[level][rank] == state->topo->group[level][me];
}

static void windows_shut(hm_a2a_state_t *state)
{
    for (int r = 0; r < state->topo->ranks; r++) {
        if (state->window[r] != NULL) state->kernels->window_close(state->context, state->window[r]);
        state->window[r] = NULL;
    }
}

/* Opens the memory of all near ranks by the tickets in the gathered table. */
static bool windows_open(hm_a2a_state_t *state, int me)
{
    const unsigned char *ticket = (const unsigned char *)state->table_host;
    for (int r = 0; r < state->topo->ranks; r++) {
        if (!rank_near(state, me, r)) continue;
        if (state->kernels->window_open(state->context, ticket + (size_t)r * HM_TICKET, &state->window[r]) == 0)
            continue;
        state->window[r] = NULL;
        return false;
    }
    return true;
}

/* Tells all ranks how this one's memory is reached and learns whether every rank reached all near ones. */
static int windows_settle(const hm_call_t *call, hm_a2a_state_t *state, const unsigned char *ticket)
{
    bool all = false;
    int status = agree_exchange(call, state, ticket, HM_TICKET);
    if (status != 0) return status;
    bool mine = windows_open(state, call->comm->rank);
    status = agree_all(call, state, mine, &all);
    if (status == 0 && all) {
        state->windows = HM_WINDOWS_ON;
        return 0;
    }
    windows_shut(state);
    state->windows = HM_WINDOWS_OFF;
    if (status == 0 && call->comm->rank == 0)
        log_say(HM_LOG_INFO, call->comm, "ranks of a node cannot read each other's memory: NCCL carries all messages");
    return status;
}

int window_scratch_prepare(const hm_call_t *call, hm_a2a_state_t *state, size_t capacity, bool *ready)
{
    unsigned char ticket[HM_TICKET] = {0};
    void *memory = NULL;
    *ready = false;
    if (!settings_get()->windows || state->kernels->share == NULL) state->windows = HM_WINDOWS_OFF;
    /* Memory that others read is kept until the communicator ends: freeing it may wait for the whole device. */
    size_t kept = state->kept + state->capacity, most = settings_get()->max_scratch;
    if (capacity < 2 * state->capacity && kept + 2 * state->capacity <= most) capacity = 2 * state->capacity;
    if (kept + capacity > most) state->windows = HM_WINDOWS_OFF;
    windows_shut(state);
    if (state->windows == HM_WINDOWS_OFF) return 0;
    state->windows = HM_WINDOWS_OFF;
    bool mine = state_scratch_share(state, capacity, &memory, ticket) == 0;
    int status = agree_all(call, state, mine, ready);
    state->kept += *ready ? state->capacity : capacity;
    if (status != 0 || !*ready) return status;
    state->scratch = memory;
    state->scratch_shared = true;
    state->capacity = capacity;
    return windows_settle(call, state, ticket);
}

int window_routes_prepare(hm_a2a_state_t *state, const hm_comm_t *comm, int depth)
{
    hm_route_t **routes = state->near_route[depth];
    if (!settings_get()->windows || state->kernels->share == NULL) return 0;
    if (routes == NULL) routes = state->near_route[depth] = calloc((size_t)comm->ranks, sizeof(hm_route_t *));
    if (routes == NULL) return -ENOMEM;
    for (int r = 0; r < comm->ranks; r++) {
        if (!rank_near(state, comm->rank, r) || routes[r] != NULL) continue;
        int status = route_create(state->paths[depth], r, &routes[r]);
        if (status != 0) return status;
    }
    return 0;
}

void window_layout(hm_a2a_state_t *state, int depth, size_t width)
{
    hm_layout_t unused;
    for (int r = 0; r < state->topo->ranks; r++)
        if (state->near_route[depth][r] != NULL)
            layout_fill(state->near_route[depth][r], &state->table, width, &unused);
}

ncclResult_t window_token(const hm_call_t *call, const hm_a2a_state_t *state, int peer, bool send)
{
    const hm_real_t *real = call->comm->real;
    char *token = (char *)state->table_device;
    if (send) return real->ncclSend(token, TOKEN_BYTES, ncclUint8, peer, call->comm->handle, call->stream);
    return real->ncclRecv(token + TOKEN_BYTES, TOKEN_BYTES, ncclUint8, peer, call->comm->handle, call->stream);
}

/* Where a near rank has laid out what it sends this rank in a step. */
static size_t message_at(const hm_route_t *route, int me, int step)
{
    const hm_message_t *message = route->out;
    while (message->peer != me || message->step != step) message++;
    return message->at;
}

static size_t message_bytes(const hm_message_t *message, size_t width)
{
    return message->head_bytes + message->rows * width;
}

int window_pull(const hm_call_t *call, hm_a2a_state_t *state, int depth, int step, size_t width, char *in)
{
    const hm_route_t *route = state->route[depth];
    hm_move_job_t *jobs = state->jobs[depth].move;
    int count = 0;
    for (int i = 0; i < route->ins; i++) {
        const hm_message_t *message = &route->in[i];
        size_t bytes = message_bytes(message, width);
        if (message->step != step || bytes == 0 || !window_leads_to(state, message->peer)) continue;
        const hm_route_t *peer = state->near_route[depth][message->peer];
        jobs[count++] = (hm_move_job_t){.dst = in + message->at,
                                        .src = (char *)state->window[message->peer] + message_at(peer, route->me, step),
                                        .dst_stride = bytes,
                                        .src_stride = bytes,
                                        .width = bytes,
                                        .rows = 1};
    }
    return count == 0 ? 0 : state->kernels->move(state->context, call->stream, jobs, count);
}

/* Whether any of the messages with a near rank has bytes. */
static bool messages_flow(const hm_message_t *messages, int count, int peer, size_t width)
{
    for (int i = 0; i < count; i++)
        if (messages[i].peer == peer && message_bytes(&messages[i], width) > 0) return true;
    return false;
}

ncclResult_t window_finish(const hm_call_t *call, hm_a2a_state_t *state, int depth, size_t width)
{
    const hm_route_t *route = state->route[depth];
    const hm_real_t *real = call->comm->real;
    ncclResult_t result = real->ncclGroupStart();
    for (int r = 0; r < call->comm->ranks && result == ncclSuccess; r++) {
        if (!window_leads_to(state, r)) continue;
        if (messages_flow(route->in, route->ins, r, width)) result = window_token(call, state, r, true);
        if (result == ncclSuccess && messages_flow(route->out, route->outs, r, width))
            result = window_token(call, state, r, false);
    }
    ncclResult_t end = real->ncclGroupEnd();
    return result != ncclSuccess ? result : end;
}

void window_close(hm_a2a_state_t *state)
{
    if (state->topo != NULL && state->window != NULL) windows_shut(state);
    for (int d = 0; d <= HM_MAX_LEVELS; d++) {
        for (int r = 0; state->near_route[d] != NULL && r < state->topo->ranks; r++)
            route_destroy(state->near_route[d][r]);
        free(state->near_route[d]);
    }
    free(state->window);
}
