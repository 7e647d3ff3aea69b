#define _GNU_SOURCE
#include "state.h"

#include "log.h"
#include "settings.h"

#include "agree.h"
#include "topology.h"
#include "window.h"

#include "../planner/plan.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RANKS_MAX 1024 /* the agreed table grows with the square of the ranks */

ncclResult_t state_result(int status)
{
    switch (status) {
    case 0:
        return ncclSuccess;
    case -ENOMEM:
        return ncclSystemError;
    case -ETIMEDOUT:
    case -EPROTO:
        return ncclRemoteError;
    case -EIO:
        return ncclUnhandledCudaError;
    default:
        return ncclInternalError;
    }
}

static void kernels_say(const char *text)
{
    log_say(HM_LOG_WARN, NULL, "%s", text);
}

static void kernels_listen(void)
{
    hm_kernels_say = kernels_say;
}

/* The device of the communicator, whatever the calling thread's is; -1: NCCL does not say. */
static int device_of(const hm_comm_t *comm)
{
    int device;
    if (comm->real->ncclCommCuDevice == NULL) return -1;
    return comm->real->ncclCommCuDevice(comm->handle, &device) == ncclSuccess ? device : -1;
}

/* The back end for the kind of memory this NCCL works on. */
static int kernels_open(hm_a2a_state_t *state, const hm_comm_t *comm, hm_reason_t *reason)
{
    const char *why = NULL;
    void *enqueue = dlsym(comm->real->handle, "hostncclStreamEnqueue");
    void *wait = dlsym(comm->real->handle, "hostncclStreamWait");
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    *reason = HM_REASON_NO_BACK_END;
    pthread_once(&once, kernels_listen);
    if (enqueue != NULL && wait != NULL) {
        memcpy(&state->host_stream.enqueue, &enqueue, sizeof enqueue);
        memcpy(&state->host_stream.wait, &wait, sizeof wait);
        state->kernels = &hm_kernels_host;
    } else {
        state->kernels = kernels_cuda_open(&why);
    }
    if (state->kernels != NULL) {
        int device = device_of(comm);
        const void *hook = state->kernels == &hm_kernels_host ? (const void *)&state->host_stream : &device;
        /* What one rank alone may lack. */
        *reason = HM_REASON_NO_MEMORY;
        return state->kernels->context_create(hook, &state->context);
    }
    log_say(HM_LOG_WARN, comm, "calls are left alone: %s", why);
    return -ENODEV;
}

hm_a2a_state_t *state_create(hm_comm_t *comm, hm_reason_t *reason)
{
    *reason = HM_REASON_TOO_MANY_RANKS;
    if (comm->ranks > RANKS_MAX) return NULL;
    *reason = HM_REASON_NO_MEMORY;
    hm_a2a_state_t *state = calloc(1, sizeof *state);
    if (state == NULL) return NULL;
    pthread_mutex_init(&state->lock, NULL);
    learn_init(&state->learn);
    if (kernels_open(state, comm, reason) != 0) {
        pthread_mutex_destroy(&state->lock);
        free(state);
        return NULL;
    }
    comm->a2a = state;
    return state;
}

/* The groups of all levels as intervals of positions: the order of the counts in the agreed table. */
static int groups_list(hm_a2a_state_t *state)
{
    const hm_topo_t *topo = state->topo;
    int count = 0;
    for (int l = 1; l <= topo->levels; l++) count += topo->groups[l];
    state->groups = malloc((size_t)count * sizeof *state->groups);
    state->bit = malloc((size_t)topo->ranks * sizeof *state->bit);
    if (state->groups == NULL || state->bit == NULL) return -ENOMEM;
    for (int l = 1; l <= topo->levels; l++)
        for (int g = 0; g < topo->groups[l]; g++)
            state->groups[state->group_count++] =
                (hm_bits_t){(uint32_t)topo->start[l][g], (uint32_t)topo_group_size(topo, l, g)};
    for (int r = 0; r < topo->ranks; r++) state->bit[r] = (uint32_t)topo->pos[r];
    return 0;
}

/* The rule of HIERMOE_TEST_FAIL_ALLOC. */
static bool alloc_fails(hm_a2a_state_t *state)
{
    long fail_from = settings_get()->test_fail_alloc;
    return fail_from > 0 && ++state->allocs >= fail_from;
}

int state_scratch_alloc(hm_a2a_state_t *state, size_t bytes, void **memory)
{
    return alloc_fails(state) ? -ENOMEM : state->kernels->alloc(state->context, bytes, memory);
}

int state_scratch_share(hm_a2a_state_t *state, size_t bytes, void **memory, unsigned char *ticket)
{
    return alloc_fails(state) ? -ENOMEM : state->kernels->share(state->context, bytes, memory, ticket);
}

static size_t row_words(size_t ranks, size_t groups)
{
    /* Rows of the gathered table start at multiples of 16 bytes. */
    return (sizeof(hm_agree_head_t) / sizeof(uint32_t) + 2 * ranks + 1 + groups + 3) / 4 * 4;
}

