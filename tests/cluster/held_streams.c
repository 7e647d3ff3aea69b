/* A rank of a job that holds its streams back, or aborts communicators under calls, one scenario per run: held_streams
 * NAME. */
#include "rough_call.h"
#include "watchdog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STREAMS 2

static atomic_bool gate;

static void pause_us(size_t us)
{
    nanosleep(&(struct timespec){.tv_sec = (long)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000}, NULL);
}

static void gate_wait(void *nothing)
{
    (void)nothing;
    while (!atomic_load(&gate)) pause_us(1000);
}

/* Holds a stream until the gate is opened. */
static void hold(cudaStream_t stream)
{
    atomic_store(&gate, false);
    CHECK(hostncclStreamEnqueue(stream, gate_wait, NULL) == 0);
}

/* One call on a stream that this thread lets go as soon as the call has returned. */
static void round_held(const ranks_t *ranks, ncclComm_t comm, size_t rows, uint64_t salt)
{
    call_t call;
    call_make(ranks, rows, salt, &call);
    hold(NULL);
    CHECK(odd_all_to_all(ranks, &call, comm, NULL) == ncclSuccess);
    atomic_store(&gate, true);
    SYNC(NULL);
    call_check(ranks, rows, salt, &call);
}

/* Calls that are held back on rank 1, or on all ranks; then some that are not. */
static int calls_held(const ranks_t *ranks, bool on_all, int calls)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (uint64_t i = 0; i < (uint64_t)calls; i++) {
        if (on_all || ranks->rank == 1)
            round_held(ranks, comm, 20 + i, i);
        else
            round_run(ranks, comm, NULL, 20 + i, i);
    }
    for (uint64_t i = 0; i < 8; i++) round_run(ranks, comm, NULL, 40, i);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    return 0;
}

static int run_first_call_is_held(const ranks_t *ranks)
{
    return calls_held(ranks, true, 1);
}

static int run_every_call_is_held(const ranks_t *ranks)
{
    return calls_held(ranks, true, 12);
}

static int run_calls_are_held_on_one_rank(const ranks_t *ranks)
{
    return calls_held(ranks, false, 12);
}

/* Behind a first call its stream waits for this thread, which makes a second call on another stream. */
static int run_second_stream_while_the_first_waits(const ranks_t *ranks)
{
    cudaStream_t one, two;
    call_t first, second;
    ncclComm_t comm = ranks_comm(ranks);
    CHECK(hostncclStreamCreate(&one) == 0 && hostncclStreamCreate(&two) == 0);
    call_make(ranks, 30, 1, &first);
    call_make(ranks, 30, 2, &second);
    CHECK(odd_all_to_all(ranks, &first, comm, one) == ncclSuccess);
    hold(one);
    CHECK(odd_all_to_all(ranks, &second, comm, two) == ncclSuccess);
    atomic_store(&gate, true);
    SYNC(one);
    SYNC(two);
    call_check(ranks, 30, 1, &first);
    call_check(ranks, 30, 2, &second);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    return 0;
}

static void *open_later(void *us)
{
    pause_us(*(size_t *)us);
    atomic_store(&gate, true);
    return NULL;
}

