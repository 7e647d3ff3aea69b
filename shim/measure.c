#define _GNU_SOURCE
#include "measure.h"

#include "agree.h"
#include "gather.h"
#include "log.h"
#include "settings.h"

#include "../planner/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUDGET_MS 8000.0
#define REPEATS_MIN 3
#define REPEATS_MAX 15
#define ROW_BYTES 1024
#define ROW_COPIES 4 /* of each row among those that identify looks at: what routing to a few experts brings */

typedef enum hm_flavour {
    FLAVOUR_INTRA,
    FLAVOUR_INTER,
    FLAVOUR_ALONE, /* between groups, one rank of each */
    FLAVOUR_AGREE,
    FLAVOUR_IDENTIFY,
    FLAVOUR_PACK
} hm_flavour_t;

static const char *const flavour_names[] = {"intra", "inter", "alone", "agree", "identify", "pack"};

typedef struct measure {
    const hm_call_t *call;
    hm_a2a_state_t *state;
    char *memory, *out, *in; /* areas of `bytes` each */
    size_t bytes;
    hm_identity_t identity; /* in the in area, behind what packing writes */
    void *work;
    double left_ms; /* of the budget */
    hm_flavour_t flavour;
    int level;
} measure_t;

int measure_sizes_parse(const char *text, hm_measure_sizes_t *sizes)
{
    hm_measure_sizes_t read = {0};
    for (const char *at = text;; at++) {
        char *end;
        if (*at < '0' || *at > '9' || read.count == HM_MEASURE_SIZES) return -EINVAL;
        unsigned long long value = strtoull(at, &end, 10);
        const char *unit = *end != '\0' && *end != ',' ? strchr("KMG", *end) : NULL;
        if (unit != NULL) end++;
        unsigned shift = unit == NULL ? 0 : *unit == 'K' ? 10 : *unit == 'M' ? 20 : 30;
        if (value > (1ull << 40) >> shift || value << shift < 1024) return -EINVAL;
        value <<= shift;
        if (read.count > 0 && value <= read.bytes[read.count - 1]) return -EINVAL;
        read.bytes[read.count++] = value;
        if (*end == '\0') break;
        if (*end != ',') return -EINVAL;
        at = end;
    }
    if (read.count < 2) return -EINVAL;
    *sizes = read;
    return 0;
}

