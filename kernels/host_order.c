/* The order of a context's work on streams, each of which runs its work on a thread of its own. */
#include "host_context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One piece of work waiting on a stream: a copy of its arguments behind the header. */
typedef struct hm_host_work {
    hm_context_t *context;
    int (*run)(const void *arguments);
    void *arguments;
} hm_host_work_t;

int host_order_open(hm_host_order_t *order)
{
    pthread_condattr_t clock;
    *order = (hm_host_order_t){.submitted = 0};
    if (pthread_condattr_init(&clock) != 0) return -ENOMEM;
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    int status = pthread_cond_init(&order->done, &clock);
    pthread_condattr_destroy(&clock);
    if (status != 0) return -ENOMEM;
    pthread_mutex_init(&order->lock, NULL);
    return 0;
}

static void context_free(hm_context_t *context)
{
    pthread_cond_destroy(&context->order.done);
    pthread_mutex_destroy(&context->order.lock);
    free(context);
}

/* Gives the lock back, and frees what waits for the end of all work if that has come. */
static void order_leave(hm_context_t *context)
{
    hm_host_order_t *order = &context->order;
    bool idle = order->finished == order->submitted, over = idle && order->over;
    hm_host_shared_t *parked = idle ? order->parked : NULL;
    if (idle) order->parked = NULL;
    pthread_mutex_unlock(&order->lock);
    while (parked != NULL) {
        hm_host_shared_t *next = parked->next;
        free(parked->memory);
        free(parked);
        parked = next;
    }
    if (over) context_free(context);
}

void host_order_close(hm_context_t *context)
{
    pthread_mutex_lock(&context->order.lock);
    context->order.over = true;
    order_leave(context);
}

static void work_run(void *memory)
{
    hm_host_work_t *work = memory;
    hm_context_t *context = work->context;
    if (work->run(work->arguments) != 0) atomic_store(&context->failed, 1);
    free(work);
    pthread_mutex_lock(&context->order.lock);
    context->order.finished++;
    pthread_cond_broadcast(&context->order.done);
    order_leave(context);
}

static int work_submit(hm_context_t *context, void *stream, int (*run)(const void *), const void *arguments,
                       size_t bytes)
{
    hm_host_order_t *order = &context->order;
    size_t head = (sizeof(hm_host_work_t) + 15) / 16 * 16;
    hm_host_work_t *work = malloc(head + bytes);
    if (work == NULL) return -ENOMEM;
    *work = (hm_host_work_t){context, run, (char *)work + head};
    memcpy(work->arguments, arguments, bytes);
    pthread_mutex_lock(&order->lock);
    order->submitted++;
    pthread_mutex_unlock(&order->lock);
    context->awaited = false;
    if (context->streams->enqueue(stream, work_run, work) == 0) {
        context->last = stream;
        context->used = true;
        return 0;
    }
    free(work);
    pthread_mutex_lock(&order->lock);
    order->submitted--;
    order_leave(context);
    return -EIO;
}

typedef struct join_arguments {
    hm_host_order_t *order;
    uint64_t behind; /* pieces of work */
} join_arguments_t;

static int join_run(const void *memory)
{
    const join_arguments_t *join = memory;
    hm_host_order_t *order = join->order;
    pthread_mutex_lock(&order->lock);
    while (order->finished < join->behind && !order->unjoined) pthread_cond_wait(&order->done, &order->lock);
    pthread_mutex_unlock(&order->lock);
    return 0;
}

/* Only this context's work on the other stream is waited for: what the job has enqueued behind it may wait for the job.
 */
int host_join(hm_context_t *context, void *stream)
{
    if (!context->used || context->last == stream) return 0;
    join_arguments_t arguments = {&context->order, context->order.submitted};
    return work_submit(context, stream, join_run, &arguments, sizeof arguments);
}

void host_unjoin(hm_context_t *context)
{
    pthread_mutex_lock(&context->order.lock);
    context->order.unjoined = true;
    pthread_cond_broadcast(&context->order.done);
    pthread_mutex_unlock(&context->order.lock);
}

int host_submit(hm_context_t *context, void *stream, int (*run)(const void *), const void *arguments, size_t bytes)
{
    if (context->streams == NULL || context->streams->enqueue == NULL) return run(arguments);
    int status = host_join(context, stream);
    return status != 0 ? status : work_submit(context, stream, run, arguments, bytes);
}

static int point_run(const void *nothing)
{
    (void)nothing;
    return 0;
}

int host_point(hm_context_t *context, void *stream)
{
    return host_submit(context, stream, point_run, "", 1);
}

/* The point is behind what NCCL does with the memory. A stream that takes no more work has been destroyed by the job,
 * and was idle then. */
void host_order_free(hm_context_t *context, void *memory)
{
    hm_host_order_t *order = &context->order;
    hm_host_shared_t *parked = malloc(sizeof *parked);
    if (parked == NULL) return; /* the memory stays allocated: work may still use it */
    if (context->used) host_point(context, context->last);
    pthread_mutex_lock(&order->lock);
    *parked = (hm_host_shared_t){order->parked, memory};
    order->parked = parked;
    order_leave(context);
}