/* Each rank draws by itself whether its stream is held, which one it is, and when another thread lets it go. */
static int run_holds_at_random(const ranks_t *ranks)
{
    cudaStream_t stream[STREAMS];
    data_random_t random = {(uint64_t)ranks->rank * 7919 + 1};
    ncclComm_t comm = ranks_comm(ranks);
    for (int s = 0; s < STREAMS; s++) CHECK(hostncclStreamCreate(&stream[s]) == 0);
    for (uint64_t i = 0; i < 80; i++) {
        call_t call;
        pthread_t opener;
        size_t us = data_below(&random, 8000), rows = 10 + i;
        bool held = data_below(&random, 2) != 0;
        cudaStream_t used = stream[i / 5 % STREAMS];
        call_make(ranks, rows, i, &call);
        if (held) {
            hold(used);
            CHECK(pthread_create(&opener, NULL, open_later, &us) == 0);
        }
        CHECK(odd_all_to_all(ranks, &call, comm, used) == ncclSuccess);
        if (held) pthread_join(opener, NULL);
        SYNC(used);
        call_check(ranks, rows, i, &call);
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    return 0;
}

/* A call as a job may make it: by its own sends and receives, by name, or by name in a group with something else. */
typedef ncclResult_t issue_t(const ranks_t *ranks, const call_t *call, ncclComm_t comm);

static ncclResult_t sends_issue(const ranks_t *ranks, const call_t *call, ncclComm_t comm)
{
    return odd_all_to_all(ranks, call, comm, NULL);
}

/* As many bytes from each rank as fit into one peer's piece. */
static ncclResult_t name_issue(const ranks_t *ranks, const call_t *call, ncclComm_t comm)
{
    return ncclAlltoAll(call->data.send[0], call->data.got[0], call->data.out[0] / (size_t)ranks->ranks, ncclInt8, comm,
                        NULL);
}

static ncclResult_t mixed_issue(const ranks_t *ranks, const call_t *call, ncclComm_t comm)
{
    static int sum;
    CHECK(ncclGroupStart() == ncclSuccess);
    ncclResult_t result = name_issue(ranks, call, comm);
    if (result == ncclSuccess) result = ncclAllReduce(&ranks->rank, &sum, 1, ncclInt32, ncclSum, comm, NULL);
    ncclResult_t end = ncclGroupEnd();
    return result != ncclSuccess ? result : end;
}

/* Each rank aborts its communicator at another step of a call, a first one or a later one. The call says what it
 * likes, but nothing may use the communicator afterwards. steps: about how many there are. */
static int aborts_inside(const ranks_t *ranks, issue_t *issue, bool grouped, int steps, int rounds)
{
    int inside = 0;
    const watched_t *watched = watchdog_nccl();
    ncclComm_t world = ranks_comm(ranks), comm;
    CHECK(watched != NULL);
    for (int i = 0; i < rounds; i++) {
        call_t call;
        watchdog_t watchdog;
        CHECK(ncclCommSplit(world, 0, ranks->rank, &comm, NULL) == ncclSuccess);
        for (int before = 0; before < i % 3; before++) round_run(ranks, comm, NULL, 40, (uint64_t)before);
        call_make(ranks, 40, (uint64_t)i, &call);
        watchdog_arm(&watchdog, watched, comm, (i / 3 * 2 + ranks->rank) % steps, grouped);
        issue(ranks, &call, comm);
        inside += watchdog_join(&watchdog);
        SYNC(NULL);
        data_buffers_free(&call.data);
    }
    round_run(ranks, world, NULL, 40, 99);
    fprintf(stderr, "rank %d: aborted inside %d of %d calls\n", ranks->rank, inside, rounds);
    CHECK(inside > rounds / 3);
    CHECK(ncclCommDestroy(world) == ncclSuccess);
    return 0;
}

static int run_aborts_inside_calls(const ranks_t *ranks)
{
    return aborts_inside(ranks, sends_issue, true, 40, 60);
}

static int run_aborts_inside_named_calls(const ranks_t *ranks)
{
    return aborts_inside(ranks, name_issue, false, 20, 30);
}

static int run_aborts_inside_mixed_groups(const ranks_t *ranks)
{
    return aborts_inside(ranks, mixed_issue, true, 12, 30);
}

static const struct scenario {
    const char *name;
    int (*run)(const ranks_t *);
} scenarios[] = {
    {"first_call_is_held", run_first_call_is_held},
    {"every_call_is_held", run_every_call_is_held},
    {"calls_are_held_on_one_rank", run_calls_are_held_on_one_rank},
    {"second_stream_while_the_first_waits", run_second_stream_while_the_first_waits},
    {"holds_at_random", run_holds_at_random},
    {"aborts_inside_calls", run_aborts_inside_calls},
    {"aborts_inside_named_calls", run_aborts_inside_named_calls},
    {"aborts_inside_mixed_groups", run_aborts_inside_mixed_groups},
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
