#include "measure_flavour.h"

#include "gather.h"
#include "settings.h"
#include "window.h"

#include "../planner/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROW_BYTES 1024
#define NEAR_BYTES ((size_t)8 << 20) /* of scratch that near ranks read from again and again */
#define NEAR_JOBS 32
#define ROW_COPIES 4 /* of each row among those that identify looks at: what routing to a few experts brings */

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static int stream_wait(const hm_measure_t *m)
{
    return m->state->kernels->wait(m->state->context, m->call->stream, (double)settings_get()->timeout,
                                   &m->call->comm->cancelled);
}

/* Gathers what lies in the table, as an agreement does that has `bytes` to tell of each rank. */
static int gather(const hm_measure_t *m, size_t bytes)
{
    const hm_a2a_state_t *state = m->state;
    size_t own = gather_slot(state, m->call->comm->rank) * bytes;
    int status = state->kernels->copy(state->context, m->call->stream, (char *)state->table_device + own,
                                      (char *)state->table_host + own, bytes);
    return status != 0 ? status : gather_pieces(m->call, m->state, bytes);
}

/* Nobody goes on before all are here; tells the longest time that any rank took. */
static int meet(const hm_measure_t *m, double mine, double *longest)
{
    double *times = (double *)(void *)m->state->table_host;
    times[gather_slot(m->state, m->call->comm->rank)] = mine;
    int status = gather(m, sizeof *times);
    if (status != 0) return status;
    *longest = 0;
    for (int r = 0; r < m->call->comm->ranks; r++)
        if (times[r] > *longest) *longest = times[r];
    return 0;
}

/* How many ranks of another group a rank sends to. */
static int lanes_of(const hm_measure_t *m)
{
    return m->flavour != FLAVOUR_INTRA && m->level == 1 ? m->state->lanes : 1;
}

/* Every other group of those that a group of the level above has. */
static bool group_sends(const hm_topo_t *topo, int level, int rank)
{
    int first = topo->order[topo->start[level - 1][topo->group[level - 1][rank]]];
    return (topo->group[level][rank] - topo->group[level][first]) % 2 == 0;
}

/* Whether `from` sends to `to` in this flavour, and among how many groups its buffer is cut. */
static bool pair_sends(const hm_measure_t *m, int from, int to)
{
    const hm_topo_t *topo = m->state->topo;
    int l = m->level;
    if (m->flavour == FLAVOUR_INTRA) return topo->group[l][from] == topo->group[l][to] && (from != to || l == 0);
    if (m->flavour == FLAVOUR_ALONE && topo->pos[from] != topo->start[l][topo->group[l][from]]) return false;
    if (m->flavour == FLAVOUR_FEW && !group_sends(topo, l, from)) return false;
    if (topo->group[l - 1][from] != topo->group[l - 1][to] || topo->group[l][from] == topo->group[l][to]) return false;
    return lanes_of(m) > 1 || topo_rail_peer(topo, l, topo->group[l][to], from) == to;
}

static int flavour_parts(const hm_measure_t *m)
{
    const hm_topo_t *topo = m->state->topo;
    int above = m->flavour == FLAVOUR_INTRA ? m->level : m->level - 1, most = 1;
    int inner = m->flavour == FLAVOUR_INTRA ? topo->levels : m->level;
    for (int g = 0; g < topo->groups[above]; g++) {
        int first = topo->order[topo->start[above][g]], last = topo->order[topo->start[above][g + 1] - 1];
        int parts = topo->group[inner][last] - topo->group[inner][first] + 1;
        if (parts > most) most = parts;
    }
    return most;
}

/* Between groups calls go in slices, which keeps senders in step: so they are timed. */
static int slices_of(const hm_measure_t *m, size_t bytes)
{
    size_t parts = (size_t)flavour_parts(m);
    return m->flavour == FLAVOUR_INTRA ? 1 : plan_slices_of(bytes - bytes / parts, m->state->kernels->slices);
}

