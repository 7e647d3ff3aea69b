#include "ranks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void exchange_body(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    enum { N = 3000 };
    int32_t *out = malloc(N * sizeof *out * (size_t)ranks->ranks), *in = malloc(N * sizeof *in * (size_t)ranks->ranks);
    for (int i = 0; i < N * ranks->ranks; i++) out[i] = ranks->rank * 1000000 + i;
    for (int round = 0; round < 20; round++) {
        memset(in, 0xff, N * sizeof *in * (size_t)ranks->ranks);
        CHECK(ncclGroupStart() == ncclSuccess);
        for (int peer = 0; peer < ranks->ranks; peer++) {
            CHECK(ncclSend(out + peer * N, N, ncclInt32, peer, comm, NULL) == ncclSuccess);
            CHECK(ncclRecv(in + peer * N, N, ncclInt32, peer, comm, NULL) == ncclSuccess);
        }
        CHECK(ncclGroupEnd() == ncclSuccess);
        SYNC(NULL);
        for (int peer = 0; peer < ranks->ranks; peer++)
            for (int i = 0; i < N; i++) CHECK(in[peer * N + i] == peer * 1000000 + ranks->rank * N + i);
    }
    memset(in, 0xff, N * sizeof *in * (size_t)ranks->ranks);
    CHECK(ncclAlltoAll(out, in, N, ncclInt32, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    for (int peer = 0; peer < ranks->ranks; peer++)
        for (int i = 0; i < N; i++) CHECK(in[peer * N + i] == peer * 1000000 + ranks->rank * N + i);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    free(out);
    free(in);
}

static void all_ranks_exchange(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= 8; ranks *= 2) assert_int_equal(ranks_run(ranks, exchange_body, NULL, 0), 0);
}

