/* A rank that issues all-to-alls in odd surroundings, and checks every byte. One scenario per run: odd_calls NAME.
 * Ranks come from RANK, WORLD_SIZE and HOSTNCCL_ID_FILE. The function that issues whole all-to-alls is odd_all_to_all,
 * for HIERMOE_TRUST. */
#include "../../shim/hiermoe.h"
#include "ranks.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ROW 512
#define ROWS 40 /* per pair, most; they repeat */

typedef struct buffers {
    int ranks, rank;
    size_t rows[64][64];
    char *send, *recv;
} buffers_t;

/* Row i from one rank to another holds the bytes of one of eight tokens. */
static void row_write(char *row, int from, size_t i, unsigned salt)
{
    uint32_t state = (uint32_t)from * 31 + (uint32_t)(i % 8) * 977 + salt * 7919 + 1;
    for (size_t b = 0; b < ROW; b++) row[b] = (char)((state = state * 1664525 + 1013904223) >> 24);
}

static size_t rows_between(int from, int to, unsigned salt)
{
    return (size_t)((from * 7 + to * 13 + (int)salt) % 5 == 0 ? 0 : (from * 17 + to * 5 + (int)salt) % ROWS);
}

static size_t rows_total(const buffers_t *buffers, bool sending)
{
    size_t total = 0;
    for (int p = 0; p < buffers->ranks; p++)
        total += sending ? buffers->rows[buffers->rank][p] : buffers->rows[p][buffers->rank];
    return total;
}

static void buffers_fill(buffers_t *buffers, const ranks_t *ranks, unsigned salt)
{
    *buffers = (buffers_t){.ranks = ranks->ranks, .rank = ranks->rank};
    for (int s = 0; s < ranks->ranks; s++)
        for (int r = 0; r < ranks->ranks; r++) buffers->rows[s][r] = rows_between(s, r, salt);
    buffers->send = malloc((rows_total(buffers, true) + 1) * ROW);
    buffers->recv = malloc((rows_total(buffers, false) + 1) * ROW);
    memset(buffers->recv, 0xA5, (rows_total(buffers, false) + 1) * ROW);
    char *at = buffers->send;
    for (int p = 0; p < ranks->ranks; p++)
        for (size_t i = 0; i < buffers->rows[ranks->rank][p]; i++, at += ROW) row_write(at, ranks->rank, i, salt);
}

static void buffers_check(buffers_t *buffers, unsigned salt)
{
    char row[ROW], *at = buffers->recv;
    for (int p = 0; p < buffers->ranks; p++)
        for (size_t i = 0; i < buffers->rows[p][buffers->rank]; i++, at += ROW) {
            row_write(row, p, i, salt);
            CHECK(memcmp(row, at, ROW) == 0);
        }
    for (int i = 0; i < ROW; i++) CHECK((unsigned char)at[i] == 0xA5);
    free(buffers->send);
    free(buffers->recv);
}

static void pairs_issue(const buffers_t *buffers, ncclComm_t comm, void *stream)
{
    const char *send = buffers->send;
    char *recv = buffers->recv;
    for (int p = 0; p < buffers->ranks; p++) {
        size_t out = buffers->rows[buffers->rank][p] * ROW, in = buffers->rows[p][buffers->rank] * ROW;
        CHECK(ncclSend(out ? send : NULL, out, ncclInt8, p, comm, stream) == ncclSuccess);
        CHECK(ncclRecv(in ? recv : NULL, in, ncclInt8, p, comm, stream) == ncclSuccess);
        send += out;
        recv += in;
    }
}

ncclResult_t odd_all_to_all(const buffers_t *buffers, ncclComm_t comm, void *stream);

__attribute__((noinline)) ncclResult_t odd_all_to_all(const buffers_t *buffers, ncclComm_t comm, void *stream)
{
    CHECK(ncclGroupStart() == ncclSuccess);
    pairs_issue(buffers, comm, stream);
    ncclResult_t result = ncclGroupEnd();
    __asm__ volatile("" ::: "memory"); /* no tail call: this function must be on the stack */
    return result;
}

