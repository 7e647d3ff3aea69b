#include "stream.h"

#include "hostnccl.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef struct entry {
    struct entry *next;
    void (*fn)(void *);
    void *arg;
} entry_t;

struct host_stream {
    struct host_stream *next;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    entry_t *head, **tail;
    bool running, closing;
};

static pthread_mutex_t streams_lock = PTHREAD_MUTEX_INITIALIZER;
static host_stream_t *streams, *default_stream;

static void *stream_main(void *arg)
{
    host_stream_t *stream = arg;
    pthread_mutex_lock(&stream->lock);
    for (;;) {
        entry_t *entry = stream->head;
        if (!entry) {
            if (stream->closing) break;
            pthread_cond_wait(&stream->changed, &stream->lock);
            continue;
        }
        stream->head = entry->next;
        if (!stream->head) stream->tail = &stream->head;
        stream->running = true;
        pthread_mutex_unlock(&stream->lock);
        entry->fn(entry->arg);
        free(entry);
        pthread_mutex_lock(&stream->lock);
        stream->running = false;
        if (!stream->head) pthread_cond_broadcast(&stream->changed);
    }
    pthread_mutex_unlock(&stream->lock);
    return NULL;
}

static int stream_open(host_stream_t **opened)
{
    host_stream_t *stream = calloc(1, sizeof *stream);
    if (!stream) return -ENOMEM;
    stream->tail = &stream->head;
    pthread_mutex_init(&stream->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&stream->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    int rc = pthread_create(&stream->thread, NULL, stream_main, stream);
    if (rc) {
        pthread_cond_destroy(&stream->changed);
        pthread_mutex_destroy(&stream->lock);
        free(stream);
        return -rc;
    }
    *opened = stream;
    return 0;
}

host_stream_t *stream_find(void *handle)
{
    pthread_mutex_lock(&streams_lock);
    host_stream_t *found = NULL;
    if ((uintptr_t)handle <= 2) {
        if (!default_stream) stream_open(&default_stream);
        found = default_stream;
    } else {
        for (found = streams; found && (void *)found != handle;) found = found->next;
    }
    pthread_mutex_unlock(&streams_lock);
    return found;
}

int stream_push(host_stream_t *stream, void (*fn)(void *), void *arg)
{
    entry_t *entry = malloc(sizeof *entry);
    if (!entry) return -ENOMEM;
    *entry = (entry_t){.fn = fn, .arg = arg};
    pthread_mutex_lock(&stream->lock);
    *stream->tail = entry;
    stream->tail = &entry->next;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    return 0;
}

int hostncclStreamCreate(cudaStream_t *stream)
{
    host_stream_t *opened;
    int rc = stream_open(&opened);
    if (rc) return rc;
    pthread_mutex_lock(&streams_lock);
    opened->next = streams;
    streams = opened;
    pthread_mutex_unlock(&streams_lock);
    *stream = (void *)opened;
    return 0;
}

int hostncclStreamDestroy(void *handle)
{
    pthread_mutex_lock(&streams_lock);
    host_stream_t **link = &streams;
    while (*link && (void *)*link != handle) link = &(*link)->next;
    host_stream_t *stream = *link;
    if (stream) *link = stream->next;
    pthread_mutex_unlock(&streams_lock);
    if (!stream) return -EINVAL;
    pthread_mutex_lock(&stream->lock);
    stream->closing = true;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    pthread_join(stream->thread, NULL);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
    return 0;
}

int hostncclStreamEnqueue(void *handle, void (*fn)(void *), void *arg)
{
    host_stream_t *stream = stream_find(handle);
    return stream && fn ? stream_push(stream, fn, arg) : -EINVAL;
}

int hostncclStreamWait(void *handle, double seconds)
{
    host_stream_t *stream = stream_find(handle);
    if (!stream) return -EINVAL;
    if (!(seconds > 0)) seconds = 0;
    if (seconds > 1e9) seconds = 1e9;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    long nanoseconds = until.tv_nsec + (long)((seconds - (double)(long)seconds) * 1e9);
    until.tv_sec += (long)seconds + nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    int rc = 0;
    pthread_mutex_lock(&stream->lock);
    while ((stream->head || stream->running) && rc == 0)
        rc = pthread_cond_timedwait(&stream->changed, &stream->lock, &until);
    int busy = stream->head || stream->running;
    pthread_mutex_unlock(&stream->lock);
    return busy ? 1 : 0;
}
