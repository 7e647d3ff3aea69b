/* What a call costs that the library leaves alone, measured inside one process: the call by its name and by NCCL's
 * second name take turns on one communicator, on rows that are all different.
 *
 * call_cost agreement [--rows N] [--row-bytes N]               those that the ranks agree on before leaving them alone,
 *                                                              beside a bare all-gather of 2 KB a rank
 * call_cost overhead [--rows N] [--row-bytes N] [--rounds N]   one kind of call, from the 64th on
 *
 * N rows for each peer. Times are the slowest rank's, in ms, as JSON from rank 0. Status: 0; 2 options; 3 a failure. */
#include "comm.h"
#include "hiermoe.h"
#include "nccl_pair.h"
#include "parse.h"
#include "say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GATHER_BYTES 2048
#define SETTLING 64 /* calls of a kind until the library has learned what it will */
#define SAMPLES 40  /* agreements to measure, at most */
#define CALLS_MOST 200

typedef struct cost {
    nccl_pair_t pair;
    mp_comm_t comm;
    mp_buffer_t send, recv;
    int rows, row_bytes, rounds;
    const void **send_at;
    void **recv_at;
    size_t *count;
} cost_t;

static double ms_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

/* One all-to-all, from the call to the end of its work. */
static int cost_exchange(cost_t *cost, const nccl_way_t *way, ncclDataType_t type, double *ms)
{
    size_t bytes = (size_t)cost->rows * (size_t)cost->row_bytes;
    for (int p = 0; p < cost->comm.ranks; p++) {
        cost->send_at[p] = (char *)cost->send.device + (size_t)p * bytes;
        cost->recv_at[p] = (char *)cost->recv.device + (size_t)p * bytes;
        cost->count[p] = bytes / nccl_type_bytes(type);
    }
    nccl_exchange_t exchange = {.send = cost->send_at,
                                .recv = cost->recv_at,
                                .send_count = cost->count,
                                .recv_count = cost->count,
                                .ranks = cost->comm.ranks,
                                .type = type,
                                .comm = cost->comm.comm,
                                .stream = cost->comm.stream};
    int status = comm_barrier(&cost->comm);
    double start = ms_now();
    if (!status) status = comm_failed(way->name, nccl_exchange_issue(&exchange, way));
    if (!status) status = comm_wait(&cost->comm);
    *ms = ms_now() - start;
    return status;
}