static int exchange_enqueue(const hm_measure_t *m, size_t bytes)
{
    const hm_comm_t *comm = m->call->comm;
    const hm_real_t *real = comm->real;
    size_t share = bytes / (size_t)(flavour_parts(m) * lanes_of(m)), send_at = 0, recv_at = 0;
    ncclResult_t result = real->ncclGroupStart();
    for (int r = 0; r < comm->ranks && result == ncclSuccess; r++) {
        if (send_at + share > m->bytes) send_at = 0;
        if (pair_sends(m, comm->rank, r)) {
            result = real->ncclSend(m->out + send_at, share, ncclUint8, r, comm->handle, m->call->stream);
            send_at += share;
        }
        if (result == ncclSuccess && pair_sends(m, r, comm->rank)) {
            /* Where groups are unequal more may come in than goes out; the bytes do not matter. */
            if (recv_at + share > m->bytes) recv_at = 0;
            result = real->ncclRecv(m->in + recv_at, share, ncclUint8, r, comm->handle, m->call->stream);
            recv_at += share;
        }
    }
    ncclResult_t end = real->ncclGroupEnd();
    return result != ncclSuccess || end != ncclSuccess ? -EIO : 0;
}

/* Whether messages inside the groups of this level go through windows. */
static bool level_near(const hm_measure_t *m)
{
    return m->near && m->flavour == FLAVOUR_INTRA && m->level > 0 && m->level == m->state->topo->levels - 1;
}

/* What a call does with messages between near ranks: tokens, copies, tokens back. */
static int near_enqueue(const hm_measure_t *m, size_t bytes)
{
    hm_a2a_state_t *state = m->state;
    hm_move_job_t jobs[NEAR_JOBS];
    size_t share = bytes / (size_t)flavour_parts(m), at = 0;
    int count = 0, status = window_greet(m->call, state) == ncclSuccess ? 0 : -EIO;
    for (int r = 0; r < m->call->comm->ranks; r++) {
        if (!window_leads_to(state, r)) continue;
        for (size_t done = 0, part; done < share && status == 0; done += part, at += part) {
            part = share - done < state->capacity ? share - done : state->capacity;
            if (at + part > m->bytes) at = 0;
            jobs[count++] = (hm_move_job_t){.dst = m->in + at,
                                            .src = state->window[r],
                                            .dst_stride = part,
                                            .src_stride = part,
                                            .width = part,
                                            .rows = 1};
            if (count < NEAR_JOBS) continue;
            status = state->kernels->move(state->context, m->call->stream, jobs, count);
            count = 0;
        }
    }
    if (count > 0 && status == 0) status = state->kernels->move(state->context, m->call->stream, jobs, count);
    if (status != 0) return status;
    return window_greet(m->call, state) == ncclSuccess ? 0 : -EIO;
}

static int identify_enqueue(hm_measure_t *m, size_t bytes)
{
    size_t ranks = (size_t)m->call->comm->ranks, each = bytes / ROW_BYTES / ranks;
    for (size_t r = 0; r < ranks; r++) {
        m->state->rows[r] = each;
        m->segment[r] = m->out + r * each * ROW_BYTES;
    }
    hm_rows_t rows = {(int)ranks, m->segment, m->state->rows, ROW_BYTES};
    return m->state->kernels->identify(m->state->context, m->call->stream, &rows, m->state->bit, m->state->groups,
                                       m->state->group_count, 64, m->work, &m->identity);
}

static int pack_enqueue(const hm_measure_t *m, size_t bytes)
{
    hm_move_job_t job = {
        .dst = m->in,
        .src = m->out,
        .dst_stride = ROW_BYTES,
        .src_stride = ROW_BYTES,
        .width = ROW_BYTES,
        .rows = (uint32_t)(bytes / ROW_BYTES / (size_t)m->call->comm->ranks * (size_t)m->call->comm->ranks),
        .index = m->identity.id};
    return m->state->kernels->move(m->state->context, m->call->stream, &job, 1);
}

/* What planning a call takes on the host, which grows with the square of the ranks. */
static void plan_run(const hm_measure_t *m)
{
    const hm_a2a_state_t *state = m->state;
    hm_plan_options_t options = {.force_depth = -1, .most_slices = state->kernels->slices};
    hm_table_t table = state->table;
    hm_plan_t plan;
    table.row_bytes = ROW_BYTES;
    plan_choose(state->topo, &state->profile, &table, &options, state->plan_memory, &plan);
}

