/* The host back end: the same work on ordinary memory, in stream order where the library has streams. */
#include "host_context.h"
#include "host_rows.h"
#include "host_sums.h"

#include <errno.h>
#include <stdlib.h>

void (*hm_kernels_say)(const char *text);

/* Streams and memory are the process's own. */
static int context_prepare(hm_context_t *context)
{
    (void)context;
    return 0;
}

static int context_create(const void *hook, hm_context_t **context)
{
    hm_context_t *made = calloc(1, sizeof *made);
    int status = made == NULL ? -ENOMEM : host_order_open(&made->order);
    if (status != 0) {
        free(made);
        return status;
    }
    made->streams = hook;
    *context = made;
    return 0;
}

static void context_destroy(hm_context_t *context)
{
    if (context == NULL) return;
    host_share_close(context);
    host_order_close(context);
}

static int stream_capturing(hm_context_t *context, void *stream)
{
    (void)context, (void)stream;
    return 0;
}

/* One stream is all there is: work beside it is work on it. */
static int stream_fork(hm_context_t *context, void *stream)
{
    (void)context, (void)stream;
    return 0;
}

const hm_kernels_t hm_kernels_host = {
    .name = "host",
    .slices = 4,
    .fit_bytes = (size_t)16 << 20,
    /* One core's memory speed: rows read once and compared once, read and written once. */
    .identify_ms = 1 / 2e6,
    .pack_ms = 1 / 3e6,
    .context_create = context_create,
    .prepare = context_prepare,
    .context_destroy = context_destroy,
    .alloc = host_alloc,
    .free = host_free,
    .host_alloc = host_alloc,
    .host_free = host_free,
    .capturing = stream_capturing,
    .join = host_join,
    .unjoin = host_unjoin,
    .copy = host_copy,
    .wait = host_wait,
    .claim = host_claim,
    .identify_bytes = host_rows_identify_bytes,
    .identify = host_identify,
    .period_bytes = host_period_bytes,
    .period = host_period,
    .tokens_bytes = host_tokens_bytes,
    .tokens = host_tokens,
    .invert_bytes = host_invert_bytes,
    .invert = host_invert,
    .sum = host_sum,
    .pick = host_pick,
    .map = host_map,
    .move = host_move,
    .fork = stream_fork,
    .move_beside = host_move,
    .merge = stream_fork,
    .share = host_share,
    .window_open = host_window_open,
    .abandon = host_abandon,
    .mark = host_mark,
    .span = host_span,
};