static void plain_round(const ranks_t *ranks, ncclComm_t comm, void *stream, unsigned salt)
{
    buffers_t buffers;
    buffers_fill(&buffers, ranks, salt);
    CHECK(odd_all_to_all(&buffers, comm, stream) == ncclSuccess);
    SYNC(stream);
    buffers_check(&buffers, salt);
}

static void run_plain(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (unsigned salt = 0; salt < 6; salt++) plain_round(ranks, comm, NULL, salt);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

/* The companion API counts what happened to a communicator, and knows no other. */
static void run_companion(const ranks_t *ranks)
{
    const hiermoe_api_t *api = hiermoe_api_load();
    hiermoe_stats_t stats = {.size = sizeof stats};
    uint64_t raw = 0, least = 0;
    char out[ROW] = {0}, in[ROW];
    CHECK(api != NULL && api->version == HIERMOE_API_VERSION && api->size == sizeof *api);
    ncclComm_t comm = ranks_comm(ranks);
    for (unsigned salt = 0; salt < 5; salt++) {
        size_t most = 0;
        plain_round(ranks, comm, NULL, salt);
        for (int p = 0; p < ranks->ranks; p++) {
            size_t rows = p == ranks->rank ? 0 : rows_between(ranks->rank, p, salt);
            raw += rows * ROW;
            if (rows > most) most = rows;
        }
        least += (most < 8 ? most : 8) * ROW; /* eight different rows */
    }
    CHECK(api->stats(comm, &stats) == 0);
    CHECK(stats.replaced == 5 && stats.left == 0 && stats.agreements >= 5);
    CHECK(stats.bytes_raw == raw);
    CHECK(stats.bytes_sent >= least && stats.bytes_sent < raw);
    /* A group that is no all-to-all is left. */
    CHECK(ncclGroupStart() == ncclSuccess);
    CHECK(ncclSend(out, ROW, ncclInt8, ranks->rank, comm, NULL) == ncclSuccess);
    CHECK(ncclRecv(in, ROW, ncclInt8, ranks->rank, comm, NULL) == ncclSuccess);
    CHECK(ncclGroupEnd() == ncclSuccess);
    SYNC(NULL);
    CHECK(api->stats(comm, &stats) == 0);
    CHECK(stats.replaced == 5 && stats.left == 1);
    CHECK(api->stats(&stats, &stats) == -ENOENT);
    CHECK(api->stats(NULL, &stats) == -ENOENT);
    stats.size = 3;
    CHECK(api->stats(comm, &stats) == -EINVAL);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

/* Rank 0 sends to and receives from all, the others only from and to it: complete nowhere else. */
static void run_star(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    char out[64][ROW], in[64][ROW];
    for (int round = 0; round < 3; round++) {
        CHECK(ncclGroupStart() == ncclSuccess);
        for (int p = 0; p < ranks->ranks; p++) {
            if (ranks->rank != 0 && p != 0) continue;
            row_write(out[p], ranks->rank * 64 + p, 0, (unsigned)round);
            CHECK(ncclSend(out[p], ROW, ncclInt8, p, comm, NULL) == ncclSuccess);
            CHECK(ncclRecv(in[p], ROW, ncclInt8, p, comm, NULL) == ncclSuccess);
        }
        CHECK(ncclGroupEnd() == ncclSuccess);
        SYNC(NULL);
        for (int p = 0; p < ranks->ranks; p++) {
            char row[ROW];
            if (ranks->rank != 0 && p != 0) continue;
            row_write(row, p * 64 + ranks->rank, 0, (unsigned)round);
            CHECK(memcmp(row, in[p], ROW) == 0);
        }
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void run_nested(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (unsigned salt = 0; salt < 4; salt++) {
        buffers_t buffers;
        buffers_fill(&buffers, ranks, salt);
        CHECK(ncclGroupStart() == ncclSuccess);
        CHECK(odd_all_to_all(&buffers, comm, NULL) == ncclSuccess);
        CHECK(ncclGroupEnd() == ncclSuccess);
        SYNC(NULL);
        buffers_check(&buffers, salt);
        plain_round(ranks, comm, NULL, salt + 10);
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void run_mixed(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (unsigned salt = 0; salt < 4; salt++) {
        buffers_t buffers;
        float value = (float)(ranks->rank + 1), sum = 0;
        buffers_fill(&buffers, ranks, salt);
        CHECK(ncclGroupStart() == ncclSuccess);
        pairs_issue(&buffers, comm, NULL);
        CHECK(ncclAllReduce(&value, &sum, 1, ncclFloat32, ncclSum, comm, NULL) == ncclSuccess);
        CHECK(ncclGroupEnd() == ncclSuccess);
        SYNC(NULL);
        CHECK(sum == (float)(ranks->ranks * (ranks->ranks + 1) / 2));
        buffers_check(&buffers, salt);
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void run_two_comms_in_a_group(const ranks_t *ranks)
{
    ncclComm_t first = ranks_comm(ranks), second = NULL;
    CHECK(ncclCommSplit(first, 0, ranks->rank, &second, NULL) == ncclSuccess);
    for (unsigned salt = 0; salt < 4; salt++) {
        buffers_t a, b;
        buffers_fill(&a, ranks, salt);
        buffers_fill(&b, ranks, salt + 1);
        CHECK(ncclGroupStart() == ncclSuccess);
        pairs_issue(&a, first, NULL);
        pairs_issue(&b, second, NULL);
        CHECK(ncclGroupEnd() == ncclSuccess);
        SYNC(NULL);
        buffers_check(&a, salt);
        buffers_check(&b, salt + 1);
    }
    CHECK(ncclCommDestroy(second) == ncclSuccess);
    CHECK(ncclCommDestroy(first) == ncclSuccess);
}

typedef struct thread_args {
    const ranks_t *ranks;
    ncclComm_t comm;
    cudaStream_t stream;
    unsigned salt;
} thread_args_t;

static void *thread_run(void *memory)
{
    const thread_args_t *args = memory;
    for (unsigned i = 0; i < 20; i++) plain_round(args->ranks, args->comm, args->stream, args->salt + i);
    return NULL;
}

static void run_two_threads(const ranks_t *ranks)
{
    thread_args_t args[2] = {{.ranks = ranks, .salt = 3}, {.ranks = ranks, .salt = 500}};
    pthread_t thread[2];
    args[0].comm = ranks_comm(ranks);
    CHECK(ncclCommSplit(args[0].comm, 0, ranks->rank, &args[1].comm, NULL) == ncclSuccess);
    for (int i = 0; i < 2; i++) CHECK(hostncclStreamCreate(&args[i].stream) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&thread[i], NULL, thread_run, &args[i]) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(thread[i], NULL) == 0);
    for (int i = 1; i >= 0; i--) CHECK(ncclCommDestroy(args[i].comm) == ncclSuccess);
    for (int i = 0; i < 2; i++) CHECK(hostncclStreamDestroy(args[i].stream) == 0);
}

/* Streams change from call to call: memory of one communicator is shared by them. */
static void run_two_streams(const ranks_t *ranks)
{
    cudaStream_t stream[2];
    buffers_t buffers[12];
    ncclComm_t comm = ranks_comm(ranks);
    for (int i = 0; i < 2; i++) CHECK(hostncclStreamCreate(&stream[i]) == 0);
    for (unsigned i = 0; i < 12; i++) {
        buffers_fill(&buffers[i], ranks, i);
        CHECK(odd_all_to_all(&buffers[i], comm, stream[i % 2]) == ncclSuccess);
    }
    for (int i = 0; i < 2; i++) SYNC(stream[i]);
    for (unsigned i = 0; i < 12; i++) buffers_check(&buffers[i], i);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    for (int i = 0; i < 2; i++) CHECK(hostncclStreamDestroy(stream[i]) == 0);
}

/* Communicators made, used and destroyed one after the other: their handles come back. */
static void run_communicators_come_and_go(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (unsigned i = 0; i < 6; i++) {
        ncclComm_t child;
        ranks_t half = {.rank = ranks->rank / 2, .ranks = (ranks->ranks + (ranks->rank % 2 == 0)) / 2};
        CHECK(ncclCommSplit(comm, ranks->rank % 2, ranks->rank, &child, NULL) == ncclSuccess);
        plain_round(&half, child, NULL, i);
        plain_round(&half, child, NULL, i + 1);
        CHECK(ncclCommDestroy(child) == ncclSuccess);
        plain_round(ranks, comm, NULL, i);
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void *abort_later(void *comm)
{
    ranks_pause(0.7);
    return (void *)(intptr_t)(ncclCommAbort(comm) != ncclSuccess);
}

/* The last rank stays away; an abort from another thread must end the wait of the others, which nothing else does: all
 * time-outs are longer than the test. */
static void run_abort_while_waiting(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    pthread_t thread;
    void *failed = NULL;
    if (ranks->rank == ranks->ranks - 1) {
        ranks_outstay();
        ncclCommAbort(comm);
        return;
    }
    buffers_t buffers;
    buffers_fill(&buffers, ranks, 1);
    CHECK(pthread_create(&thread, NULL, abort_later, comm) == 0);
    odd_all_to_all(&buffers, comm, NULL);
    CHECK(pthread_join(thread, &failed) == 0);
    CHECK(failed == NULL);
}

/* The last rank comes late by one second (paced) in which it runs, however long it is stopped. */
static void run_last_rank_is_late(const ranks_t *ranks)
{
    buffers_t buffers;
    ncclComm_t comm = ranks_comm(ranks);
    buffers_fill(&buffers, ranks, 1);
    for (int i = 0; i < 20 && ranks->rank == ranks->ranks - 1; i++) ranks_pause(0.05);
    CHECK(odd_all_to_all(&buffers, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    buffers_check(&buffers, 1);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

/* One call, whose result the caller wants to see: 0 success, 3 an error from NCCL. */
static int run_result(const ranks_t *ranks, bool last_stays_away)
{
    buffers_t buffers;
    ncclComm_t comm = ranks_comm(ranks);
    if (last_stays_away && ranks->rank == ranks->ranks - 1) {
        ranks_outstay();
        return 0;
    }
    buffers_fill(&buffers, ranks, 1);
    if (odd_all_to_all(&buffers, comm, NULL) != ncclSuccess) return 3;
    SYNC(NULL);
    buffers_check(&buffers, 1);
    return 0;
}

static const struct scenario {
    const char *name;
    void (*run)(const ranks_t *);
} scenarios[] = {
    {"plain", run_plain},
    {"companion", run_companion},
    {"star", run_star},
    {"nested", run_nested},
    {"mixed", run_mixed},
    {"two_comms_in_a_group", run_two_comms_in_a_group},
    {"two_threads", run_two_threads},
    {"two_streams", run_two_streams},
    {"communicators_come_and_go", run_communicators_come_and_go},
    {"abort_while_waiting", run_abort_while_waiting},
    {"last_rank_is_late", run_last_rank_is_late},
};

int main(int argc, char **argv)
{
    ranks_t ranks;
    if (argc != 2 || !ranks_from_environment(&ranks)) {
        fprintf(stderr, "usage: RANK=.. WORLD_SIZE=.. HOSTNCCL_ID_FILE=.. %s SCENARIO\n", argv[0]);
        return 2;
    }
    if (strcmp(argv[1], "result") == 0) return run_result(&ranks, false);
    if (strcmp(argv[1], "last_rank_stays_away") == 0) return run_result(&ranks, true);
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        if (strcmp(argv[1], scenarios[i].name) != 0) continue;
        scenarios[i].run(&ranks);
        return 0;
    }
    fprintf(stderr, "%s: no scenario %s\n", argv[0], argv[1]);
    return 2;
}
