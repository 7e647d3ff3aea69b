#include "window.h"

#include "agree.h"
#include "gather.h"
#include "log.h"
#include "settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_BYTES 16 /* of table_device, which nobody reads between two agreements */
#define PROBE_BYTES 4096
#define PROBE_BLOCK ((size_t)2 << 20) /* what CUDA shares by: a smaller one would let others into its neighbours */

static bool rank_near(const hm_a2a_state_t *state, int me, int rank)
{
    const uint32_t level = (uint32_t)state->topo->levels - 1;
    return rank != me && state->topo->group[level][rank] == state->topo->group[level][me];
}

/* Who keeps NCCL from reading other GPUs' memory has a reason that holds for us too. */
static bool reads_allowed(void)
{
    const char *disable = getenv("NCCL_P2P_DISABLE"), *level = getenv("NCCL_P2P_LEVEL");
    return (disable == NULL || atoi(disable) == 0) && level == NULL;
}

/* Opens the memory of all near ranks by the tickets in the gathered table. Older windows stay open until the
 * communicator ends: closing them may wait for the whole device. */
static bool windows_open(hm_a2a_state_t *state, int me)
{
    const unsigned char *ticket = (const unsigned char *)state->table_host;
    for (int r = 0; r < state->topo->ranks; r++) {
        state->window[r] = NULL;
        if (!rank_near(state, me, r)) continue;
        if (state->kernels->window_open(state->context, ticket + gather_slot(state, r) * HM_TICKET,
                                        &state->window[r]) == 0)
            continue;
        state->window[r] = NULL;
        return false;
    }
    return true;
}

/* What a rank's probe holds: reads that come out otherwise are no windows. */
static void probe_fill(uint64_t *words, int rank)
{
    for (uint64_t i = 0; i < PROBE_BYTES / sizeof *words; i++)
        words[i] = (i + 1 + ((uint64_t)rank << 32)) * 0x9E3779B97F4A7C15u;
}

/* Reads the probes of all near ranks and compares them. probe: device memory of two probes; host: the same, pinned. 0
 * with *right set, or the stream did not come to an end: what fails on this rank alone is for it to say in the vote. */
static int probes_read(const hm_call_t *call, hm_a2a_state_t *state, char *probe, char *host, bool *right)
{
    const hm_kernels_t *kernels = state->kernels;
    int status = 0;
    *right = true;
    for (int r = 0; r < call->comm->ranks && status == 0 && *right; r++) {
        if (state->window[r] == NULL) continue;
        hm_move_job_t job = {.dst = probe + PROBE_BYTES,
                             .src = state->window[r],
                             .dst_stride = PROBE_BYTES,
                             .src_stride = PROBE_BYTES,
                             .width = PROBE_BYTES,
                             .rows = 1};
        status = kernels->move(state->context, call->stream, &job, 1);
        if (status == 0) status = kernels->copy(state->context, call->stream, host + PROBE_BYTES, job.dst, PROBE_BYTES);
        *right = status == 0;
        status = kernels->wait(state->context, call->stream, (double)settings_get()->timeout, &call->comm->cancelled);
        probe_fill((uint64_t *)(void *)host, r);
        *right = *right && status == 0 && memcmp(host, host + PROBE_BYTES, PROBE_BYTES) == 0;
    }
    return status;
}

/* Whether near ranks can read each other's memory, tried with a little of it. The same on all ranks. */
static int windows_try(const hm_call_t *call, hm_a2a_state_t *state)
{
    unsigned char ticket[HM_TICKET] = {0};
    const hm_kernels_t *kernels = state->kernels;
    char *host = NULL;
    void *probe = NULL;
    bool all = false, mine = reads_allowed() &&
                             kernels->host_alloc(state->context, 2 * PROBE_BYTES, (void **)&host) == 0 &&
                             state_scratch_share(state, PROBE_BLOCK, &probe, ticket) == 0;
    int status = 0;
    if (mine) {
        probe_fill((uint64_t *)(void *)host, call->comm->rank);
        mine = kernels->copy(state->context, call->stream, probe, host, PROBE_BYTES) == 0;
    }
    if (!mine) memset(ticket, 0, sizeof ticket);
    status = agree_exchange(call, state, ticket, HM_TICKET);
    if (status == 0 && mine) mine = windows_open(state, call->comm->rank);
    if (status == 0 && mine) status = probes_read(call, state, probe, host, &mine);
    /* Nobody's probe may change before all have read it; it never does. */
    if (status == 0) status = agree_all(call, state, mine, &all);
    if (status == 0) kernels->host_free(state->context, host);
    state->windows = all ? HM_WINDOWS_ON : HM_WINDOWS_OFF;
    if (status == 0 && !all && call->comm->rank == 0)
        log_say(HM_LOG_INFO, call->comm, "ranks of a node cannot read each other's memory: NCCL carries all messages");
    return status;
}

