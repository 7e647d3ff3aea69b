/* A rank of a random test against plain NCCL: every all-to-all is issued twice on the same data, once by the names that
 * the library intercepts and once by NCCL's own pncclX, and all memory around the receive buffers is compared.
 *
 *     random_calls [--seed N] [--calls N] [--most-bytes N] [--held 1]
 *
 * What all ranks must draw alike (counts, types, forms, layouts) comes from one seeded stream, what is a rank's own
 * affair (where its buffers lie, the order of its sends, streams, gates, forks) from another. The seed is printed, and
 * how many calls the ranks made. HM_TEST_CALLS=N makes N calls instead. Node layouts are drawn for each pair of
 * communicators by NCCL_HOSTID unless RANDOM_CALLS_KEEP_NODES is set. The function that issues groups is
 * odd_all_to_all, for HIERMOE_TRUST. --held 1: streams are also held back until a call has returned. Where
 * HIERMOE_NCCL_LIB is the watched NCCL, communicators end by an abort. */
#include "random_issue.h"
#include "watchdog.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define IN_FLIGHT 4 /* calls enqueued before their streams are waited for */
#define STREAMS 3

/* What this rank has done. */
typedef struct tally {
    size_t calls, bytes;
    size_t mixed, left_out, two_streams, held, forks, aborts; /* calls of each kind */
} tally_t;

typedef struct job {
    ranks_t ranks;
    ncclComm_t world;
    place_t place[2];
    cudaStream_t stream[STREAMS];
    data_random_t common, own;
    data_run_t run[2]; /* of each place */
    way_t plain;
    const watched_t *watched; /* NULL: nobody is aborted */
    uint64_t seed, held;
    size_t most_bytes;
    tally_t tally;
} job_t;

static bool own_chance(job_t *job, size_t one_in)
{
    return data_below(&job->own, one_in) == 0;
}

/* What is this rank's own affair: streams, gates, and where it forks. */
static void oddities_draw(job_t *job, call_t *call)
{
    call->split = !call->shape.equal && own_chance(job, 12);
    for (int i = 0; i < 2; i++) call->stream[i] = job->stream[data_below(&job->own, STREAMS)];
    CHECK(data_buffers_make(&job->own, &call->shape, call->place->ranks, call->place->rank, call->split, &call->data));
    call->gated = call->split || own_chance(job, 16);
    call->gate = (gate_t){.timed = job->held == 0 || own_chance(job, 2), .us = data_below(&job->own, 3000)};
    bool due = own_chance(job, 64) || (job->tally.forks == 0 && job->tally.calls >= 100); /* each rank forks */
    call->fork_at = !call->shape.equal && due ? (int)data_below(&job->own, (size_t)call->data.legs) : -1;
    job->tally.two_streams += call->split && call->stream[0] != call->stream[1];
    job->tally.held += call->gated;
    job->tally.forks += call->fork_at >= 0;
}

static void call_draw(job_t *job, size_t where, call_t *call)
{
    *call = (call_t){.place = &job->place[where], .plain_first = data_below(&job->common, 2)};
    data_shape_draw(&job->common, &job->run[where], job->most_bytes, job->ranks.ranks, &call->shape);
    oddities_draw(job, call);
    job->tally.mixed += call->shape.mixed && !call->shape.equal;
    job->tally.left_out += call->shape.left_out && !call->shape.equal;
}

static void call_check(job_t *job, call_t *call)
{
    long wrong = data_buffers_compare(&call->data);
    if (wrong >= 0) {
        fprintf(stderr,
                "random_calls: --seed %llu: near call %zu on rank %d of %d: byte %ld of the receive memory differs "
                "from plain NCCL; rows of %zu bytes, %s\n",
                (unsigned long long)job->seed, job->tally.calls, call->place->rank, call->place->ranks, wrong,
                call->shape.row_bytes, call->shape.equal ? "ncclAlltoAll" : "a group");
        _exit(1);
    }
    job->tally.bytes += call->data.received;
    data_buffers_free(&call->data);
}

/* Two communicators, all ranks and then two halves of them, on a fresh layout: NCCL_HOSTID is read when their ranks
 * first meet. */
static void places_open(job_t *job)
{
    int me = job->ranks.rank, ranks = job->ranks.ranks, node = 0;
    size_t nodes = 1 + data_below(&job->common, (size_t)ranks);
    bool blocks = data_below(&job->common, 2);
    for (int r = 0; r < ranks; r++) {
        int drawn = (int)(blocks ? (size_t)r * nodes / (size_t)ranks : data_below(&job->common, nodes));
        if (r == me) node = drawn;
    }
    if (getenv("RANDOM_CALLS_KEEP_NODES") == NULL) {
        char name[16];
        snprintf(name, sizeof name, "node%d", node);
        setenv("NCCL_HOSTID", name, 1);
    }
    int color[2] = {0, data_below(&job->common, 2) ? 0 : me % 2};
    int key[2] = {me, data_below(&job->common, 2) ? ranks - me : me};
    for (int i = 0; i < 2; i++) {
        place_t *place = &job->place[i];
        CHECK(ncclCommSplit(job->world, color[i], key[i], &place->comm, NULL) == ncclSuccess);
        CHECK(ncclCommCount(place->comm, &place->ranks) == ncclSuccess);
        CHECK(ncclCommUserRank(place->comm, &place->rank) == ncclSuccess);
    }
}

/* A last call on a communicator that a watchdog aborts meanwhile, on each rank at another step. What comes of it is
 * open, but the job goes on. */
