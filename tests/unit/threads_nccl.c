#define _GNU_SOURCE
#include "threads_nccl.h"

#include "streams.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_SECONDS 900 /* only ranks that wait for each other come to it */

typedef struct message {
    struct message *next;
    const void *data;
    size_t bytes;
    bool taken;
} message_t;

struct ncclComm {
    threads_world_t *world;
    int rank;
    pthread_cond_t changed;   /* something that this rank may wait for; one for all would wake every rank each time */
    unsigned tickets, served; /* groups run in the order in which they were made, whatever their streams */
};

struct threads_world {
    pthread_mutex_t lock;
    int ranks, errors;
    bool stopped;
    struct operation *lost; /* groups with messages that nobody received */
    size_t bytes;
    message_t **queue; /* [from * ranks + to], oldest first */
    bool *away;        /* [rank] see threads_world_away */
    struct ncclComm *comm;
};

typedef struct operation {
    bool send;
    void *buffer;
    size_t bytes;
    int peer;
    ncclComm_t comm;
    void *stream;
    message_t message;
    struct operation *next_lost; /* in the first operation of a group */
} operation_t;

static _Thread_local int depth;
static _Thread_local operation_t *operations;
static _Thread_local int count, room;

threads_world_t *threads_world_create(int ranks)
{
    threads_world_t *world = calloc(1, sizeof *world);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&world->lock, NULL);
    world->ranks = ranks;
    world->queue = calloc((size_t)ranks * (size_t)ranks, sizeof *world->queue);
    world->away = calloc((size_t)ranks, sizeof *world->away);
    world->comm = calloc((size_t)ranks, sizeof *world->comm);
    for (int r = 0; r < ranks; r++) {
        world->comm[r] = (struct ncclComm){.world = world, .rank = r};
        pthread_cond_init(&world->comm[r].changed, &clock);
    }
    pthread_condattr_destroy(&clock);
    return world;
}

void threads_world_destroy(threads_world_t *world)
{
    while (world->lost != NULL) {
        operation_t *lost = world->lost;
        world->lost = lost->next_lost;
        free(lost);
    }
    for (int r = 0; r < world->ranks; r++) pthread_cond_destroy(&world->comm[r].changed);
    pthread_mutex_destroy(&world->lock);
    free(world->queue);
    free(world->away);
    free(world->comm);
    free(world);
}

ncclComm_t threads_world_comm(threads_world_t *world, int rank)
{
    return &world->comm[rank];
}

int threads_world_errors(threads_world_t *world)
{
    return world->errors;
}

int threads_world_unmatched(threads_world_t *world)
{
    int unmatched = 0;
    for (int i = 0; i < world->ranks * world->ranks; i++) unmatched += world->queue[i] != NULL;
    return unmatched;
}

size_t threads_world_bytes(threads_world_t *world)
{
    size_t bytes = world->bytes;
    world->bytes = 0;
    return bytes;
}

static void rank_wake(threads_world_t *world, int rank)
{
    pthread_cond_broadcast(&world->comm[rank].changed);
}

static void all_wake(threads_world_t *world)
{
    for (int r = 0; r < world->ranks; r++) rank_wake(world, r);
}

void threads_world_away(threads_world_t *world, int rank, bool away)
{
    pthread_mutex_lock(&world->lock);
    world->away[rank] = away;
    all_wake(world);
    pthread_mutex_unlock(&world->lock);
}

static message_t **queue_of(threads_world_t *world, int from, int to)
{
    return &world->queue[(size_t)from * (size_t)world->ranks + (size_t)to];
}

void threads_world_stop(threads_world_t *world)
{
    pthread_mutex_lock(&world->lock);
    world->stopped = true;
    all_wake(world);
    pthread_mutex_unlock(&world->lock);
}

/* Waits, with the lock held, for something of comm's rank to change. False where the peer is away, all was stopped, or
 * time is up. */
static bool comm_wait(ncclComm_t comm, int peer, const struct timespec *until)
{
    threads_world_t *world = comm->world;
    return !world->stopped && !world->away[peer] &&
           pthread_cond_timedwait(&comm->changed, &world->lock, until) != ETIMEDOUT;
}

static ncclResult_t rule_broken(threads_world_t *world, const char *what, const operation_t *op, size_t other)
{
    if (world->stopped) return ncclInternalError;
    world->errors++;
    fprintf(stderr, "threads_nccl: rank %d, peer %d: %s (%zu and %zu bytes)\n", op->comm->rank, op->peer, what,
            op->bytes, other);
    return ncclInvalidUsage;
}

static ncclResult_t receive(threads_world_t *world, operation_t *op, const struct timespec *until)
{
    message_t **queue = queue_of(world, op->peer, op->comm->rank);
    while (*queue == NULL || world->stopped)
        if (!comm_wait(op->comm, op->peer, until)) return rule_broken(world, "nothing was sent", op, 0);
    message_t *message = *queue;
    *queue = message->next;
    ncclResult_t result = ncclSuccess;
    if (message->bytes != op->bytes) {
        result = rule_broken(world, "sent and received sizes differ", op, message->bytes);
    } else if (op->bytes > 0) {
        memcpy(op->buffer, message->data, op->bytes);
    }
    message->taken = true;
    rank_wake(world, op->peer);
    return result;
}