/* Shared memory of so many bytes: a new one, or what was left over when another rank had none. */
static bool spare_take(hm_a2a_state_t *state, size_t capacity)
{
    if (state->spare != NULL && state->spare_bytes >= capacity) return true;
    state->spare_bytes = capacity;
    if (state_scratch_share(state, capacity, &state->spare, state->spare_ticket) == 0) return true;
    state->spare = NULL;
    return false;
}

int window_scratch_prepare(const hm_call_t *call, hm_a2a_state_t *state, size_t capacity, bool *ready)
{
    int status = 0;
    *ready = false;
    if (!settings_get()->windows || state->kernels->share == NULL) state->windows = HM_WINDOWS_OFF;
    if (state->windows == HM_WINDOWS_UNTRIED) status = windows_try(call, state);
    if (status != 0 || state->windows == HM_WINDOWS_OFF) return status;
    /* Memory that others read is kept until the communicator ends, since freeing it may wait for the whole device; so
     * it grows in large steps. */
    size_t kept = state->kept + state->capacity, most = settings_get()->max_scratch;
    if (capacity < 2 * state->capacity && kept + 2 * state->capacity <= most) capacity = 2 * state->capacity;
    if (kept + capacity > most) return 0;
    bool mine = spare_take(state, capacity), all = false;
    status = agree_all(call, state, mine, ready);
    if (status != 0 || !*ready) return status;
    status = agree_exchange(call, state, state->spare_ticket, HM_TICKET);
    if (status != 0) return status;
    state->scratch = state->spare;
    state->spare = NULL;
    state->scratch_shared = state->scratch_stays = true;
    state->kept = kept;
    state->capacity = capacity;
    status = agree_all(call, state, windows_open(state, call->comm->rank), &all);
    if (!all) state->windows = HM_WINDOWS_OFF;
    return status;
}

int window_routes_prepare(hm_a2a_state_t *state, const hm_comm_t *comm, int depth)
{
    hm_route_t **routes = state->near_route[depth];
    size_t ranks = (size_t)comm->ranks, lanes = (size_t)state_lanes(state, depth);
    if (!settings_get()->windows || state->windows == HM_WINDOWS_OFF || state->kernels->share == NULL) return 0;
    if (routes == NULL) routes = state->near_route[depth] = calloc(lanes * ranks, sizeof(hm_route_t *));
    if (routes == NULL) return -ENOMEM;
    for (size_t i = 0; i < lanes * ranks; i++) {
        int r = (int)(i % ranks);
        if (!rank_near(state, comm->rank, r) || routes[i] != NULL) continue;
        int status = route_create(state->paths[depth][i / ranks], r, &routes[i]);
        if (status != 0) return status;
    }
    return 0;
}

static hm_route_t *near_route(const hm_a2a_state_t *state, int depth, int lane, int rank)
{
    return state->near_route[depth][lane * state->topo->ranks + rank];
}

void window_layout(hm_a2a_state_t *state, int depth, size_t width)
{
    for (int r = 0; r < state->topo->ranks; r++) {
        hm_layout_t layout = {0, 0};
        for (int lane = 0; lane < state_lanes(state, depth); lane++)
            if (near_route(state, depth, lane, r) != NULL)
                layout_fill(near_route(state, depth, lane, r), &state->table, width, &layout);
    }
}

static ncclResult_t token_pass(const hm_call_t *call, const hm_a2a_state_t *state, int peer, bool send)
{
    const hm_real_t *real = call->comm->real;
    char *token = (char *)state->table_device;
    if (send) return real->ncclSend(token, TOKEN_BYTES, ncclUint8, peer, call->comm->handle, call->stream);
    return real->ncclRecv(token + TOKEN_BYTES, TOKEN_BYTES, ncclUint8, peer, call->comm->handle, call->stream);
}