static int cost_gather(cost_t *cost, double *ms)
{
    int status = comm_barrier(&cost->comm);
    double start = ms_now();
    if (!status)
        status =
            comm_failed("ncclAllGather", cost->pair.plain.allgather(cost->send.device, cost->recv.device, GATHER_BYTES,
                                                                    ncclUint8, cost->comm.comm, cost->comm.stream));
    if (!status) status = comm_wait(&cost->comm);
    *ms = ms_now() - start;
    return status;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of each call's slowest rank. */
static int cost_median(cost_t *cost, double *ms, int count, double *median)
{
    int status = comm_max(&cost->comm, ms, (size_t)count);
    qsort(ms, (size_t)count, sizeof(*ms), ascending);
    *median = (ms[(count - 1) / 2] + ms[count / 2]) / 2;
    return status;
}

/* The library's counters of the communicator; where it is not there, all zero. */
static int counters_read(const cost_t *cost, hiermoe_stats_t *stats)
{
    const hiermoe_api_t *api = hiermoe_api_load();
    *stats = (hiermoe_stats_t){.size = sizeof(*stats)};
    return api ? api->stats(cost->comm.comm, stats) : 0;
}

/* Whether a call between two readings was agreed on and then left alone. */
static bool agreed_alone(const cost_t *cost, const hiermoe_stats_t *before, const hiermoe_stats_t *after)
{
    if (!cost->pair.preloaded) return true;
    return after->agreements > before->agreements && after->replaced == before->replaced;
}

/* Calls until enough were agreed on, or none is any more; all ranks count the same. The first one takes two rounds,
 * since nothing is known of its rows, and makes connections: it is left out. */
static int cost_agreement(cost_t *cost)
{
    double job[SAMPLES], plain[SAMPLES], gather[SAMPLES], unused, median[3] = {0};
    hiermoe_stats_t before, after;
    int status = 0, n = 0, calls = 0;
    for (int i = 0; !status && i < 10; i++) status = cost_gather(cost, &unused);
    for (int i = 0; !status && i < 10; i++) status = cost_exchange(cost, &cost->pair.plain, ncclUint8, &unused);
    for (; !status && n < SAMPLES && calls < CALLS_MOST; calls++) {
        status = cost_exchange(cost, &cost->pair.plain, ncclUint8, &plain[n]);
        if (!status) status = counters_read(cost, &before);
        if (!status) status = cost_exchange(cost, &cost->pair.job, ncclUint8, &job[n]);
        if (!status) status = counters_read(cost, &after);
        if (!status) status = cost_gather(cost, &gather[n]);
        if (!status && calls > 0 && agreed_alone(cost, &before, &after)) n++;
    }
    if (!status && n > 0) status = cost_median(cost, job, n, &median[0]);
    if (!status && n > 0) status = cost_median(cost, plain, n, &median[1]);
    if (!status && n > 0) status = cost_median(cost, gather, n, &median[2]);
    if (!status && !cost->comm.rank)
        printf("{\"test\": \"agreement\", \"ranks\": %d, \"rows_per_peer\": %d, \"row_bytes\": %d, \"preloaded\": %s, "
               "\"samples\": %d, \"calls\": %d, \"agreed_ms\": %.4f, \"plain_ms\": %.4f, \"agreement_ms\": %.4f, "
               "\"all_gather_2k_ms\": %.4f}\n",
               cost->comm.ranks, cost->rows, cost->row_bytes, cost->pair.preloaded ? "true" : "false", n, calls,
               median[0], median[1], median[0] - median[1], median[2]);
    return status;
}

static int cost_overhead(cost_t *cost)
{
    double *job = calloc(3 * (size_t)cost->rounds, sizeof(*job)), *plain = job + cost->rounds, unused, median[3];
    double *again = plain + cost->rounds; /* plain once more: what such a comparison sees where there is nothing */
    int status = job ? 0 : -ENOMEM;
    for (int i = 0; !status && i < SETTLING; i++) status = cost_exchange(cost, &cost->pair.job, ncclBfloat16, &unused);
    for (int i = 0; !status && i < cost->rounds; i++) {
        const nccl_way_t *first = i % 2 ? &cost->pair.plain : &cost->pair.job;
        const nccl_way_t *second = i % 2 ? &cost->pair.job : &cost->pair.plain;
        status = cost_exchange(cost, first, ncclBfloat16, i % 2 ? &plain[i] : &job[i]);
        if (!status) status = cost_exchange(cost, second, ncclBfloat16, i % 2 ? &job[i] : &plain[i]);
        if (!status) status = cost_exchange(cost, &cost->pair.plain, ncclBfloat16, &again[i]);
    }
    if (!status) status = cost_median(cost, job, cost->rounds, &median[0]);
    if (!status) status = cost_median(cost, plain, cost->rounds, &median[1]);
    if (!status) status = cost_median(cost, again, cost->rounds, &median[2]);
    if (!status && !cost->comm.rank)
        printf("{\"test\": \"overhead\", \"ranks\": %d, \"mb\": %.1f, \"preloaded\": %s, \"rounds\": %d, "
               "\"job_ms\": %.5f, \"plain_ms\": %.5f, \"ratio\": %.5f, \"plain_again_ratio\": %.5f}\n",
               cost->comm.ranks, (double)cost->send.bytes / 1e6, cost->pair.preloaded ? "true" : "false", cost->rounds,
               median[0], median[1], median[0] / median[1], median[2] / median[1]);
    free(job);
    return status;
}

static int number_of(const char *name)
{
    int value = -1;
    return getenv(name) && !parse_int(name, getenv(name), 0, 4096, &value) ? value : -1;
}

static int cost_open(cost_t *cost, int rank, int ranks, int local_rank, const char *id_file)
{
    char label[128];
    size_t bytes = (size_t)ranks * (size_t)cost->rows * (size_t)cost->row_bytes;
    size_t room = bytes < (size_t)ranks * GATHER_BYTES ? (size_t)ranks * GATHER_BYTES : bytes;
    const mp_device_t *device = device_find();
    int status = device ? nccl_pair_open(&cost->pair) : -ENODEV;
    cost->send_at = calloc((size_t)ranks, sizeof(void *));
    cost->recv_at = calloc((size_t)ranks, sizeof(void *));
    cost->count = calloc((size_t)ranks, sizeof(size_t));
    if (!status && (!cost->send_at || !cost->recv_at || !cost->count)) status = -ENOMEM;
    if (!status) status = device->open(local_rank, label, sizeof(label));
    if (!status) status = comm_open(device, ranks, rank, id_file, 60, &cost->comm);
    if (!status) status = device->alloc(room, &cost->send);
    if (!status) status = device->alloc(room, &cost->recv);
    for (size_t i = 0; !status && i + 8 <= room; i += 8) {
        uint64_t word = (i + ((uint64_t)rank << 48)) * 0x9e3779b97f4a7c15u;
        memcpy(cost->send.host + i, &word, 8);
    }
    return status ? status : device->upload(&cost->send, room);
}

static int options_read(cost_t *cost, int argc, char **argv)
{
    for (int i = 2; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        int status = -EINVAL;
        if (!strcmp(argv[i], "--rows")) status = parse_int("--rows", value, 1, 1 << 20, &cost->rows);
        if (!strcmp(argv[i], "--row-bytes")) status = parse_int("--row-bytes", value, 8, 1 << 20, &cost->row_bytes);
        if (!strcmp(argv[i], "--rounds")) status = parse_int("--rounds", value, 1, 1 << 20, &cost->rounds);
        if (status) return status;
    }
    return cost->row_bytes % 8 ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
    cost_t cost = {.rows = 64, .row_bytes = 1024, .rounds = 200};
    int rank = number_of("RANK"), ranks = number_of("WORLD_SIZE"), local = number_of("LOCAL_RANK");
    const char *id_file = getenv("MOE_PERF_ID_FILE"), *what = argc > 1 ? argv[1] : "";
    bool agreement = !strcmp(what, "agreement");
    if ((!agreement && strcmp(what, "overhead")) || options_read(&cost, argc, argv) || rank < 0 || ranks < 2 ||
        local < 0 || !id_file) {
        say("usage: RANK=.. WORLD_SIZE=.. LOCAL_RANK=.. MOE_PERF_ID_FILE=.. call_cost agreement|overhead [--rows N] "
            "[--row-bytes MULTIPLE OF 8] [--rounds N]");
        return 2;
    }
    int status = cost_open(&cost, rank, ranks, local, id_file);
    if (!status) status = agreement ? cost_agreement(&cost) : cost_overhead(&cost);
    comm_close(&cost.comm, !status);
    return status ? 3 : 0;
}
