#include "measure_flavour.h"

#include "base/settings.h"
#include "carry/near.h"

#include "planner/call/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROW_BYTES 1024
#define NEAR_BYTES ((size_t)8 << 20) /* of scratch that near ranks read from again and again */
#define NEAR_JOBS 32
#define ROW_COPIES 4 /* of each row among those that identify looks at: what routing to a few experts brings */
#define PINNED_BYTES ((size_t)4 << 20) /* at most, that rows are made in: on GPUs they stay until the context ends */

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

/* Gathers what lies on the board, as an agreement does that has `bytes` to tell of each rank. */
static int gather(const hm_measure_t *m, size_t bytes)
{
    return board_exchange(&m->parts->agree.board, &m->parts->channel, NULL, bytes);
}

/* Nobody goes on before all are here; tells the longest time that any rank took. */
static int meet(const hm_measure_t *m, double mine, double *longest)
{
    hm_parts_t *parts = m->parts;
    int status = board_exchange(&parts->agree.board, &parts->channel, &mine, sizeof mine);
    if (status != 0) return status;
    *longest = 0;
    for (int r = 0; r < parts->channel.comm->ranks; r++) {
        double time;
        memcpy(&time, board_host(&parts->agree.board, r, sizeof time), sizeof time);
        if (time > *longest) *longest = time;
    }
    return 0;
}

/* How many ranks of another group a rank sends to. */
static int lanes_of(const hm_measure_t *m)
{
    return m->flavour != FLAVOUR_INTRA && m->level == 1 ? m->parts->place.lanes : 1;
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
    const hm_topo_t *topo = m->parts->place.topo;
    int l = m->level;
    if (m->flavour == FLAVOUR_INTRA) return topo->group[l][from] == topo->group[l][to] && (from != to || l == 0);
    if (m->flavour == FLAVOUR_ALONE && topo->pos[from] != topo->start[l][topo->group[l][from]]) return false;
    if (m->flavour == FLAVOUR_FEW && !group_sends(topo, l, from)) return false;
    if (topo->group[l - 1][from] != topo->group[l - 1][to] || topo->group[l][from] == topo->group[l][to]) return false;
    return lanes_of(m) > 1 || topo_rail_peer(topo, l, topo->group[l][to], from) == to;
}

static int flavour_parts(const hm_measure_t *m)
{
    const hm_topo_t *topo = m->parts->place.topo;
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
    return m->flavour == FLAVOUR_INTRA ? 1 : plan_slices_of(bytes - bytes / parts, m->parts->channel.kernels->slices);
}

static int exchange_enqueue(const hm_measure_t *m, size_t bytes)
{
    hm_channel_t *channel = &m->parts->channel;
    size_t share = bytes / (size_t)(flavour_parts(m) * lanes_of(m)), send_at = 0, recv_at = 0;
    int me = channel->comm->rank;
    ncclResult_t result = channel_group_begin(channel);
    for (int r = 0; r < channel->comm->ranks && result == ncclSuccess; r++) {
        if (send_at + share > m->bytes) send_at = 0;
        if (pair_sends(m, me, r)) {
            result = channel_send(channel, m->out + send_at, share, r);
            send_at += share;
        }
        if (result == ncclSuccess && pair_sends(m, r, me)) {
            /* Where groups are unequal more may come in than goes out; the bytes do not matter. */
            if (recv_at + share > m->bytes) recv_at = 0;
            result = channel_recv(channel, m->in + recv_at, share, r);
            recv_at += share;
        }
    }
    return channel_status(channel, channel_group_end(channel, result), -EIO);
}

/* Whether messages inside the groups of this level go through windows. */
static bool level_near(const hm_measure_t *m)
{
    return m->near && m->flavour == FLAVOUR_INTRA && m->level > 0 && m->level == m->parts->place.topo->levels - 1;
}

/* Tokens with all near ranks. */
static int greet(const hm_measure_t *m)
{
    hm_parts_t *parts = m->parts;
    ncclResult_t result = near_greet(&parts->carry.windows, &parts->channel, &parts->agree.board);
    return channel_status(&parts->channel, result, -EIO);
}