void measure_sizes_default(size_t most, hm_measure_sizes_t *sizes)
{
    *sizes = (hm_measure_sizes_t){.count = 6, .bytes = {most / 64, most / 16, most / 8, most / 4, most / 2, most}};
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static int stream_wait(const measure_t *m)
{
    return m->state->kernels->wait(m->state->context, m->call->stream, (double)settings_get()->timeout,
                                   &m->call->comm->cancelled);
}

/* Gathers what lies in the table, as an agreement does that has `bytes` to tell of each rank. */
static int gather(const measure_t *m, size_t bytes)
{
    const hm_a2a_state_t *state = m->state;
    size_t own = gather_slot(state, m->call->comm->rank) * bytes;
    int status = state->kernels->copy(state->context, m->call->stream, (char *)state->table_device + own,
                                      (char *)state->table_host + own, bytes);
    return status != 0 ? status : gather_pieces(m->call, m->state, bytes);
}

/* Nobody goes on before all are here; tells the longest time that any rank took. */
static int meet(const measure_t *m, double mine, double *longest)
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
static int lanes_of(const measure_t *m)
{
    return m->flavour != FLAVOUR_INTRA && m->level == 1 ? m->state->lanes : 1;
}

/* Whether `from` sends to `to` in this flavour, and among how many groups its buffer is cut. */
static bool pair_sends(const measure_t *m, int from, int to)
{
    const hm_topo_t *topo = m->state->topo;
    int l = m->level;
    if (m->flavour == FLAVOUR_INTRA) return topo->group[l][from] == topo->group[l][to] && (from != to || l == 0);
    if (m->flavour == FLAVOUR_ALONE && topo->pos[from] != topo->start[l][topo->group[l][from]]) return false;
    if (topo->group[l - 1][from] != topo->group[l - 1][to] || topo->group[l][from] == topo->group[l][to]) return false;
    return lanes_of(m) > 1 || topo_rail_peer(topo, l, topo->group[l][to], from) == to;
}

static int flavour_parts(const measure_t *m)
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
static int slices_of(const measure_t *m, size_t bytes)
{
    size_t parts = (size_t)flavour_parts(m);
    return m->flavour == FLAVOUR_INTRA ? 1 : plan_slices_of(bytes - bytes / parts, m->state->kernels->slices);
}

static int exchange_enqueue(const measure_t *m, size_t bytes)
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

static int identify_enqueue(measure_t *m, size_t bytes)
{
    size_t ranks = (size_t)m->call->comm->ranks, each = bytes / ROW_BYTES / ranks;
    const void **base = malloc(ranks * sizeof *base);
    if (base == NULL) return 0; /* measured as too cheap on one rank only; the longest time counts */
    for (size_t r = 0; r < ranks; r++) {
        m->state->rows[r] = each;
        base[r] = m->out + r * each * ROW_BYTES;
    }
    hm_rows_t rows = {(int)ranks, base, m->state->rows, ROW_BYTES};
    int status = m->state->kernels->identify(m->state->context, m->call->stream, &rows, m->state->bit, m->state->groups,
                                             m->state->group_count, 64, m->work, &m->identity);
    free(base);
    return status;
}

static int pack_enqueue(const measure_t *m, size_t bytes)
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

static int flavour_run(measure_t *m, size_t bytes)
{
    int status = 0;
    switch (m->flavour) {
    case FLAVOUR_INTRA:
    case FLAVOUR_INTER:
    case FLAVOUR_ALONE:
        for (int i = 0, slices = slices_of(m, bytes); i < slices && status == 0; i++)
            status = exchange_enqueue(m, bytes / (size_t)slices);
        break;
    case FLAVOUR_AGREE:
        return gather(m, m->state->row_words * sizeof(uint32_t));
    case FLAVOUR_IDENTIFY:
        /* An agreement waits for the slowest rank's, and where ranks share cores it shares them with the waiting. */
        status = identify_enqueue(m, bytes);
        return status != 0 ? status : gather(m, m->state->row_words * sizeof(uint32_t));
    case FLAVOUR_PACK:
        status = pack_enqueue(m, bytes);
        break;
    }
    return status != 0 ? status : stream_wait(m);
}

static int double_compare(const void *left, const void *right)
{
    const double *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* One run by all ranks at once; the slowest rank's time. */
static int flavour_time(measure_t *m, size_t bytes, double *ms)
{
    int status = meet(m, 0, ms);
    if (status != 0) return status;
    double start = now_ms();
    status = flavour_run(m, bytes);
    return status != 0 ? status : meet(m, now_ms() - start, ms);
}

/* Median time of one size. Repeats follow from times that all ranks know, so all do as many. */
static int size_time(measure_t *m, size_t bytes, double budget_ms, hm_timing_t *timing)
{
    double ms[REPEATS_MAX], spent = 0;
    int repeats = 0, status = 0;
    while (status == 0 && (repeats < REPEATS_MIN || (repeats < REPEATS_MAX && spent < budget_ms))) {
        status = flavour_time(m, bytes, &ms[repeats]);
        spent += ms[repeats++];
    }
    if (status != 0) return status;
    m->left_ms -= spent;
    qsort(ms, (size_t)repeats, sizeof *ms, double_compare);
    *timing = (hm_timing_t){(double)bytes, (ms[(repeats - 1) / 2] + ms[repeats / 2]) / 2, repeats};
    return 0;
}

static void timing_say(const measure_t *m, const hm_timing_t *timing)
{
    if (m->call->comm->rank == 0)
        log_say(HM_LOG_TRACE, m->call->comm, "measured %s %d: %.0f bytes in %.4f ms, %.0f times",
                flavour_names[m->flavour], m->level, timing->bytes, timing->ms, timing->weight);
}

/* Times one flavour over the sizes, as far as the budget allows and at least two, and fits it. */
static int flavour_fit(measure_t *m, hm_flavour_t flavour, int level, double budget_ms, const hm_measure_sizes_t *sizes,
                       hm_link_t *link)
{
    hm_timing_t timing[HM_MEASURE_SIZES + 1];
    double ms, end = m->left_ms - budget_ms;
    int count = 0;
    m->flavour = flavour;
    m->level = level;
    int status = flavour_time(m, sizes->bytes[0], &ms); /* connections are made on first use */
    m->left_ms -= ms;
    for (uint32_t i = 0; status == 0 && i < sizes->count && sizes->bytes[i] <= m->bytes; i++) {
        double next = i == 0 ? 0 : timing[count - 1].ms * (double)sizes->bytes[i] / (double)sizes->bytes[i - 1];
        double left = m->left_ms - end;
        if (i >= 2 && REPEATS_MIN * next > left) break;
        /* Large sizes say most and take longest: what small ones leave is theirs. */
        status = size_time(m, sizes->bytes[i], left / (i + 1 == sizes->count ? 1 : 4), &timing[count]);
        if (status != 0) break;
        timing_say(m, &timing[count]);
        count += timing[count].ms > 0;
    }
    if (status != 0) return status;
    if (flavour < FLAVOUR_AGREE) {
        fit_bend(timing, count, link);
    } else {
        fit_straight(timing, count, link);
    }
    return 0;
}

static void *cut(char **at, size_t bytes)
{
    void *memory = *at;
    *at += (bytes + 255) / 256 * 256;
    return memory;
}

/* Both areas, what identify needs, and rows of which each comes ROW_COPIES times. 0, or what this rank lacks. */
static int memory_make(measure_t *m)
{
    size_t ranks = (size_t)m->call->comm->ranks, n = m->bytes / ROW_BYTES, mask = (ranks + 31) / 32 * 4;
    const hm_kernels_t *kernels = m->state->kernels;
    size_t work = kernels->identify_bytes(n), numbers = (n + 1) * sizeof(uint32_t), chunk = m->bytes / ROW_COPIES;
    size_t counts = (1 + (size_t)m->state->group_count) * sizeof(uint32_t);
    char *rows = NULL;
    if (work == 0) return -EFBIG;
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
    return status;
}

/* The links of all levels, the inner ones first: what fast ones leave of the budget, slow ones get. */
static int links_fit(measure_t *m, const hm_measure_sizes_t *sizes, hm_profile_t *profile)
{
    int status = 0;
    for (int l = m->state->topo->levels - 1; l > 0 && status == 0; l--) {
        double shares = 2.5 * l + 1; /* two and a half of a level, one of the flat exchange */
        hm_link_t alone = {.beta_ms = 0};
        status = flavour_fit(m, FLAVOUR_INTRA, l, m->left_ms / shares, sizes, &profile->intra[l]);
        if (status == 0) status = flavour_fit(m, FLAVOUR_ALONE, l, 0.5 * m->left_ms / (shares - 1), sizes, &alone);
        if (status == 0)
            status = flavour_fit(m, FLAVOUR_INTER, l, m->left_ms / (shares - 1.5), sizes, &profile->inter[l]);
        profile->alone_ms[l] = alone.beta_ms;
    }
    return status != 0 ? status : flavour_fit(m, FLAVOUR_INTRA, 0, m->left_ms, sizes, &profile->intra[0]);
}

/* All flavours, in the same order on all ranks. */
static int flavours_fit(measure_t *m, const hm_measure_sizes_t *sizes, hm_profile_t *profile)
{
    hm_link_t identify = {.beta_ms = profile->identify_ms}, pack = {.beta_ms = profile->pack_ms};
    hm_timing_t agree;
    m->left_ms = BUDGET_MS;
    int status = flavour_fit(m, FLAVOUR_IDENTIFY, 0, BUDGET_MS / 16, sizes, &identify);
    if (status == 0) status = flavour_fit(m, FLAVOUR_PACK, 0, BUDGET_MS / 16, sizes, &pack);
    m->flavour = FLAVOUR_AGREE;
    if (status == 0) status = size_time(m, 0, BUDGET_MS / 16, &agree);
    if (status == 0) status = links_fit(m, sizes, profile);
    if (status != 0) return status;
    /* What was timed with an agreement behind it starts with that; noise may have hidden it. */
    double start = identify.alpha_ms > agree.ms ? identify.alpha_ms : agree.ms;
    profile->agree_ms = start + pack.alpha_ms;
    profile->identify_ms = identify.beta_ms;
    profile->pack_ms = pack.beta_ms;
    return 0;
}

int measure_run(const hm_call_t *call, hm_a2a_state_t *state, const hm_measure_sizes_t *sizes, hm_profile_t *profile,
                bool *done)
{
    measure_t m = {.call = call, .state = state, .bytes = sizes->bytes[sizes->count - 1]};
    size_t most = settings_get()->max_scratch / 4;
    if (m.bytes > most) m.bytes = most;
    *done = false;
    if (m.bytes < sizes->bytes[1]) return 0; /* a setting that is equal on all ranks */
    hm_profile_t fitted = *profile;
    int mine = memory_make(&m);
    int status = agree_all(call, state, mine == 0, done);
    if (status == 0 && *done) status = flavours_fit(&m, sizes, &fitted);
    state->kernels->free(state->context, m.memory);
    if (status == 0 && *done) *profile = fitted;
    return status;
}
