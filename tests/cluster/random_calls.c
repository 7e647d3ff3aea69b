/* A rank of a random test against plain NCCL: every all-to-all is issued twice on the same data, once by the names that
 * the library intercepts and once by NCCL's own pncclX, and all memory around the receive buffers is compared.
 *
 *     random_calls [--seed N] [--calls N] [--most-bytes N]
 *
 * What all ranks must draw alike (counts, types, forms, layouts) comes from one seeded stream, what is a rank's own
 * affair (where its buffers lie, the order of its sends) from another. The seed is printed. Node layouts are drawn for
 * each pair of communicators by NCCL_HOSTID unless RANDOM_CALLS_KEEP_NODES is set. The function that issues groups is
 * odd_all_to_all, for HIERMOE_TRUST. */
#include "random_data.h"
#include "ranks.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT 4 /* calls enqueued before their streams are waited for */
#define STREAMS 3
#define CALLS_PER_LAYOUT 48

/* The functions of one way to NCCL. */
typedef struct way {
    ncclResult_t (*group_start)(void);
    ncclResult_t (*group_end)(void);
    ncclResult_t (*send)(const void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
    ncclResult_t (*recv)(void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
    ncclResult_t (*all_to_all)(const void *, void *, size_t, ncclDataType_t, ncclComm_t, cudaStream_t);
} way_t;

static const way_t intercepted = {ncclGroupStart, ncclGroupEnd, ncclSend, ncclRecv, ncclAlltoAll};
static way_t plain;

typedef struct place {
    ncclComm_t comm;
    int ranks, rank;
} place_t;

/* One call on this rank: buffers, and the drawn counts they were made for. */
typedef struct call {
    const place_t *place;
    cudaStream_t stream;
    data_shape_t shape;
    data_buffers_t data;
    bool plain_first;
} call_t;

typedef struct job {
    ranks_t ranks;
    ncclComm_t world;
    place_t place[2];
    cudaStream_t stream[STREAMS];
    data_random_t common, own;
    size_t most_bytes, compared, calls;
} job_t;

static void plain_open(void)
{
    void *nccl = dlopen("libnccl.so.2", RTLD_NOW | RTLD_NOLOAD);
    CHECK(nccl != NULL);
#define PLAIN(field, name) \
    do { \
        void *found = dlsym(nccl, name); \
        CHECK(found != NULL); \
        memcpy(&plain.field, &found, sizeof found); \
    } while (0)
    PLAIN(group_start, "pncclGroupStart");
    PLAIN(group_end, "pncclGroupEnd");
    PLAIN(send, "pncclSend");
    PLAIN(recv, "pncclRecv");
    PLAIN(all_to_all, "pncclAlltoAll");
#undef PLAIN
    CHECK(plain.send != ncclSend); /* the library must be preloaded */
}

ncclResult_t odd_all_to_all(const way_t *way, const call_t *call, char *const *recv);

__attribute__((noinline)) ncclResult_t odd_all_to_all(const way_t *way, const call_t *call, char *const *recv)
{
    const data_shape_t *shape = &call->shape;
    const data_buffers_t *data = &call->data;
    ncclComm_t comm = call->place->comm;
    CHECK(way->group_start() == ncclSuccess);
    for (int i = 0; i < 2 * call->place->ranks; i++) {
        int peer = data->order[i] / 2;
        ncclResult_t result = data->order[i] % 2
                                  ? way->recv(recv[peer], data->in[peer], shape->type, peer, comm, call->stream)
                                  : way->send(data->send[peer], data->out[peer], shape->type, peer, comm, call->stream);
        CHECK(result == ncclSuccess);
    }
    ncclResult_t result = way->group_end();
    __asm__ volatile("" ::: "memory"); /* no tail call: this function must be on the stack */
    return result;
}

static void call_issue(const way_t *way, const call_t *call, char *const *recv)
{
    if (!call->shape.equal) {
        CHECK(odd_all_to_all(way, call, recv) == ncclSuccess);
        return;
    }
    CHECK(way->all_to_all(call->data.send[0], recv[0], call->data.out[0], call->shape.type, call->place->comm,
                          call->stream) == ncclSuccess);
}

/* Both ways, in an order that all ranks draw alike: each must find the communicator as the other left it. */
static void call_start(job_t *job, call_t *call)
{
    *call = (call_t){.place = &job->place[data_below(&job->common, 2)],
                     .stream = job->stream[data_below(&job->common, STREAMS)],
                     .plain_first = data_below(&job->common, 2)};
    data_shape_draw(&job->common, job->most_bytes, job->ranks.ranks, &call->shape);
    CHECK(data_buffers_make(&job->own, &call->shape, call->place->ranks, call->place->rank, &call->data));
    if (call->plain_first) call_issue(&plain, call, call->data.expected);
    call_issue(&intercepted, call, call->data.got);
    if (!call->plain_first) call_issue(&plain, call, call->data.expected);
}

static void call_check(job_t *job, call_t *call, uint64_t seed)
{
    long wrong = data_buffers_compare(&call->data);
    if (wrong >= 0) {
        fprintf(stderr,
                "random_calls: --seed %llu: call %zu on rank %d of %d: byte %ld of the receive memory differs from "
                "plain NCCL; rows of %zu bytes, %s\n",
                (unsigned long long)seed, job->calls, call->place->rank, call->place->ranks, wrong,
                call->shape.row_bytes, call->shape.equal ? "ncclAlltoAll" : "a group");
        _exit(1);
    }
    job->compared += call->data.received;
    job->calls++;
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

static void places_close(job_t *job)
{
    for (int i = 0; i < 2; i++) CHECK(ncclCommDestroy(job->place[i].comm) == ncclSuccess);
}

static void job_run(job_t *job, size_t calls, uint64_t seed)
{
    call_t call[IN_FLIGHT];
    for (int i = 0; i < STREAMS; i++) CHECK(hostncclStreamCreate(&job->stream[i]) == 0);
    job->world = ranks_comm(&job->ranks);
    while (job->calls < calls) {
        places_open(job);
        for (size_t end = job->calls + CALLS_PER_LAYOUT; job->calls < end && job->calls < calls;) {
            size_t flight = 1 + data_below(&job->common, IN_FLIGHT);
            for (size_t i = 0; i < flight; i++) call_start(job, &call[i]);
            for (int i = 0; i < STREAMS; i++) SYNC(job->stream[i]);
            for (size_t i = 0; i < flight; i++) call_check(job, &call[i], seed);
        }
        places_close(job);
    }
    CHECK(ncclCommDestroy(job->world) == ncclSuccess);
    for (int i = 0; i < STREAMS; i++) CHECK(hostncclStreamDestroy(job->stream[i]) == 0);
}

static bool number_read(const char *text, uint64_t *number)
{
    char *end;
    *number = strtoull(text, &end, 0);
    return end != text && *end == '\0';
}

int main(int argc, char **argv)
{
    uint64_t seed = 0, calls = 200, most_bytes = 40000;
    job_t job = {0};
    bool good = argc % 2 == 1, seeded = false;
    for (int i = 1; good && i < argc; i += 2) {
        uint64_t *number = strcmp(argv[i], "--seed") == 0         ? &seed
                           : strcmp(argv[i], "--calls") == 0      ? &calls
                           : strcmp(argv[i], "--most-bytes") == 0 ? &most_bytes
                                                                  : NULL;
        seeded |= number == &seed;
        good = number != NULL && number_read(argv[i + 1], number);
    }
    if (!good || !ranks_from_environment(&job.ranks)) {
        fprintf(stderr, "usage: RANK=.. WORLD_SIZE=.. HOSTNCCL_ID_FILE=.. %s [--seed N] [--calls N] [--most-bytes N]\n",
                argv[0]);
        return 2;
    }
    /* What all ranks know alike and differs from run to run. */
    for (size_t i = 0; !seeded && i < sizeof job.ranks.id; i++)
        seed = (seed ^ (unsigned char)job.ranks.id.internal[i]) * 0x100000001B3u;
    plain_open();
    job.most_bytes = most_bytes;
    job.common.state = seed;
    job.own.state = seed * 1000003 + (uint64_t)job.ranks.rank + 1;
    if (job.ranks.rank == 0) fprintf(stderr, "random_calls --seed %llu\n", (unsigned long long)seed);
    job_run(&job, calls, seed);
    CHECK(job.compared > 0);
    fprintf(stderr, "rank %d: %zu calls twice, %zu bytes received, none differs\n", job.ranks.rank, job.calls,
            job.compared);
    return 0;
}
