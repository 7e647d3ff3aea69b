/* Waiting for streams of a library without devices, and times along them. */
#include "host_context.h"
#include "patience.h"

#include <errno.h>
#include <time.h>

#define TURN_NANOSECONDS 5000000 /* a wait looks so often whether it is cancelled */

/* Waits a turn for the work up to a number. Whether it is done. */
static bool point_wait(hm_host_order_t *order, uint64_t number)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TURN_NANOSECONDS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int status = 0;
    pthread_mutex_lock(&order->lock);
    while (order->finished < number && status == 0) status = pthread_cond_timedwait(&order->done, &order->lock, &until);
    bool done = order->finished >= number;
    pthread_mutex_unlock(&order->lock);
    return done;
}

int host_wait(hm_context_t *context, void *stream, double seconds, const atomic_int *cancel)
{
    hm_patience_t patience = patience_begin();
    int status = 0;
    if (context->streams == NULL || context->streams->enqueue == NULL) return 0;
    if (!context->awaited || context->last != stream) status = host_point(context, stream);
    if (status != 0) return status;
    uint64_t number = context->order.submitted;
    for (;;) {
        bool done = point_wait(&context->order, number);
        /* An abort ends the stream's work too, without its results. */
        if (cancel != NULL && atomic_load(cancel) != 0) return -ECANCELED;
        if (done) return atomic_load(&context->failed) != 0 ? -ENOMEM : 0;
        if (patience_turn(&patience) >= seconds) break;
    }
    context->awaited = true;
    return -ETIMEDOUT;
}

typedef struct claim_arguments {
    hm_claim_t *claim;
    uint32_t *word;
    uint32_t value;
} claim_arguments_t;

static int claim_run(const void *memory)
{
    const claim_arguments_t *arguments = memory;
    hm_claim_t *claim = arguments->claim;
    atomic_store(&claim->claimed, 1);
    if (atomic_load(&claim->withdrawn) != 0) *arguments->word = arguments->value;
    atomic_store(&claim->passed, 1);
    return 0;
}

int host_claim(hm_context_t *context, void *stream, hm_claim_t *claim, uint32_t *word, uint32_t value)
{
    return host_submit(context, stream, claim_run, &(claim_arguments_t){claim, word, value}, sizeof(claim_arguments_t));
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
