/* A rank of jobs that end badly or tidily at an awkward moment, one scenario per run: rough_ends NAME. Exit status 3:
 * NCCL said that the communicator is lost, as expected of the ranks that remain. The function that issues groups is
 * odd_all_to_all, for HIERMOE_TRUST. */
#include "rough_call.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static bool comm_lost(ncclComm_t comm)
{
    ncclResult_t state = ncclSuccess;
    return ncclCommGetAsyncError(comm, &state) != ncclSuccess || state != ncclSuccess;
}

/* Calls until one fails; rank 1 dies before its call number `last`, or right after it has been enqueued. */
static int calls_until_death(const ranks_t *ranks, int last, bool enqueued)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (int i = 0; i < last + 20; i++) {
        static call_t call; /* stays: the stream may still use it */
        if (ranks->rank == 1 && i == last && !enqueued) raise(SIGKILL);
        call_make(ranks, 40, (uint64_t)i, &call);
        ncclResult_t result = odd_all_to_all(ranks, &call, comm, NULL);
        if (ranks->rank == 1 && i == last) raise(SIGKILL);
        if (result == ncclSuccess) SYNC(NULL);
        if (result != ncclSuccess || comm_lost(comm)) {
            ncclCommAbort(comm);
            return 3;
        }
        call_check(ranks, 40, (uint64_t)i, &call);
    }
    return 0;
}

static int run_rank_dies_before_a_call(const ranks_t *ranks)
{
    return calls_until_death(ranks, 5, false);
}

static int run_rank_dies_in_a_call(const ranks_t *ranks)
{
    return calls_until_death(ranks, 5, true);
}

static void *abort_soon(void *comm)
{
    ranks_pause(0.7);
    return (void *)(intptr_t)(ncclCommAbort(comm) != ncclSuccess);
}

/* Some calls go well, then the last rank stays away; an abort from another thread must end the wait of the others.
 * Nothing else does: all time-outs are longer than the test. */
static int run_abort_in_a_later_agreement(const ranks_t *ranks)
{
    static call_t call;
    pthread_t thread;
    void *failed = NULL;
    ncclComm_t comm = ranks_comm(ranks);
    for (uint64_t i = 0; i < 4; i++) round_run(ranks, comm, NULL, 40, i);
    if (ranks->rank == ranks->ranks - 1) {
        ranks_outstay();
        ncclCommAbort(comm);
        return 0;
    }
    call_make(ranks, 40, 9, &call);
    CHECK(pthread_create(&thread, NULL, abort_soon, comm) == 0);
    CHECK(odd_all_to_all(ranks, &call, comm, NULL) != ncclSuccess);
    CHECK(pthread_join(thread, &failed) == 0);
    CHECK(failed == NULL);
    return 0;
}

/* A communicator aborted with replaced calls still on its stream must neither hold the abort up, until time-outs that
 * are longer than the test, nor break the process; the job goes on with another one. */
static int run_abort_with_calls_on_the_stream(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (uint64_t i = 0; i < 12; i++) {
        call_t call[3];
        ncclComm_t child;
        CHECK(ncclCommSplit(comm, 0, ranks->rank, &child, NULL) == ncclSuccess);
        for (uint64_t c = 0; c < 3; c++) {
            call_make(ranks, 200, i + c, &call[c]);
            odd_all_to_all(ranks, &call[c], child, NULL);
        }
        CHECK(ncclCommAbort(child) == ncclSuccess);
        SYNC(NULL);
        for (int c = 0; c < 3; c++) data_buffers_free(&call[c].data);
        round_run(ranks, comm, NULL, 40, i);
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    return 0;
}

/* Legal: the stream is idle. */
static int run_destroy_after_sync(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (uint64_t i = 0; i < 12; i++) {
        call_t call;
        ncclComm_t child;
        CHECK(ncclCommSplit(comm, 0, ranks->rank, &child, NULL) == ncclSuccess);
        call_make(ranks, 40 + 10 * i, i, &call);
        CHECK(odd_all_to_all(ranks, &call, child, NULL) == ncclSuccess);
        SYNC(NULL);
        CHECK(ncclCommDestroy(child) == ncclSuccess);
        call_check(ranks, 40 + 10 * i, i, &call);
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    return 0;
}

/* A communicator outlives the streams it was used on. */
static int run_streams_come_and_go(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (uint64_t i = 0; i < 10; i++) {
        cudaStream_t stream, keep;
        CHECK(hostncclStreamCreate(&stream) == 0);
        round_run(ranks, comm, stream, 20 + i, i);
        CHECK(hostncclStreamCreate(&keep) == 0); /* lest the next stream gets the address of this one */
        CHECK(hostncclStreamDestroy(stream) == 0);
        round_run(ranks, comm, keep, 20 + i, i + 100);
        CHECK(hostncclStreamDestroy(keep) == 0);
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    return 0;
}

/* Sizes grow, so that memory is asked for again and again. */
static int run_growing_calls(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (uint64_t i = 0; i < 7; i++) round_run(ranks, comm, NULL, (size_t)8 << i, i);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    return 0;
}

static const struct scenario {
    const char *name;
    int (*run)(const ranks_t *);
} scenarios[] = {
    {"rank_dies_before_a_call", run_rank_dies_before_a_call},
    {"rank_dies_in_a_call", run_rank_dies_in_a_call},
    {"abort_in_a_later_agreement", run_abort_in_a_later_agreement},
    {"abort_with_calls_on_the_stream", run_abort_with_calls_on_the_stream},
    {"destroy_after_sync", run_destroy_after_sync},
    {"streams_come_and_go", run_streams_come_and_go},
    {"growing_calls", run_growing_calls},
};

int main(int argc, char **argv)
{
    ranks_t ranks;
    if (argc != 2 || !ranks_from_environment(&ranks)) {
        fprintf(stderr, "usage: RANK=.. WORLD_SIZE=.. HOSTNCCL_ID_FILE=.. %s SCENARIO\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        if (strcmp(argv[1], scenarios[i].name) == 0) return scenarios[i].run(&ranks);
    fprintf(stderr, "%s: no scenario %s\n", argv[0], argv[1]);
    return 2;
}