static void send_post(threads_world_t *world, operation_t *op)
{
    message_t **queue = queue_of(world, op->comm->rank, op->peer);
    op->message = (message_t){NULL, op->buffer, op->bytes, false};
    while (*queue != NULL) queue = &(*queue)->next;
    *queue = &op->message;
    rank_wake(world, op->peer);
    if (op->peer != op->comm->rank) world->bytes += op->bytes;
}

static void result_keep(ncclResult_t *first, ncclResult_t result)
{
    if (*first == ncclSuccess) *first = result;
}

/* A group on its way, on a stream or at once. */
typedef struct group {
    operation_t *operations;
    int count;
    unsigned ticket;
} group_t;

static ncclResult_t group_execute(const group_t *group)
{
    ncclResult_t result = ncclSuccess;
    operation_t *op = group->operations;
    ncclComm_t comm = op->comm;
    threads_world_t *world = comm->world;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_SECONDS;
    pthread_mutex_lock(&world->lock);
    while (comm->served != group->ticket && comm_wait(comm, comm->rank, &until)) continue;
    for (int i = 0; i < group->count; i++)
        if (op[i].send) send_post(world, &op[i]);
    for (int i = 0; i < group->count; i++)
        if (!op[i].send) result_keep(&result, receive(world, &op[i], &until));
    bool lost = false; /* a message still in a queue must outlive this call */
    for (int i = 0; i < group->count; i++)
        while (op[i].send && !op[i].message.taken && !lost) lost = !comm_wait(comm, op[i].peer, &until);
    if (lost) {
        result_keep(&result, rule_broken(world, "nobody received a message", op, 0));
        op->next_lost = world->lost;
        world->lost = op;
    }
    comm->served++;
    rank_wake(world, comm->rank);
    pthread_mutex_unlock(&world->lock);
    if (!lost) free(op);
    return result;
}

static void group_execute_later(void *memory)
{
    group_execute(memory);
    free(memory);
}

static ncclResult_t group_launch(void)
{
    if (count == 0) return ncclSuccess;
    ncclComm_t comm = operations[0].comm;
    void *stream = operations[0].stream;
    pthread_mutex_lock(&comm->world->lock);
    group_t group = {.operations = operations, .count = count, .ticket = comm->tickets++};
    pthread_mutex_unlock(&comm->world->lock);
    operations = NULL;
    count = room = 0;
    if (stream == NULL) return group_execute(&group);
    group_t *later = malloc(sizeof *later);
    *later = group;
    hostncclStreamEnqueue(stream, group_execute_later, later);
    return ncclSuccess;
}

static ncclResult_t group_start(void)
{
    depth++;
    return ncclSuccess;
}

static ncclResult_t group_end(void)
{
    return --depth == 0 ? group_launch() : ncclSuccess;
}

static ncclResult_t enqueue(operation_t op)
{
    if (count == room) {
        room = room == 0 ? 64 : 2 * room;
        operations = realloc(operations, (size_t)room * sizeof *operations);
    }
    operations[count++] = op;
    return depth == 0 ? group_launch() : ncclSuccess;
}

static ncclResult_t send_call(const void *buffer, size_t elements, ncclDataType_t type, int peer, ncclComm_t comm,
                              cudaStream_t stream)
{
    return enqueue((operation_t){.send = true,
                                 .stream = stream,
                                 .buffer = (void *)buffer,
                                 .bytes = elements * nccl_type_bytes(type),
                                 .peer = peer,
                                 .comm = comm});
}

static ncclResult_t recv_call(void *buffer, size_t elements, ncclDataType_t type, int peer, ncclComm_t comm,
                              cudaStream_t stream)
{
    return enqueue((operation_t){
        .stream = stream, .buffer = buffer, .bytes = elements * nccl_type_bytes(type), .peer = peer, .comm = comm});
}

static ncclResult_t all_gather(const void *send, void *recv, size_t elements, ncclDataType_t type, ncclComm_t comm,
                               cudaStream_t stream)
{
    size_t bytes = elements * nccl_type_bytes(type);
    char *own = (char *)recv + (size_t)comm->rank * bytes;
    if (send != own) memcpy(own, send, bytes);
    group_start();
    for (int r = 0; r < comm->world->ranks; r++) {
        if (r == comm->rank) continue;
        send_call(own, elements, type, r, comm, stream);
        recv_call((char *)recv + (size_t)r * bytes, elements, type, r, comm, stream);
    }
    return group_end();
}

const hm_real_t *threads_real(void)
{
    static const hm_real_t real = {.path = "threads_nccl",
                                   .ncclGroupStart = group_start,
                                   .ncclGroupEnd = group_end,
                                   .ncclSend = send_call,
                                   .ncclRecv = recv_call,
                                   .ncclAllGather = all_gather};
    return &real;
}