static size_t message_bytes(const hm_a2a_state_t *state, const hm_message_t *message, int lane, size_t width)
{
    return message->head_bytes + message->rows * layout_piece(state->table.row_bytes, width, lane).width;
}

/* Whether any message to or from a near rank has bytes; step 0: of all steps. */
static bool messages_flow(const hm_a2a_state_t *state, int depth, bool out, int peer, int step, size_t width)
{
    for (int lane = 0; lane < state_lanes(state, depth); lane++) {
        const hm_route_t *route = state->route[depth][lane];
        const hm_message_t *messages = out ? route->out : route->in;
        for (int i = 0, count = out ? route->outs : route->ins; i < count; i++)
            if (messages[i].peer == peer && (step == 0 || messages[i].step == step) &&
                message_bytes(state, &messages[i], lane, width) > 0)
                return true;
    }
    return false;
}

/* Tokens with all near ranks, the way that messages go or back. */
static ncclResult_t tokens_pass(const hm_call_t *call, const hm_a2a_state_t *state, int depth, int step, size_t width,
                                bool back)
{
    ncclResult_t result = ncclSuccess;
    for (int r = 0; r < call->comm->ranks && result == ncclSuccess; r++) {
        if (!window_leads_to(state, r)) continue;
        if (messages_flow(state, depth, !back, r, step, width)) result = token_pass(call, state, r, true);
        if (result == ncclSuccess && messages_flow(state, depth, back, r, step, width))
            result = token_pass(call, state, r, false);
    }
    return result;
}

ncclResult_t window_tokens(const hm_call_t *call, const hm_a2a_state_t *state, int depth, int step, size_t width)
{
    return tokens_pass(call, state, depth, step, width, false);
}

/* Where a near rank has laid out what it sends this rank in a step of a lane. */
static size_t message_at(const hm_route_t *route, int me, int step)
{
    const hm_message_t *message = route->out;
    while (message->peer != me || message->step != step) message++;
    return message->at;
}

int window_pull(const hm_call_t *call, hm_a2a_state_t *state, int depth, int step, size_t width, char *in)
{
    hm_move_job_t *jobs = state->jobs[depth].move;
    int count = 0;
    for (int lane = 0; lane < state_lanes(state, depth); lane++) {
        const hm_route_t *route = state->route[depth][lane];
        for (int i = 0; i < route->ins; i++) {
            const hm_message_t *message = &route->in[i];
            size_t bytes = message_bytes(state, message, lane, width);
            if (message->step != step || bytes == 0 || !window_leads_to(state, message->peer)) continue;
            size_t at = message_at(near_route(state, depth, lane, message->peer), route->me, step);
            jobs[count++] = (hm_move_job_t){.dst = in + message->at,
                                            .src = (char *)state->window[message->peer] + at,
                                            .dst_stride = bytes,
                                            .src_stride = bytes,
                                            .width = bytes,
                                            .rows = 1};
        }
    }
    return count == 0 ? 0 : state->kernels->move(state->context, call->stream, jobs, count);
}

ncclResult_t window_greet(const hm_call_t *call, const hm_a2a_state_t *state)
{
    const hm_real_t *real = call->comm->real;
    ncclResult_t result = real->ncclGroupStart();
    for (int r = 0; r < call->comm->ranks && result == ncclSuccess; r++) {
        if (!window_leads_to(state, r)) continue;
        result = token_pass(call, state, r, true);
        if (result == ncclSuccess) result = token_pass(call, state, r, false);
    }
    ncclResult_t end = real->ncclGroupEnd();
    return result != ncclSuccess ? result : end;
}

ncclResult_t window_finish(const hm_call_t *call, hm_a2a_state_t *state, int depth, size_t width)
{
    const hm_real_t *real = call->comm->real;
    ncclResult_t result = real->ncclGroupStart();
    if (result == ncclSuccess) result = tokens_pass(call, state, depth, 0, width, true);
    ncclResult_t end = real->ncclGroupEnd();
    return result != ncclSuccess ? result : end;
}

void window_routes_free(hm_a2a_state_t *state)
{
    for (int d = 0; d <= HM_MAX_LEVELS; d++) {
        int routes = state->near_route[d] != NULL ? state_lanes(state, d) * state->topo->ranks : 0;
        for (int i = 0; i < routes; i++) route_destroy(state->near_route[d][i]);
        free(state->near_route[d]);
    }
}