/* Sizes above and below UCX's switch to rendezvous, and around those of a piece, must not overtake each other. */
static void fifo_body(const ranks_t *ranks)
{
    static const size_t sizes[] = {8, 1 << 20, 0, 64 << 10, 1, 3 << 20, 16, 512 << 10, (512 << 10) + 1, (1 << 20) - 1};
    enum { MESSAGES = sizeof sizes / sizeof *sizes };
    ncclComm_t comm = ranks_comm(ranks);
    char *buffer[MESSAGES];
    CHECK(ncclGroupStart() == ncclSuccess);
    for (int i = 0; i < MESSAGES; i++) {
        buffer[i] = malloc(sizes[i] + 1);
        memset(buffer[i], ranks->rank == 0 ? 'a' + i : '?', sizes[i]);
        if (ranks->rank == 0)
            CHECK(ncclSend(buffer[i], sizes[i], ncclInt8, 1, comm, NULL) == ncclSuccess);
        else
            CHECK(ncclRecv(buffer[i], sizes[i], ncclInt8, 0, comm, NULL) == ncclSuccess);
    }
    CHECK(ncclGroupEnd() == ncclSuccess);
    SYNC(NULL);
    for (int i = 0; i < MESSAGES; i++) {
        for (size_t j = 0; j < sizes[i]; j++) CHECK(buffer[i][j] == 'a' + i);
        free(buffer[i]);
    }
    ncclResult_t async;
    CHECK(ncclCommGetAsyncError(comm, &async) == ncclSuccess && async == ncclSuccess);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void messages_match_first_in_first_out(void **state)
{
    (void)state;
    assert_int_equal(ranks_run(2, fifo_body, NULL, 0), 0);
}

/* Between nodes, where messages go in pieces. */
static void far_fifo_body(const ranks_t *ranks)
{
    setenv("NCCL_HOSTID", ranks->rank == 0 ? "a" : "b", 1);
    fifo_body(ranks);
}

static void pieces_match_first_in_first_out(void **state)
{
    (void)state;
    assert_int_equal(ranks_run(2, far_fifo_body, NULL, 0), 0);
}

/* Both ends cut alike, whichever of them was given a host id. */
static void half_far_fifo_body(const ranks_t *ranks)
{
    if (ranks->rank == 1) setenv("NCCL_HOSTID", "b", 1);
    fifo_body(ranks);
}

static void pieces_match_with_a_host_id_on_one_rank(void **state)
{
    (void)state;
    assert_int_equal(ranks_run(2, half_far_fifo_body, NULL, 0), 0);
}

/* A lone zero-byte Send must be received, or the next receive takes it for its own. */
static void zero_body(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    int value = ranks->rank == 0 ? 41 : 0;
    if (ranks->rank == 0) {
        CHECK(ncclSend(NULL, 0, ncclInt32, 1, comm, NULL) == ncclSuccess);
        CHECK(ncclSend(&value, 1, ncclInt32, 1, comm, NULL) == ncclSuccess);
    } else {
        CHECK(ncclRecv(NULL, 0, ncclFloat32, 0, comm, NULL) == ncclSuccess);
        CHECK(ncclRecv(&value, 1, ncclInt32, 0, comm, NULL) == ncclSuccess);
        SYNC(NULL);
        CHECK(value == 41);
    }
    CHECK(ncclAlltoAll(NULL, NULL, 0, ncclInt32, comm, NULL) == ncclSuccess);
    CHECK(ncclGather(NULL, NULL, 0, ncclInt32, 0, comm, NULL) == ncclSuccess);
    CHECK(ncclScatter(NULL, NULL, 0, ncclInt32, ranks->rank, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void zero_counts(void **state)
{
    char said[4096];
    (void)state;
    assert_int_equal(ranks_run(2, zero_body, said, sizeof said), 0);
    assert_string_equal(said, "");
}

static void self_body(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    int a = 7, b = 8, c = 0, d = 0;
    CHECK(ncclGroupStart() == ncclSuccess);
    CHECK(ncclSend(&a, 1, ncclInt32, 0, comm, NULL) == ncclSuccess);
    CHECK(ncclSend(&b, 1, ncclInt32, 0, comm, NULL) == ncclSuccess);
    CHECK(ncclRecv(&c, 1, ncclInt32, 0, comm, NULL) == ncclSuccess);
    CHECK(ncclRecv(&d, 1, ncclInt32, 0, comm, NULL) == ncclSuccess);
    CHECK(ncclGroupEnd() == ncclSuccess);
    SYNC(NULL);
    CHECK(c == 7 && d == 8);
    CHECK(ncclGroupStart() == ncclSuccess);
    CHECK(ncclSend(&a, 1, ncclInt32, 0, comm, NULL) == ncclSuccess);
    CHECK(ncclRecv(&a, 1, ncclInt32, 0, comm, NULL) == ncclSuccess);
    CHECK(ncclGroupEnd() == ncclSuccess);
    CHECK(ncclSend(&a, 1, ncclInt32, 0, comm, NULL) == ncclInvalidUsage);
    CHECK(ncclRecv(&a, 1, ncclInt32, 0, comm, NULL) == ncclInvalidUsage);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void sends_to_oneself(void **state)
{
    (void)state;
    assert_int_equal(ranks_run(1, self_body, NULL, 0), 0);
}

/* More bytes than an int can count. */
static void huge_body(const ranks_t *ranks)
{
    size_t bytes = ((size_t)1 << 31) + 4096 + 3;
    ncclComm_t comm = ranks_comm(ranks);
    unsigned char *buffer = malloc(bytes);
    CHECK(buffer);
    if (ranks->rank == 0) {
        for (size_t i = 0; i < bytes; i++) buffer[i] = (unsigned char)(i ^ i >> 8 ^ i >> 20);
        CHECK(ncclSend(buffer, bytes, ncclUint8, 1, comm, NULL) == ncclSuccess);
    } else {
        CHECK(ncclRecv(buffer, bytes, ncclUint8, 0, comm, NULL) == ncclSuccess);
    }
    CHECK(hostncclStreamWait(NULL, RANKS_SECONDS) == 0);
    if (ranks->rank == 1)
        for (size_t i = 0; i < bytes; i++) CHECK(buffer[i] == (unsigned char)(i ^ i >> 8 ^ i >> 20));
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    free(buffer);
}

static void more_bytes_than_an_int_counts(void **state)
{
    (void)state;
    if (sysconf(_SC_AVPHYS_PAGES) / (1 << 18) < 6) skip();
    assert_int_equal(ranks_run(2, huge_body, NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_ranks_exchange),
        cmocka_unit_test(messages_match_first_in_first_out),
        cmocka_unit_test(pieces_match_first_in_first_out),
        cmocka_unit_test(pieces_match_with_a_host_id_on_one_rank),
        cmocka_unit_test(zero_counts),
        cmocka_unit_test(sends_to_oneself),
        cmocka_unit_test(more_bytes_than_an_int_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