/* What a call does with messages between near ranks: tokens, copies, tokens back. */
static int near_enqueue(const hm_measure_t *m, size_t bytes)
{
    const hm_channel_t *channel = &m->parts->channel;
    const hm_carry_t *carry = &m->parts->carry;
    hm_move_job_t jobs[NEAR_JOBS];
    size_t share = bytes / (size_t)flavour_parts(m), capacity = carry->scratch.capacity, at = 0;
    int count = 0, status = greet(m);
    for (int r = 0; r < channel->comm->ranks; r++) {
        if (!windows_lead_to(&carry->windows, r)) continue;
        for (size_t done = 0, part; done < share && status == 0; done += part, at += part) {
            part = share - done < capacity ? share - done : capacity;
            if (at + part > m->bytes) at = 0;
            jobs[count++] = (hm_move_job_t){.dst = m->in + at,
                                            .src = carry->windows.window[r],
                                            .dst_stride = part,
                                            .src_stride = part,
                                            .width = part,
                                            .rows = 1};
            if (count < NEAR_JOBS) continue;
            status = channel_move(channel, jobs, count);
            count = 0;
        }
    }
    if (count > 0 && status == 0) status = channel_move(channel, jobs, count);
    return status != 0 ? status : greet(m);
}

static int identify_enqueue(hm_measure_t *m, size_t bytes)
{
    const hm_channel_t *channel = &m->parts->channel;
    const hm_place_t *place = &m->parts->place;
    size_t *count = m->parts->agree.rows.count;
    size_t ranks = (size_t)channel->comm->ranks, each = bytes / ROW_BYTES / ranks;
    for (size_t r = 0; r < ranks; r++) {
        count[r] = each;
        m->segment[r] = m->out + r * each * ROW_BYTES;
    }
    hm_rows_t rows = {(int)ranks, m->segment, count, ROW_BYTES};
    return channel->kernels->identify(channel->context, channel->stream, &rows, place->bit, place->groups,
                                      place->group_count, 64, m->work, &m->identity);
}

static int pack_enqueue(const hm_measure_t *m, size_t bytes)
{
    size_t ranks = (size_t)m->parts->channel.comm->ranks;
    hm_move_job_t job = {.dst = m->in,
                         .src = m->out,
                         .dst_stride = ROW_BYTES,
                         .src_stride = ROW_BYTES,
                         .width = ROW_BYTES,
                         .rows = (uint32_t)(bytes / ROW_BYTES / ranks * ranks),
                         .index = m->identity.id};
    return channel_move(&m->parts->channel, &job, 1);
}

/* What planning a call takes on the host, which grows with the square of the ranks. */
static void plan_run(const hm_measure_t *m)
{
    const hm_parts_t *parts = m->parts;
    hm_plan_options_t options = {
        .force_depth = -1, .most_slices = parts->channel.kernels->slices, .lanes = parts->place.lanes};
    hm_table_t table = parts->agree.ballot.table;
    hm_plan_t plan;
    table.row_bytes = ROW_BYTES;
    plan_choose(parts->place.topo, &parts->know.profile, &table, &options, parts->know.plan_memory, &plan);
}

/* What an agreement and a plan take. */
static int agree_run_once(const hm_measure_t *m)
{
    int status = gather(m, ballot_row_bytes(&m->parts->agree.ballot));
    if (status == 0) plan_run(m);
    return status;
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
        return agree_run_once(m);
    case FLAVOUR_IDENTIFY:
        /* An agreement waits for the slowest rank's, and where ranks share cores it shares them with the waiting. */
        status = identify_enqueue(m, bytes);
        return status != 0 ? status : agree_run_once(m);
    case FLAVOUR_PACK:
        status = pack_enqueue(m, bytes);
        break;
    }
    return status != 0 ? status : channel_wait(&m->parts->channel);
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

