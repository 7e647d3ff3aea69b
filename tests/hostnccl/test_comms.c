#include "ranks.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Sum of all ranks' numbers in the communicator. */
static int sum_of(ncclComm_t comm, int mine, cudaStream_t stream)
{
    int sum = 0;
    CHECK(ncclAllReduce(&mine, &sum, 1, ncclInt32, ncclSum, comm, stream) == ncclSuccess);
    SYNC(stream);
    return sum;
}

static void split_body(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks), halves, last, none;
    int value = -1, rank, count, pending = 0;
    /* A receive that is still waiting must not hold up the split. */
    if (ranks->rank == 0) CHECK(ncclRecv(&pending, 1, ncclInt32, 3, comm, NULL) == ncclSuccess);
    CHECK(ncclCommSplit(comm, ranks->rank % 2, -ranks->rank, &halves, NULL) == ncclSuccess);
    if (ranks->rank == 3) CHECK(ncclSend(&ranks->ranks, 1, ncclInt32, 0, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    CHECK(ranks->rank || pending == 4);
    CHECK(ncclCommCount(halves, &count) == ncclSuccess && count == 2);
    CHECK(ncclCommUserRank(halves, &rank) == ncclSuccess && rank == (ranks->rank < 2));
    CHECK(sum_of(halves, ranks->rank, NULL) == (ranks->rank % 2 ? 4 : 2));
    CHECK(ncclCommSplit(comm, ranks->rank == 3 ? 0 : NCCL_SPLIT_NOCOLOR, 0, &last, NULL) == ncclSuccess);
    CHECK((last != NULL) == (ranks->rank == 3));
    if (last) CHECK(sum_of(last, 9, NULL) == 9);
    if (last) CHECK(ncclCommDestroy(last) == ncclSuccess);
    if (ranks->rank != 1) {
        CHECK(ncclCommShrink(comm, (int[]){1}, 1, &none, NULL, 0) == ncclSuccess);
        CHECK(sum_of(none, ranks->rank, NULL) == 5);
        CHECK(ncclCommDestroy(none) == ncclSuccess);
    }
    CHECK(ncclCommFinalize(halves) == ncclSuccess);
    CHECK(ncclSend(&value, 1, ncclInt32, 0, halves, NULL) == ncclInvalidUsage);
    CHECK(ncclCommDestroy(halves) == ncclSuccess);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void communicators_split_and_shrink(void **state)
{
    (void)state;
    assert_int_equal(ranks_run(4, split_body, NULL, 0), 0);
}

static void revoke_body(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks), next;
    int value = 0;
    if (ranks->rank != 1) CHECK(ncclRecv(&value, 1, ncclInt32, 1, comm, NULL) == ncclSuccess);
    CHECK(ncclCommRevoke(comm, NCCL_REVOKE_DEFAULT) == ncclSuccess);
    SYNC(NULL);
    CHECK(ncclSend(&value, 1, ncclInt32, 0, comm, NULL) == ncclInvalidUsage);
    CHECK(ncclCommFinalize(comm) == ncclInvalidUsage);
    CHECK(ncclCommSplit(comm, 0, 0, &next, NULL) == ncclSuccess);
    CHECK(sum_of(next, 1, NULL) == 3);
    CHECK(ncclCommDestroy(next) == ncclSuccess);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void a_revoked_communicator_can_still_split(void **state)
{
    (void)state;
    assert_int_equal(ranks_run(3, revoke_body, NULL, 0), 0);
}

typedef struct worker {
    ncclComm_t comm;
    cudaStream_t stream;
    const ranks_t *ranks;
    int delay;
} worker_t;

static void *worker_main(void *arg)
{
    const worker_t *worker = arg;
    for (int i = 0; i < 200; i++) {
        CHECK(sum_of(worker->comm, worker->ranks->rank + i, worker->stream) ==
              i * worker->ranks->ranks + worker->ranks->ranks * (worker->ranks->ranks - 1) / 2);
        if (i % 50 == worker->delay) nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return NULL;
}

static void two_comms_body(const ranks_t *ranks)
{
    worker_t workers[2];
    pthread_t threads[2];
    workers[0].comm = ranks_comm(ranks);
    CHECK(ncclCommSplit(workers[0].comm, 0, ranks->rank, &workers[1].comm, NULL) == ncclSuccess);
    for (int i = 0; i < 2; i++) {
        CHECK(hostncclStreamCreate(&workers[i].stream) == 0);
        workers[i].ranks = ranks;
        workers[i].delay = ranks->rank * 10 + i;
        CHECK(pthread_create(&threads[i], NULL, worker_main, &workers[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        CHECK(hostncclStreamDestroy(workers[i].stream) == 0);
    }
    CHECK(hostncclStreamDestroy(workers[0].stream) < 0);
    for (int i = 1; i >= 0; i--) CHECK(ncclCommDestroy(workers[i].comm) == ncclSuccess);
}

static void two_communicators_from_two_threads(void **state)
{
    (void)state;
    assert_int_equal(ranks_run(3, two_comms_body, NULL, 0), 0);
}

static void wait_and_set(void *value)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    *(int *)value = 17;
}

/* Work follows host functions in stream order, and calls on one communicator stay in the order they were made. */
static void streams_body(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    cudaStream_t first, second;
    int value = 0, sum = 0, after = 0, peer = 1 - ranks->rank, got[2] = {0};
    CHECK(hostncclStreamCreate(&first) == 0 && hostncclStreamCreate(&second) == 0);
    CHECK(hostncclStreamEnqueue(first, wait_and_set, &value) == 0);
    CHECK(ncclAllReduce(&value, &sum, 1, ncclInt32, ncclSum, comm, first) == ncclSuccess);
    CHECK(ncclAllReduce(&sum, &after, 1, ncclInt32, ncclSum, comm, second) == ncclSuccess);
    SYNC(second);
    CHECK(sum == 34 && after == 68);
    value = 0;
    CHECK(hostncclStreamEnqueue(second, wait_and_set, &value) == 0);
    CHECK(ncclGroupStart() == ncclSuccess); /* over two streams: starts when both have come to it */
    CHECK(ncclRecv(&got[0], 1, ncclInt32, peer, comm, first) == ncclSuccess);
    CHECK(ncclSend(&value, 1, ncclInt32, peer, comm, second) == ncclSuccess);
    CHECK(ncclGroupEnd() == ncclSuccess);
    SYNC(first);
    CHECK(got[0] == 17);
    CHECK(hostncclStreamDestroy(first) == 0 && hostncclStreamDestroy(second) == 0);
    CHECK(hostncclStreamEnqueue(second, wait_and_set, &value) < 0);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void streams_keep_order(void **state)
{
    (void)state;
    assert_int_equal(ranks_run(2, streams_body, NULL, 0), 0);
}

static int files_open(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder);
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

static void gate_wait(void *gate)
{
    while (!atomic_load((atomic_int *)gate)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void abort_queued_body(const ranks_t *ranks)
{
    static atomic_int gate;
    static int value;
    int files = 0;
    ncclComm_t comm = ranks_comm(ranks), child;
    for (int queued = 0; queued <= 1; queued++) { /* what the first one leaves open is UCX's own */
        CHECK(ncclCommSplit(comm, 0, ranks->rank, &child, NULL) == ncclSuccess);
        if (queued) CHECK(hostncclStreamEnqueue(NULL, gate_wait, &gate) == 0);
        if (queued) CHECK(ncclRecv(&value, 1, ncclInt32, 1 - ranks->rank, child, NULL) == ncclSuccess);
        CHECK(ncclCommAbort(child) == ncclSuccess);
        CHECK(!queued || files_open() == files);
        files = files_open();
    }
    atomic_store(&gate, 1);
    SYNC(NULL);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

/* It was the stream's thread that closed what the communicator had opened, once in a while under a process that was
 * ending: SIGSEGV in UCX. */
static void an_abort_closes_everything_with_work_still_queued(void **state)
{
    (void)state;
    assert_int_equal(ranks_run(2, abort_queued_body, NULL, 0), 0);
}

/* Two ranks of one communicator made by one thread, nonblocking. */
static void one_process_body(const ranks_t *ranks)
{
    ncclComm_t comms[2];
    cudaStream_t streams[2];
    int values[2] = {3, 4}, sums[2] = {0}, device;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    CHECK(ncclGroupStart() == ncclSuccess);
    for (int i = 0; i < 2; i++) {
        CHECK(hostncclStreamCreate(&streams[i]) == 0);
        CHECK(ncclCommInitRankConfig(&comms[i], 2, ranks->id, i, &config) == ncclSuccess);
    }
    CHECK(ncclGroupEnd() == ncclSuccess);
    CHECK(ncclGroupStart() == ncclSuccess);
    for (int i = 0; i < 2; i++)
        CHECK(ncclAllReduce(&values[i], &sums[i], 1, ncclInt32, ncclSum, comms[i], streams[i]) == ncclSuccess);
    CHECK(ncclGroupEnd() == ncclSuccess);
    for (int i = 0; i < 2; i++) {
        SYNC(streams[i]);
        CHECK(sums[i] == 7);
        CHECK(ncclCommCuDevice(comms[i], &device) == ncclSuccess && device == i);
    }
    for (int i = 0; i < 2; i++) CHECK(ncclCommAbort(comms[i]) == ncclSuccess);
}

static void ranks_of_one_process(void **state)
{
    (void)state;
    assert_int_equal(ranks_run(1, one_process_body, NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(communicators_split_and_shrink),
        cmocka_unit_test(a_revoked_communicator_can_still_split),
        cmocka_unit_test(two_communicators_from_two_threads),
        cmocka_unit_test(streams_keep_order),
        cmocka_unit_test(an_abort_closes_everything_with_work_still_queued),
        cmocka_unit_test(ranks_of_one_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
