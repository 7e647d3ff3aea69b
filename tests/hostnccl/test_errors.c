#include "ranks.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static ncclResult_t async_error(ncclComm_t comm)
{
    ncclResult_t result;
    CHECK(ncclCommGetAsyncError(comm, &result) == ncclSuccess);
    return result;
}

static void misuse_body(const ranks_t *ranks)
{
    int value = 1;
    ncclComm_t comm = ranks_comm(ranks), other;
    CHECK(ncclGroupEnd() == ncclInvalidUsage);
    CHECK(ncclSend(&value, 1, ncclInt32, 0, NULL, NULL) == ncclInvalidArgument);
    CHECK(ncclSend(&value, 1, ncclInt32, 2, comm, NULL) == ncclInvalidArgument);
    CHECK(strstr(ncclGetLastError(NULL), "rank 2, expected 0 to 1"));
    CHECK(ncclRecv(&value, 1, ncclInt32, -1, comm, NULL) == ncclInvalidArgument);
    CHECK(ncclSend(&value, 1, (ncclDataType_t)99, 1, comm, NULL) == ncclInvalidArgument);
    CHECK(ncclSend(NULL, 1, ncclInt32, 1, comm, NULL) == ncclInvalidArgument);
    CHECK(ncclSend(&value, 1, ncclInt32, 1, comm, (cudaStream_t)&value) == ncclInvalidArgument);
    CHECK(ncclAllReduce(&value, &value, 1, ncclBfloat16, ncclSum, comm, NULL) == ncclInvalidArgument);
    CHECK(ncclAllReduce(&value, &value, 1, ncclInt32, ncclAvg, comm, NULL) == ncclInvalidArgument);
    CHECK(ncclCommInitRank(&other, 2, ranks->id, 2) == ncclInvalidArgument);
    CHECK(ncclCommInitRank(&other, 0, ranks->id, 0) == ncclInvalidArgument);
    CHECK(ncclCommInitRank(&other, 2, (ncclUniqueId){{0}}, 0) == ncclInvalidArgument);
    CHECK(ncclCommInitAll(&other, 2, NULL) == ncclInvalidUsage);
    CHECK(ncclCommSplit(comm, -5, 0, &other, NULL) == ncclInvalidArgument);
    CHECK(ncclCommRevoke(comm, 1) == ncclInvalidArgument);
    /* Empty groups succeed, inner ends launch nothing, and the outermost end returns the first error. */
    CHECK(ncclGroupStart() == ncclSuccess && ncclGroupEnd() == ncclSuccess);
    CHECK(ncclGroupStart() == ncclSuccess && ncclGroupStart() == ncclSuccess);
    CHECK(ncclSend(&value, 1, ncclInt32, 1 - ranks->rank, comm, NULL) == ncclSuccess);
    CHECK(ncclSend(&value, 1, ncclInt32, 7, comm, NULL) == ncclInvalidArgument);
    CHECK(ncclSend(&value, 1, ncclInt32, 1, NULL, NULL) == ncclInvalidArgument);
    CHECK(ncclGroupEnd() == ncclSuccess);
    CHECK(ncclGroupEnd() == ncclInvalidArgument);
    CHECK(ncclGroupEnd() == ncclInvalidUsage);
    CHECK(ncclGroupStart() == ncclSuccess);
    CHECK(ncclSend(&value, 1, ncclInt32, 1 - ranks->rank, comm, NULL) == ncclSuccess);
    CHECK(ncclGroupSimulateEnd(NULL) == ncclSuccess);
    CHECK(hostncclStreamWait(NULL, 0) == 0);
    CHECK(async_error(comm) == ncclSuccess);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void misuse_returns_nccls_codes(void **state)
{
    char said[4096];
    (void)state;
    assert_int_equal(ranks_run(2, misuse_body, said, sizeof said), 0);
    assert_string_equal(said, "");
}

/* `bytes` of the send per rank pair, for messages that UCX copies and those it only announces; of four ranks the first
 * is on a node of its own, and they go in pieces. */
static void mismatch_body(const ranks_t *ranks)
{
    if (ranks->ranks == 4) setenv("NCCL_HOSTID", ranks->rank == 0 ? "a" : "b", 1);
    size_t sent = ranks->ranks == 2 ? 24 : 4 << 20, wanted = ranks->ranks == 2 ? 16 : 1 << 20;
    ncclComm_t comm = ranks_comm(ranks);
    char *buffer = calloc(1, 4 << 20);
    if (ranks->rank == 0) CHECK(ncclSend(buffer, sent, ncclInt8, 1, comm, NULL) == ncclSuccess);
    if (ranks->rank == 1) CHECK(ncclRecv(buffer, wanted, ncclInt8, 0, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    if (ranks->rank == 1) {
        CHECK(async_error(comm) == ncclInvalidUsage);
        CHECK(ncclRecv(buffer, 1, ncclInt8, 0, comm, NULL) == ncclInvalidUsage);
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    free(buffer);
}

static void a_receive_of_another_size_is_reported(void **state)
{
    char said[4096];
    (void)state;
    assert_int_equal(ranks_run(2, mismatch_body, said, sizeof said), 0);
    assert_non_null(
        strstr(said, "hostnccl: rank 1: expected 16 bytes of Send/Recv from rank 0, but rank 0 sent 24 bytes"));
    for (int ranks = 3; ranks <= 4; ranks++) {
        assert_int_equal(ranks_run(ranks, mismatch_body, said, sizeof said), 0);
        assert_non_null(strstr(said, "expected 1048576 bytes of Send/Recv from rank 0, but rank 0 sent 4194304 bytes"));
    }
}

/* UCX 1.13 ended the sender's process now and then (uct_iface.h:884), while it sent without a copy. */
static long leaving_after_ms;
static void leaving_body(const ranks_t *ranks)
{
    setenv("NCCL_HOSTID", ranks->rank == 0 ? "a" : "b", 1);
    size_t bytes = 32 << 20; /* more than sockets hold */
    ncclComm_t comm = ranks_comm(ranks);
    char *buffer = calloc(1, bytes);
    CHECK(buffer);
    if (ranks->rank == 0) {
        CHECK(ncclSend(buffer, bytes, ncclInt8, 1, comm, NULL) == ncclSuccess);
        CHECK(hostncclStreamWait(NULL, RANKS_SECONDS) == 0);
        CHECK(async_error(comm) == ncclRemoteError);
        CHECK(ncclCommAbort(comm) == ncclSuccess);
    } else {
        nanosleep(&(struct timespec){.tv_nsec = leaving_after_ms * 1000000}, NULL);
        CHECK(ncclCommAbort(comm) == ncclSuccess);
    }
    free(buffer);
}

static void a_peer_that_leaves_under_a_send_is_named(void **state)
{
    char said[4096];
    (void)state;
    for (leaving_after_ms = 0; leaving_after_ms < 10; leaving_after_ms++) {
        assert_int_equal(ranks_run(2, leaving_body, said, sizeof said), 0);
        assert_non_null(strstr(said, "hostnccl: rank 0: "));
        assert_non_null(strstr(said, "rank 1 "));
    }
}

static void mixup_body(const ranks_t *ranks)
{
    int value[2] = {0};
    ncclComm_t comm = ranks_comm(ranks);
    if (ranks->rank == 0)
        CHECK(ncclAllGather(value, value, 1, ncclInt32, comm, NULL) == ncclSuccess);
    else
        CHECK(ncclRecv(value, 1, ncclInt32, 0, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    if (ranks->rank == 1) CHECK(async_error(comm) == ncclInvalidUsage);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void a_collective_does_not_match_a_receive(void **state)
{
    char said[4096];
    (void)state;
    assert_int_equal(ranks_run(2, mixup_body, said, sizeof said), 0);
    assert_non_null(
        strstr(said, "rank 1: expected 4 bytes of Send/Recv from rank 0, but rank 0 sent 4 bytes of AllGather"));
}

/* What HOSTNCCL_TIMEOUT is where it has to end a wait: long enough for the ranks that do come. */
static char limit[32];

static void limit_set(void)
{
    snprintf(limit, sizeof limit, "%g", 1.5 * ranks_pace());
    setenv("HOSTNCCL_TIMEOUT", limit, 1);
}

static void silent_body(const ranks_t *ranks)
{
    static int value;
    ncclComm_t comm = ranks_comm(ranks);
    if (ranks->rank == 1) {
        CHECK(ncclRecv(&value, 1, ncclInt32, 2, comm, NULL) == ncclSuccess);
        CHECK(hostncclStreamWait(NULL, 0.3) == 1);
        SYNC(NULL);
        CHECK(async_error(comm) == ncclRemoteError);
    } else {
        ranks_outstay();
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void a_silent_peer_is_named(void **state)
{
    char said[4096], expected[128];
    (void)state;
    limit_set();
    assert_int_equal(ranks_run(3, silent_body, said, sizeof said), 0);
    unsetenv("HOSTNCCL_TIMEOUT");
    snprintf(expected, sizeof expected, "hostnccl: rank 1: rank 2 did not send 4 bytes of Send/Recv for %s s", limit);
    assert_non_null(strstr(said, expected));
}

static void absent_body(const ranks_t *ranks)
{
    ncclComm_t comm;
    char expected[96];
    /* The listener's process must live; it is not a rank below. */
    if (ranks->rank == 0) ranks_outstay();
    if (ranks->rank == 0) return;
    snprintf(expected, sizeof expected, "after %s s these of 3 ranks had not joined: 0", limit);
    CHECK(ncclCommInitRank(&comm, 3, ranks->id, ranks->rank) == ncclRemoteError);
    CHECK(strstr(ncclGetLastError(NULL), expected));
    CHECK(comm == NULL);
}

static void absent_ranks_are_named(void **state)
{
    (void)state;
    limit_set();
    assert_int_equal(ranks_run(3, absent_body, NULL, 0), 0);
    unsetenv("HOSTNCCL_TIMEOUT");
}

static void *abort_main(void *comm)
{
    ranks_pause(0.3);
    CHECK(ncclCommAbort(comm) == ncclSuccess);
    return NULL;
}

static void abort_body(const ranks_t *ranks)
{
    pthread_t thread;
    size_t bytes = 8 << 20;
    char *in = malloc(bytes), *out = calloc(1, bytes);
    ncclComm_t comm = ranks_comm(ranks);
    CHECK(ncclGroupStart() == ncclSuccess);
    CHECK(ncclRecv(in, bytes, ncclInt8, 1 - ranks->rank, comm, NULL) == ncclSuccess);
    if (ranks->rank == 0) CHECK(ncclSend(out, bytes, ncclInt8, 1, comm, NULL) == ncclSuccess);
    CHECK(ncclGroupEnd() == ncclSuccess);
    if (ranks->rank == 0) CHECK(ncclRecv(in, bytes, ncclInt8, 1, comm, NULL) == ncclSuccess); /* queued behind */
    CHECK(pthread_create(&thread, NULL, abort_main, comm) == 0);
    SYNC(NULL); /* nothing else ends it sooner than RANKS_SECONDS */
    pthread_join(thread, NULL);
    free(in);
    free(out);
}

static void abort_ends_running_work(void **state)
{
    (void)state;
    setenv("HOSTNCCL_TIMEOUT", "100000", 1);
    assert_int_equal(ranks_run(2, abort_body, NULL, 0), 0);
    unsetenv("HOSTNCCL_TIMEOUT");
}

/* The job's other ranks must hear of a rank that dies, over shared memory too. */
static void death_body(const ranks_t *ranks)
{
    static char buffer[1 << 16];
    ncclComm_t comm = ranks_comm(ranks);
    if (ranks->rank == 1) _exit(0);
    CHECK(ncclRecv(buffer, sizeof buffer, ncclInt8, 1, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    CHECK(async_error(comm) == ncclRemoteError);
    CHECK(ncclCommAbort(comm) == ncclSuccess);
}

static void a_dead_peer_is_named(void **state)
{
    char said[4096];
    (void)state;
    assert_int_equal(ranks_run(2, death_body, said, sizeof said), 0);
    assert_non_null(strstr(said, "rank 0: rank 1 ended its connection"));
    setenv("UCX_TLS", "tcp", 1);
    assert_int_equal(ranks_run(2, death_body, said, sizeof said), 0);
    unsetenv("UCX_TLS");
    assert_non_null(strstr(said, "rank 0: rank 1 ended its connection"));
}

static void unread_body(const ranks_t *ranks)
{
    int value = 5;
    ncclComm_t comm = ranks_comm(ranks);
    if (ranks->rank == 0) CHECK(ncclSend(&value, 1, ncclInt32, 1, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void destroy_tells_of_unread_messages(void **state)
{
    char said[4096];
    (void)state;
    assert_int_equal(ranks_run(2, unread_body, said, sizeof said), 0);
    assert_non_null(strstr(said, "rank 1 destroys a communicator that still has an unreceived message: 4 bytes of "
                                 "Send/Recv from rank 0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_returns_nccls_codes),
        cmocka_unit_test(a_receive_of_another_size_is_reported),
        cmocka_unit_test(a_peer_that_leaves_under_a_send_is_named),
        cmocka_unit_test(a_collective_does_not_match_a_receive),
        cmocka_unit_test(a_silent_peer_is_named),
        cmocka_unit_test(absent_ranks_are_named),
        cmocka_unit_test(abort_ends_running_work),
        cmocka_unit_test(a_dead_peer_is_named),
        cmocka_unit_test(destroy_tells_of_unread_messages),
    };
    ranks_pace_measure();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