static void noise_fill(uint64_t *value, char *memory, size_t bytes)
{
    for (size_t i = 0; i + sizeof *value <= bytes; i += sizeof *value) {
        *value ^= *value << 13, *value ^= *value >> 7, *value ^= *value << 17;
        memcpy(memory + i, value, sizeof *value);
    }
}

/* Fills the area of outgoing rows so that each comes ROW_COPIES times. rows: pinned memory of `room` bytes, in which
 * they are made part by part. */
static int rows_fill(const hm_measure_t *m, char *rows, size_t room)
{
    const hm_channel_t *channel = &m->parts->channel;
    size_t chunk = m->bytes / ROW_COPIES, part;
    uint64_t value = 0x9E3779B97F4A7C15u * ((uint64_t)channel->comm->rank + 1);
    int status = 0;
    for (size_t at = 0; at < chunk && status == 0; at += part) {
        part = chunk - at < room ? chunk - at : room;
        noise_fill(&value, rows, part);
        for (size_t copy = 0; copy < ROW_COPIES && status == 0; copy++)
            status = channel_copy(channel, m->out + copy * chunk + at, rows, part);
        if (status == 0) status = channel_wait(channel);
    }
    return status;
}

static size_t area_round(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* Both areas and what identify needs, in one piece of device memory. */
static int areas_make(hm_measure_t *m)
{
    hm_channel_t *channel = &m->parts->channel;
    int ranks = channel->comm->ranks;
    size_t n = m->bytes / ROW_BYTES, area = area_round(m->bytes), identity = rows_memory_bytes(channel, ranks, n);
    size_t counts = (1 + (size_t)m->parts->place.group_count) * sizeof(uint32_t);
    if (identity == 0) return -EFBIG;
    int status = channel_alloc(channel, 2 * area + identity + counts, (void **)&m->memory);
    if (status != 0) return status;
    m->out = m->memory;
    m->in = m->memory + area;
    m->work = rows_memory_lay(channel, ranks, n, m->memory + 2 * area, &m->identity);
    m->identity.counts = (uint32_t *)(void *)(m->memory + 2 * area + identity);
    return 0;
}

/* Counts to plan with, none of them 0. */
static void table_fill(const hm_parts_t *parts)
{
    size_t ranks = (size_t)parts->channel.comm->ranks, columns = ranks;
    for (int l = 1; l <= parts->place.topo->levels; l++) columns += (size_t)parts->place.topo->groups[l];
    memset(parts->agree.ballot.memory, 1, ranks * (1 + columns) * sizeof(uint32_t));
}

int measure_memory_make(hm_measure_t *m)
{
    hm_channel_t *channel = &m->parts->channel;
    size_t chunk = m->bytes / ROW_COPIES, room = chunk < PINNED_BYTES ? chunk : PINNED_BYTES;
    char *rows = NULL;
    m->segment = malloc((size_t)channel->comm->ranks * sizeof *m->segment);
    if (m->segment == NULL) return -ENOMEM;
    int status = areas_make(m);
    if (status == 0) status = channel_host_alloc(channel, room, (void **)&rows);
    if (status != 0) return status;
    status = rows_fill(m, rows, room);
    channel_host_free(channel, rows);
    table_fill(m->parts);
    return status;
}

void measure_memory_free(hm_measure_t *m)
{
    channel_free(&m->parts->channel, m->memory);
    free(m->segment);
    m->memory = NULL;
    m->segment = NULL;
}

int measure_near_open(hm_measure_t *m)
{
    bool ready;
    hm_parts_t *parts = m->parts;
    hm_carry_t *carry = &parts->carry;
    const hm_settings_t *settings = settings_get();
    if (parts->place.topo->levels < 2 || settings->slices > 1 || settings->max_scratch / 16 < NEAR_BYTES) return 0;
    int status = windows_scratch_share(&carry->windows, &carry->scratch, &parts->channel, &parts->agree.board,
                                       &parts->place, NEAR_BYTES, &ready);
    m->near = status == 0 && ready && carry->windows.use == HM_WINDOWS_ON;
    return status;
}
