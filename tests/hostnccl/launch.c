#include "group.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

/* Tasks of one communicator in one group. Runs on the first task's stream once all its other streams have come to
 * this point too; those wait until it is done. */
typedef struct work {
    struct ncclComm *comm;
    uint64_t ticket;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t streams, arrived, users;
    bool done;
    host_stream_t **stream; /* [streams] */
    size_t count;
    host_task_t tasks[];
} work_t;

/* Keeps tickets in the same order as queue entries, for groups over several communicators and streams. */
static pthread_mutex_t launch_lock = PTHREAD_MUTEX_INITIALIZER;

static void work_release(work_t *work)
{
    pthread_mutex_lock(&work->lock);
    bool last = --work->users == 0;
    pthread_mutex_unlock(&work->lock);
    if (!last) return;
    pthread_cond_destroy(&work->changed);
    pthread_mutex_destroy(&work->lock);
    free(work->stream);
    free(work);
}

static void work_run(work_t *work)
{
    struct ncclComm *comm = work->comm;
    if (comm_begin(comm, work->ticket)) {
        host_failure_t failure = {0};
        bool ok = true;
        for (size_t i = 0; i < work->count && ok; i++)
            if (work->tasks[i].kind != HOST_P2P) ok = collective_run(&work->tasks[i], &failure);
        if (ok) ok = p2p_run(comm, work->tasks, work->count, &failure);
        if (!ok) comm_fail(comm, &failure);
    }
    comm_end(comm);
}

static void work_lead(void *arg)
{
    work_t *work = arg;
    pthread_mutex_lock(&work->lock);
    while (work->arrived < work->streams - 1) pthread_cond_wait(&work->changed, &work->lock);
    pthread_mutex_unlock(&work->lock);
    work_run(work);
    pthread_mutex_lock(&work->lock);
    work->done = true;
    pthread_cond_broadcast(&work->changed);
    pthread_mutex_unlock(&work->lock);
    work_release(work);
}

static void work_follow(void *arg)
{
    work_t *work = arg;
    pthread_mutex_lock(&work->lock);
    work->arrived++;
    pthread_cond_broadcast(&work->changed);
    while (!work->done) pthread_cond_wait(&work->changed, &work->lock);
    pthread_mutex_unlock(&work->lock);
    work_release(work);
}

static work_t *work_create(const host_task_t *tasks, size_t count)
{
    work_t *work = calloc(1, sizeof *work + count * sizeof *tasks);
    if (!work) return NULL;
    work->stream = calloc(count, sizeof *work->stream);
    if (!work->stream) {
        free(work);
        return NULL;
    }
    pthread_mutex_init(&work->lock, NULL);
    pthread_cond_init(&work->changed, NULL);
    work->comm = tasks[0].comm;
    work->count = count;
    memcpy(work->tasks, tasks, count * sizeof *tasks);
    for (size_t i = 0; i < count; i++) {
        size_t known = 0;
        while (known < work->streams && work->stream[known] != tasks[i].stream) known++;
        if (known == work->streams) work->stream[work->streams++] = tasks[i].stream;
    }
    work->users = work->streams;
    return work;
}

static ncclResult_t work_push(const host_task_t *tasks, size_t count)
{
    work_t *work = work_create(tasks, count);
    if (!work) return say_error(ncclSystemError, "no memory for a group");
    pthread_mutex_lock(&launch_lock);
    work->ticket = comm_enter(work->comm);
    size_t streams = work->streams;
    int rc = stream_push(work->stream[0], work_lead, work);
    for (size_t i = 1; i < streams && rc == 0; i++) rc = stream_push(work->stream[i], work_follow, work);
    pthread_mutex_unlock(&launch_lock);
    /* Half a group cannot be taken back from its streams; the communicator is lost then. */
    if (rc) {
        comm_fail(work->comm, &(host_failure_t){ncclSystemError, "no memory to enqueue a group"});
        return say_error(ncclSystemError, "no memory to enqueue a group");
    }
    return ncclSuccess;
}

static ncclResult_t check_blocking(const host_task_t *tasks, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (tasks[i].comm->blocking != tasks[0].comm->blocking)
            return say_error(ncclInvalidArgument, "a group mixes blocking and nonblocking communicators");
    return ncclSuccess;
}

/* The k-th send to oneself needs a k-th receive from oneself of as many bytes. */
static ncclResult_t check_self(const host_task_t *tasks, size_t count)
{
    size_t receive = 0, sends = 0, receives = 0;
    for (size_t i = 0; i < count; i++) {
        if (tasks[i].kind != HOST_P2P || tasks[i].root != tasks[i].comm->rank) continue;
        sends += tasks[i].send;
        receives += !tasks[i].send;
    }
    if (sends != receives)
        return say_error(ncclInvalidUsage, "rank %d: %zu sends to itself in a group with %zu receives from itself",
                         tasks[0].comm->rank, sends, receives);
    for (size_t i = 0; i < count; i++) {
        if (tasks[i].kind != HOST_P2P || tasks[i].root != tasks[i].comm->rank || !tasks[i].send) continue;
        while (tasks[receive].kind != HOST_P2P || tasks[receive].root != tasks[receive].comm->rank ||
               tasks[receive].send)
            receive++;
        size_t sent = tasks[i].count * tasks[i].element, wanted = tasks[receive].count * tasks[receive].element;
        if (sent != wanted)
            return say_error(ncclInvalidUsage, "rank %d sends itself %zu bytes but receives %zu", tasks[i].comm->rank,
                             sent, wanted);
        receive++;
    }
    return ncclSuccess;
}

static int compare_tasks(const void *a, const void *b)
{
    const host_task_t *left = a, *right = b;
    if (left->comm->id != right->comm->id) return left->comm->id < right->comm->id ? -1 : 1;
    if (left->comm->rank != right->comm->rank) return left->comm->rank < right->comm->rank ? -1 : 1;
    return 0;
}

/* Insertion keeps the order of calls, which qsort does not; groups are nearly always of one communicator. */
static void sort_tasks(host_task_t *tasks, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        host_task_t task = tasks[i];
        size_t j = i;
        for (; j > 0 && compare_tasks(&tasks[j - 1], &task) > 0; j--) tasks[j] = tasks[j - 1];
        tasks[j] = task;
    }
}

ncclResult_t launch_tasks(host_task_t *tasks, size_t count)
{
    if (!count) return ncclSuccess;
    ncclResult_t result = check_blocking(tasks, count);
    if (result != ncclSuccess) return result;
    sort_tasks(tasks, count);
    for (int enqueue = 0; enqueue <= 1; enqueue++)
        for (size_t begin = 0, end = 0; begin < count; begin = end) {
            while (end < count && tasks[end].comm == tasks[begin].comm) end++;
            result = enqueue ? work_push(tasks + begin, end - begin) : check_self(tasks + begin, end - begin);
            if (result != ncclSuccess) return result;
        }
    return ncclSuccess;
}
