/* Streams of a library without devices: work in their order, waiting, times. */
#include "host_context.h"
#include "patience.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One piece of work waiting on a stream: a copy of its arguments behind the header. */
typedef struct host_work {
    hm_context_t *context;
    int (*run)(const void *arguments);
    void *arguments;
} host_work_t;

static void host_work_run(void *memory)
{
    host_work_t *work = memory;
    if (work->run(work->arguments) != 0) atomic_store(&work->context->failed, 1);
    free(work);
}

int host_submit(hm_context_t *context, void *stream, int (*run)(const void *), const void *arguments, size_t bytes)
{
    if (context->streams == NULL || context->streams->enqueue == NULL) return run(arguments);
    size_t head = (sizeof(host_work_t) + 15) / 16 * 16;
    host_work_t *work = malloc(head + bytes);
    if (work == NULL) return -ENOMEM;
    *work = (host_work_t){context, run, (char *)work + head};
    memcpy(work->arguments, arguments, bytes);
    context->last = stream;
    context->used = true;
    if (context->streams->enqueue(stream, host_work_run, work) == 0) return 0;
    free(work);
    return -EIO;
}

/* Waits in short turns so that a cancel is noticed soon. */
int host_wait(hm_context_t *context, void *stream, double seconds, const atomic_int *cancel)
{
    if (context->streams == NULL || context->streams->wait == NULL) return 0;
    hm_patience_t patience = patience_begin();
    for (;;) {
        int busy = context->streams->wait(stream, 0.05);
        /* An abort ends the stream's work too, without its results. */
        if (cancel != NULL && atomic_load(cancel)) return -ECANCELED;
        if (busy < 0) return -EIO;
        if (busy == 0) break;
        if (patience_turn(&patience) >= seconds) return -ETIMEDOUT;
    }
    return atomic_load(&context->failed) ? -ENOMEM : 0;
}

int host_join(hm_context_t *context, void *stream)
{
    if (!context->used || context->last == stream) return 0;
    /* Negative: the job has destroyed the stream, which was idle then. */
    return context->streams->wait(context->last, 1e9) <= 0 ? 0 : -EIO;
}

typedef struct mark_arguments {
    atomic_llong *mark;
} mark_arguments_t;

static int mark_run(const void *memory)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    atomic_store(((const mark_arguments_t *)memory)->mark, (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    return 0;
}

int host_mark(hm_context_t *context, void *stream, int slot)
{
    mark_arguments_t arguments = {&context->mark[slot]};
    atomic_store(arguments.mark, 0);
    return host_submit(context, stream, mark_run, &arguments, sizeof arguments);
}

int host_span(hm_context_t *context, int from, int to, double *ms)
{
    long long begin = atomic_load(&context->mark[from]), end = atomic_load(&context->mark[to]);
    if (begin == 0 || end == 0) return -EAGAIN;
    *ms = 1e-6 * (double)(end - begin);
    return 0;
}