static void place_abort(job_t *job, size_t where)
{
    call_t call;
    watchdog_t watchdog;
    call_draw(job, where, &call);
    watchdog_arm(&watchdog, job->watched, call.place->comm, (int)data_below(&job->own, 40), !call.shape.equal);
    call_intercepted(&call);
    watchdog_join(&watchdog);
    for (int i = 0; i < STREAMS; i++) SYNC(job->stream[i]);
    data_buffers_free(&call.data);
    job->place[where].comm = NULL;
    job->tally.aborts++;
}

static void places_close(job_t *job)
{
    if (job->watched != NULL) place_abort(job, data_below(&job->common, 2));
    for (int i = 0; i < 2; i++)
        if (job->place[i].comm != NULL) CHECK(ncclCommDestroy(job->place[i].comm) == ncclSuccess);
}

/* Calls of a pair of communicators. The library must have time to learn; where aborts are the point, there are many. */
static size_t life_draw(job_t *job)
{
    bool long_life = data_below(&job->common, 4) == 0;
    return job->watched != NULL ? 10 : long_life ? 400 : 48;
}

static void job_run(job_t *job, size_t calls)
{
    call_t call[IN_FLIGHT];
    for (int i = 0; i < STREAMS; i++) CHECK(hostncclStreamCreate(&job->stream[i]) == 0);
    job->world = ranks_comm(&job->ranks);
    while (job->tally.calls < calls) {
        places_open(job);
        size_t end = job->tally.calls + life_draw(job);
        while (job->tally.calls < end && job->tally.calls < calls) {
            size_t flight = 1 + data_below(&job->common, IN_FLIGHT);
            for (size_t i = 0; i < flight; i++) {
                call_draw(job, data_below(&job->common, 2), &call[i]);
                call_both(&job->plain, &call[i]);
                job->tally.calls++;
            }
            for (int i = 0; i < STREAMS; i++) SYNC(job->stream[i]);
            for (size_t i = 0; i < flight; i++) call_check(job, &call[i]);
        }
        places_close(job);
    }
    CHECK(ncclCommDestroy(job->world) == ncclSuccess);
    for (int i = 0; i < STREAMS; i++) CHECK(hostncclStreamDestroy(job->stream[i]) == 0);
}

static void job_report(const job_t *job)
{
    const tally_t *tally = &job->tally;
    fprintf(stderr,
            "rank %d: %zu calls twice, %zu bytes received, none differs; %zu of mixed types, %zu with legs left out, "
            "%zu on two streams, %zu behind a gate, %zu with a fork, %zu aborted\n",
            job->ranks.rank, tally->calls, tally->bytes, tally->mixed, tally->left_out, tally->two_streams, tally->held,
            tally->forks, tally->aborts);
    if (job->ranks.rank == 0)
        fprintf(stderr, "random_calls --seed %llu: %zu rank-calls, 0 differ\n", (unsigned long long)job->seed,
                tally->calls * (size_t)job->ranks.ranks);
    CHECK(tally->bytes > 0);
    CHECK(tally->aborts > 0 || job->watched == NULL);
    if (tally->calls < 400) return;
    CHECK(tally->mixed > 0 && tally->left_out > 0 && tally->two_streams > 0 && tally->held > 0 && tally->forks > 0);
}

/* Some ranks have a launcher of their own, which has called NCCL before it forks them, and waits for them. */
static void rank_launch(void)
{
    int status = -1;
    const char *rank = getenv("RANK");
    if (rank == NULL || atoi(rank) % 3 != 1) return;
    CHECK(ncclGroupStart() == ncclSuccess && ncclGroupEnd() == ncclSuccess);
    pid_t launcher = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == launcher) return;
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static bool number_read(const char *text, uint64_t *number)
{
    char *end;
    *number = strtoull(text, &end, 0);
    return end != text && *end == '\0';
}

/* Options in pairs; HM_TEST_CALLS has the last word on --calls. */
static bool options_read(int argc, char **argv, job_t *job, uint64_t *calls, uint64_t *most_bytes, bool *seeded)
{
    const char *longer = getenv("HM_TEST_CALLS");
    bool good = argc % 2 == 1;
    for (int i = 1; good && i < argc; i += 2) {
        uint64_t *number = strcmp(argv[i], "--seed") == 0         ? &job->seed
                           : strcmp(argv[i], "--calls") == 0      ? calls
                           : strcmp(argv[i], "--held") == 0       ? &job->held
                           : strcmp(argv[i], "--most-bytes") == 0 ? most_bytes
                                                                  : NULL;
        *seeded |= number == &job->seed;
        good = number != NULL && number_read(argv[i + 1], number);
    }
    return good && (longer == NULL || number_read(longer, calls));
}

int main(int argc, char **argv)
{
    uint64_t calls = 200, most_bytes = 40000;
    job_t job = {.watched = watchdog_nccl()};
    bool seeded = false;
    rank_launch();
    if (!options_read(argc, argv, &job, &calls, &most_bytes, &seeded) || !ranks_from_environment(&job.ranks)) {
        fprintf(stderr,
                "usage: RANK=.. WORLD_SIZE=.. HOSTNCCL_ID_FILE=.. %s [--seed N] [--calls N] [--most-bytes N] "
                "[--held 1]\n",
                argv[0]);
        return 2;
    }
    /* What all ranks know alike and differs from run to run. */
    for (size_t i = 0; !seeded && i < sizeof job.ranks.id; i++)
        job.seed = (job.seed ^ (unsigned char)job.ranks.id.internal[i]) * 0x100000001B3u;
    job.plain = way_plain();
    job.most_bytes = most_bytes;
    job.common.state = job.seed;
    job.own.state = job.seed * 1000003 + (uint64_t)job.ranks.rank + 1;
    if (job.ranks.rank == 0) fprintf(stderr, "random_calls --seed %llu\n", (unsigned long long)job.seed);
    job_run(&job, calls);
    job_report(&job);
    return 0;
}
