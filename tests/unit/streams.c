#include "streams.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

typedef struct entry {
    struct entry *next;
    void (*run)(void *);
    void *argument;
} entry_t;

struct test_stream {
    test_stream_t *next;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    entry_t *head, **tail;
    bool running, closing;
};

static pthread_mutex_t alive_lock = PTHREAD_MUTEX_INITIALIZER;
static test_stream_t *alive;

void (*streams_enqueued)(void);

static void *stream_main(void *memory)
{
    test_stream_t *stream = memory;
    pthread_mutex_lock(&stream->lock);
    while (stream->head != NULL || !stream->closing) {
        entry_t *entry = stream->head;
        if (entry == NULL) {
            pthread_cond_wait(&stream->changed, &stream->lock);
            continue;
        }
        stream->head = entry->next;
        if (stream->head == NULL) stream->tail = &stream->head;
        stream->running = true;
        pthread_mutex_unlock(&stream->lock);
        entry->run(entry->argument);
        free(entry);
        pthread_mutex_lock(&stream->lock);
        stream->running = false;
        pthread_cond_broadcast(&stream->changed);
    }
    pthread_mutex_unlock(&stream->lock);
    return NULL;
}

test_stream_t *stream_open(void)
{
    test_stream_t *stream = calloc(1, sizeof *stream);
    stream->tail = &stream->head;
    pthread_mutex_init(&stream->lock, NULL);
    pthread_cond_init(&stream->changed, NULL);
    pthread_create(&stream->thread, NULL, stream_main, stream);
    pthread_mutex_lock(&alive_lock);
    stream->next = alive;
    alive = stream;
    pthread_mutex_unlock(&alive_lock);
    return stream;
}

void stream_close(test_stream_t *stream)
{
    pthread_mutex_lock(&alive_lock);
    test_stream_t **link = &alive;
    while (*link != stream) link = &(*link)->next;
    *link = stream->next;
    pthread_mutex_unlock(&alive_lock);
    pthread_mutex_lock(&stream->lock);
    stream->closing = true;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    pthread_join(stream->thread, NULL);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

void stream_wait(test_stream_t *stream)
{
    pthread_mutex_lock(&stream->lock);
    while (stream->head != NULL || stream->running) pthread_cond_wait(&stream->changed, &stream->lock);
    pthread_mutex_unlock(&stream->lock);
}

int hostncclStreamEnqueue(void *handle, void (*run)(void *), void *argument)
{
    if (handle == NULL) {
        run(argument);
    } else {
        pthread_mutex_lock(&alive_lock);
        test_stream_t *stream = alive;
        while (stream != NULL && (void *)stream != handle) stream = stream->next;
        pthread_mutex_unlock(&alive_lock);
        if (stream == NULL) return -EINVAL;
        entry_t *entry = malloc(sizeof *entry);
        *entry = (entry_t){.run = run, .argument = argument};
        pthread_mutex_lock(&stream->lock);
        *stream->tail = entry;
        stream->tail = &entry->next;
        pthread_cond_broadcast(&stream->changed);
        pthread_mutex_unlock(&stream->lock);
    }
    if (streams_enqueued != NULL) streams_enqueued();
    return 0;
}

static void hold_run(void *open)
{
    while (!atomic_load((atomic_bool *)open)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

void stream_hold(test_stream_t *stream, atomic_bool *open)
{
    hostncclStreamEnqueue(stream, hold_run, open);
}