static int flavour_run(hm_measure_t *m, size_t bytes)
{
    int status = 0;
    switch (m->flavour) {
    case FLAVOUR_INTRA:
    case FLAVOUR_INTER:
    case FLAVOUR_ALONE:
    case FLAVOUR_FEW:
        if (level_near(m)) {
            status = near_enqueue(m, bytes);
            break;
        }
        for (int i = 0, slices = slices_of(m, bytes); i < slices && status == 0; i++)
            status = exchange_enqueue(m, bytes / (size_t)slices);
        break;
    case FLAVOUR_AGREE:
        status = gather(m, m->state->row_words * sizeof(uint32_t));
        if (status == 0) plan_run(m);
        return status;
    case FLAVOUR_IDENTIFY:
        /* An agreement waits for the slowest rank's, and where ranks share cores it shares them with the waiting. */
        status = identify_enqueue(m, bytes);
        if (status == 0) status = gather(m, m->state->row_words * sizeof(uint32_t));
        if (status == 0) plan_run(m);
        return status;
    case FLAVOUR_PACK:
        status = pack_enqueue(m, bytes);
        break;
    }
    return status != 0 ? status : stream_wait(m);
}

/* A job computes between its calls, and what they left on wires and in queues drains meanwhile. */
static void pause_make(void)
{
    struct timespec left = {.tv_nsec = (long)(MEASURE_PAUSE_MS * 1e6)};
    nanosleep(&left, NULL);
}

int measure_flavour_time(hm_measure_t *m, size_t bytes, double *ms)
{
    pause_make();
    int status = meet(m, 0, ms);
    if (status != 0) return status;
    double start = now_ms();
    status = flavour_run(m, bytes);
    return status != 0 ? status : meet(m, now_ms() - start, ms);
}

static void *cut(char **at, size_t bytes)
{
    void *memory = *at;
    *at += (bytes + 255) / 256 * 256;
    return memory;
}

/* Both areas, what identify needs, and rows of which each comes ROW_COPIES times. 0, or what this rank lacks. */
int measure_memory_make(hm_measure_t *m)
{
    size_t ranks = (size_t)m->call->comm->ranks, n = m->bytes / ROW_BYTES, mask = (ranks + 31) / 32 * 4;
    const hm_kernels_t *kernels = m->state->kernels;
    size_t work = kernels->identify_bytes(n), numbers = (n + 1) * sizeof(uint32_t), chunk = m->bytes / ROW_COPIES;
    size_t counts = (1 + (size_t)m->state->group_count) * sizeof(uint32_t);
    char *rows = NULL;
    if (work == 0) return -EFBIG;
    m->segment = malloc(ranks * sizeof *m->segment);
    if (m->segment == NULL) return -ENOMEM;
    int status = state_scratch_alloc(m->state, 2 * m->bytes + work + 2 * numbers + (n + 1) * mask + counts + 6 * 256,
                                     (void **)&m->memory);
    if (status == 0) status = kernels->host_alloc(m->state->context, chunk, (void **)&rows);
    if (status != 0) return status;
    uint64_t value = 0x9E3779B97F4A7C15u * ((uint64_t)m->call->comm->rank + 1);
    for (size_t i = 0; i + sizeof value <= chunk; i += sizeof value) {
        value ^= value << 13, value ^= value >> 7, value ^= value << 17;
        memcpy(rows + i, &value, sizeof value);
    }
    char *at = m->memory;
    m->out = cut(&at, m->bytes);
    m->in = cut(&at, m->bytes);
    m->work = cut(&at, work);
    m->identity = (hm_identity_t){.mask_bytes = mask};
    m->identity.id = cut(&at, numbers);
    m->identity.first = cut(&at, numbers);
    m->identity.mask = cut(&at, (n + 1) * mask);
    m->identity.counts = cut(&at, counts);
    for (size_t i = 0; i + chunk <= m->bytes && status == 0; i += chunk)
        status = kernels->copy(m->state->context, m->call->stream, m->out + i, rows, chunk);
    if (status == 0) status = stream_wait(m);
    kernels->host_free(m->state->context, rows);
    /* Counts to plan with, none of them 0. */
    size_t columns = ranks;
    for (int l = 1; l <= m->state->topo->levels; l++) columns += (size_t)m->state->topo->groups[l];
    memset(m->state->table_memory, 1, ranks * (1 + columns) * sizeof(uint32_t));
    return status;
}

void measure_memory_free(hm_measure_t *m)
{
    m->state->kernels->free(m->state->context, m->memory);
    free(m->segment);
    m->memory = NULL;
    m->segment = NULL;
}

int measure_near_open(hm_measure_t *m)
{
    bool ready;
    const hm_settings_t *settings = settings_get();
    if (m->state->topo->levels < 2 || settings->slices > 1 || settings->max_scratch / 16 < NEAR_BYTES) return 0;
    int status = window_scratch_prepare(m->call, m->state, NEAR_BYTES, &ready);
    m->near = status == 0 && ready && m->state->windows == HM_WINDOWS_ON;
    return status;
}