int state_table_reserve(hm_a2a_state_t *state, int ranks)
{
    size_t n = (size_t)ranks, levels = 2;
    for (const char *at = settings_get()->topo; at != NULL && *at != '\0'; at++) levels += *at == ',';
    if (levels < HM_SEAT_LEVELS + 1) levels = HM_SEAT_LEVELS + 1;
    if (levels > HM_MAX_LEVELS) levels = HM_MAX_LEVELS;
    size_t bytes = n * row_words(n, levels * n) * sizeof(uint32_t);
    state->table_memory = malloc((n + n * n + n * levels * n) * sizeof(uint32_t));
    state->work = malloc(n * sizeof *state->work);
    state->rows = malloc(n * sizeof *state->rows);
    state->ranges = malloc(2 * n * sizeof *state->ranges);
    state->window = calloc(n, sizeof *state->window);
    state->slot = malloc(n * sizeof *state->slot);
    state->plan_memory = malloc(plan_memory(ranks) * sizeof *state->plan_memory);
    if (state->table_memory == NULL || state->work == NULL || state->rows == NULL || state->ranges == NULL ||
        state->window == NULL || state->slot == NULL || state->plan_memory == NULL)
        return -ENOMEM;
    for (uint32_t r = 0; r < n; r++) state->slot[r] = r;
    int status = state_scratch_alloc(state, bytes, (void **)&state->table_device);
    if (status != 0) return status;
    return state->kernels->host_alloc(state->context, bytes, (void **)&state->table_host);
}

static void table_cut(hm_a2a_state_t *state)
{
    size_t n = (size_t)state->topo->ranks;
    uint32_t *at = state->table_memory;
    state->row_words = row_words(n, (size_t)state->group_count);
    state->distinct = at;
    state->table.raw = at += n;
    at += n * n;
    for (int l = 1; l <= state->topo->levels; l++) {
        state->table.distinct[l] = at;
        at += n * (size_t)state->topo->groups[l];
    }
}

int state_topology_set(hm_a2a_state_t *state, hm_topo_t *topo, bool spread)
{
    state->topo = topo;
    state->lanes = spread ? topo_lanes(topo) : 1;
    int status = groups_list(state);
    if (status == 0) table_cut(state);
    return status;
}

static void jobs_free(hm_jobs_t *jobs)
{
    free(jobs->pick);
    free(jobs->map);
    free(jobs->move);
    free(jobs->list[0]);
    *jobs = (hm_jobs_t){0};
}

/* Room for the jobs of any tick: exec.c says how many each of its functions adds. */
static int jobs_make(hm_route_t *const *route, int lanes, int ranks, hm_jobs_t *jobs)
{
    size_t n = (size_t)ranks, parts = 0;
    for (int lane = 0; lane < lanes; lane++) parts += (size_t)route[lane]->parts;
    *jobs = (hm_jobs_t){.pick = malloc((parts + 2 * n) * sizeof *jobs->pick),
                        .map = malloc(n * sizeof *jobs->map),
                        .move = malloc((2 * parts + n + 1) * sizeof *jobs->move)};
    jobs->list[0] = malloc((parts + 1) * sizeof *jobs->list[0]);
    if (jobs->pick == NULL || jobs->map == NULL || jobs->move == NULL || jobs->list[0] == NULL) {
        jobs_free(jobs);
        return -ENOMEM;
    }
    for (int lane = 1; lane < lanes; lane++) jobs->list[lane] = jobs->list[lane - 1] + route[lane - 1]->parts;
    return 0;
}

int state_route_prepare(hm_a2a_state_t *state, const hm_comm_t *comm, int depth)
{
    int status = 0, lanes = state_lanes(state, depth);
    hm_paths_t **paths = state->paths[depth];
    hm_route_t **route = state->route[depth];
    for (int lane = 0; lane < lanes && status == 0; lane++) {
        if (paths[lane] == NULL) status = paths_create(state->topo, depth, lane, lanes, &paths[lane]);
        if (status == 0 && route[lane] == NULL) status = route_create(paths[lane], comm->rank, &route[lane]);
    }
    if (status == 0 && state->jobs[depth].pick == NULL)
        status = jobs_make(route, lanes, comm->ranks, &state->jobs[depth]);
    return status != 0 ? status : window_routes_prepare(state, comm, depth);
}

void a2a_state_destroy(hm_comm_t *comm)
{
    hm_a2a_state_t *state = comm->a2a;
    if (state == NULL) return;
    comm->a2a = NULL;
    /* After an abort near ranks may still read here; what they read stays. */
    if (atomic_load(&comm->aborted) || comm_failure(comm) != ncclSuccess) state->kernels->abandon(state->context);
    window_routes_free(state);
    free(state->window);
    if (!state->scratch_stays) state->kernels->free(state->context, state->scratch);
    state->kernels->free(state->context, state->identity_memory);
    state->kernels->free(state->context, state->table_device);
    state->kernels->host_free(state->context, state->table_host);
    state->kernels->context_destroy(state->context);
    for (int d = 0; d <= HM_MAX_LEVELS; d++) {
        jobs_free(&state->jobs[d]);
        for (int lane = 0; lane < HM_MAX_LANES; lane++) {
            route_destroy(state->route[d][lane]);
            paths_destroy(state->paths[d][lane]);
        }
    }
    topo_destroy(state->topo);
    free(state->groups);
    free(state->bit);
    free(state->table_memory);
    free(state->work);
    free(state->rows);
    free(state->slot);
    free(state->ranges);
    free(state->plan_memory);
    pthread_mutex_destroy(&state->lock);
    free(state);
}
