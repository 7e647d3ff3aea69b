/* The host back end: the same work on ordinary memory, in stream order where the library has streams. */
#include "host_rows.h"
#include "kernels.h"
#include "patience.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

void (*hm_kernels_say)(const char *text);

/* Memory that other threads' contexts may read. */
typedef struct host_shared {
    struct host_shared *next;
    void *memory;
} host_shared_t;

/* How it is reached: from within this process only. */
typedef struct host_ticket {
    void *memory;
    uint64_t process; /* drawn at random, once in each */
} host_ticket_t;

struct hm_context {
    const hm_host_stream_t *streams; /* NULL: everything runs at once */
    void *last;                      /* stream of the last work */
    int used;
    atomic_int failed;           /* a kernel ran out of memory on the stream's thread */
    host_shared_t *shared;       /* freed with the context */
    atomic_llong mark[HM_MARKS]; /* nanoseconds; 0: unset or still ahead */
};

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

/* Enqueues run(arguments); `arguments` is `bytes` long and copied. */
static int host_submit(hm_context_t *context, void *stream, int (*run)(const void *), const void *arguments,
                       size_t bytes)
{
    if (context->streams == NULL || context->streams->enqueue == NULL) return run(arguments);
    size_t head = (sizeof(host_work_t) + 15) / 16 * 16;
    host_work_t *work = malloc(head + bytes);
    if (work == NULL) return -ENOMEM;
    *work = (host_work_t){context, run, (char *)work + head};
    memcpy(work->arguments, arguments, bytes);
    context->last = stream;
    context->used = 1;
    if (context->streams->enqueue(stream, host_work_run, work) == 0) return 0;
    free(work);
    return -EIO;
}

/* Streams and memory are the process's own. */
static int host_prepare(hm_context_t *context)
{
    (void)context;
    return 0;
}

static int host_context_create(const void *hook, hm_context_t **context)
{
    hm_context_t *made = calloc(1, sizeof *made);
    if (made == NULL) return -ENOMEM;
    made->streams = hook;
    *context = made;
    return 0;
}

static int free_run(const void *memory)
{
    free(*(void *const *)memory);
    return 0;
}

/* Gives memory back behind all work of the context. A stream that takes no more work has been destroyed by the job, and
 * was idle then. */
static void host_free(hm_context_t *context, void *memory)
{
    if (memory == NULL) return;
    if (!context->used || host_submit(context, context->last, free_run, &memory, sizeof memory) != 0) free(memory);
}

static void host_context_destroy(hm_context_t *context)
{
    if (context == NULL) return;
    while (context->shared != NULL) {
        host_shared_t *shared = context->shared;
        context->shared = shared->next;
        host_free(context, shared->memory);
        free(shared);
    }
    host_free(context, context);
}

static int host_alloc(hm_context_t *context, size_t bytes, void **memory)
{
    (void)context;
    return posix_memalign(memory, 64, bytes > 0 ? bytes : 1) == 0 ? 0 : -ENOMEM;
}

static int host_capturing(hm_context_t *context, void *stream)
{
    (void)context, (void)stream;
    return 0;
}

/* Waits in short turns so that a cancel is noticed soon. */
static int host_wait(hm_context_t *context, void *stream, double seconds, const atomic_int *cancel)
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

static int host_join(hm_context_t *context, void *stream)
{
    if (!context->used || context->last == stream) return 0;
    /* Negative: the job has destroyed the stream, which was idle then. */
    return context->streams->wait(context->last, 1e9) <= 0 ? 0 : -EIO;
}

typedef struct copy_arguments {
    void *dst;
    const void *src;
    size_t bytes;
} copy_arguments_t;

static int copy_run(const void *memory)
{
    const copy_arguments_t *copy = memory;
    if (copy->bytes > 0) memcpy(copy->dst, copy->src, copy->bytes);
    return 0;
}

static int host_copy(hm_context_t *context, void *stream, void *dst, const void *src, size_t bytes)
{
    return host_submit(context, stream, copy_run, &(copy_arguments_t){dst, src, bytes}, sizeof(copy_arguments_t));
}

static int identify_run(const void *memory)
{
    host_rows_identify(memory);
    return 0;
}

static int host_identify(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                         const hm_bits_t *groups, int group_count, int fingerprint_bits, void *work,
                         const hm_identity_t *identity)
{
    host_identify_t *call = host_rows_pack(rows, bit, groups, group_count);
    if (call == NULL) return -ENOMEM;
    call->fingerprint_bits = fingerprint_bits;
    call->work = work;
    call->identity = *identity;
    int status = host_submit(context, stream, identify_run, &call, sizeof(void *));
    if (status != 0) free(call);
    return status;
}

/* Jobs are copied with a count in front. */
typedef struct job_list {
    const void *jobs;
    int count;
} job_list_t;

static int pick_run(const void *memory)
{
    const job_list_t *list = *(job_list_t *const *)memory;
    for (int i = 0; i < list->count; i++) host_rows_pick(&((const hm_pick_job_t *)list->jobs)[i]);
    free((void *)list);
    return 0;
}

static int map_run(const void *memory)
{
    const job_list_t *list = *(job_list_t *const *)memory;
    for (int i = 0; i < list->count; i++) {
        const hm_map_job_t *job = &((const hm_map_job_t *)list->jobs)[i];
        for (uint32_t j = 0; j < job->rows; j++) job->out[j] = job->place[job->id[j]];
    }
    free((void *)list);
    return 0;
}

static int move_run(const void *memory)
{
    const job_list_t *list = *(job_list_t *const *)memory;
    for (int i = 0; i < list->count; i++) host_rows_move(&((const hm_move_job_t *)list->jobs)[i]);
    free((void *)list);
    return 0;
}

/* Copies `count` jobs of `size` bytes, with room for `extra` bytes behind them. */
static job_list_t *jobs_copy(const void *jobs, int count, size_t size, size_t extra, char **behind)
{
    size_t head = (sizeof(job_list_t) + 15) / 16 * 16, body = (size_t)count * size;
    job_list_t *list = malloc(head + body + extra + 16);
    if (list == NULL) return NULL;
    *list = (job_list_t){(char *)list + head, count};
    memcpy((char *)list + head, jobs, body);
    *behind = (char *)list + (head + body + 15) / 16 * 16;
    return list;
}

static int jobs_submit(hm_context_t *context, void *stream, int (*run)(const void *), job_list_t *list)
{
    if (list == NULL) return -ENOMEM;
    int status = host_submit(context, stream, run, &list, sizeof(void *));
    if (status != 0) free(list);
    return status;
}

static int host_pick(hm_context_t *context, void *stream, const hm_pick_job_t *jobs, int count)
{
    char *behind;
    return jobs_submit(context, stream, pick_run, jobs_copy(jobs, count, sizeof *jobs, 0, &behind));
}

static int host_map(hm_context_t *context, void *stream, const hm_map_job_t *jobs, int count)
{
    char *behind;
    return jobs_submit(context, stream, map_run, jobs_copy(jobs, count, sizeof *jobs, 0, &behind));
}

static int host_move(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count)
{
    char *behind = NULL;
    const hm_rows_t *segments = NULL; /* all jobs of a call that have segments share one table */
    for (int i = 0; i < count; i++)
        if (jobs[i].segments != NULL) segments = jobs[i].segments;
    size_t extra = segments == NULL ? 0 : host_rows_table_bytes(segments);
    job_list_t *list = jobs_copy(jobs, count, sizeof *jobs, extra, &behind);
    if (list != NULL && segments != NULL) {
        const hm_rows_t *copy = host_rows_table_copy(segments, behind);
        hm_move_job_t *copied = (hm_move_job_t *)list->jobs;
        for (int i = 0; i < count; i++)
            if (copied[i].segments != NULL) copied[i].segments = copy;
    }
    return jobs_submit(context, stream, move_run, list);
}

/* One stream is all there is: work beside it is work on it. */
static int host_fork(hm_context_t *context, void *stream)
{
    (void)context, (void)stream;
    return 0;
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

static int host_mark(hm_context_t *context, void *stream, int slot)
{
    mark_arguments_t arguments = {&context->mark[slot]};
    atomic_store(arguments.mark, 0);
    return host_submit(context, stream, mark_run, &arguments, sizeof arguments);
}

static int host_span(hm_context_t *context, int from, int to, double *ms)
{
    long long begin = atomic_load(&context->mark[from]), end = atomic_load(&context->mark[to]);
    if (begin == 0 || end == 0) return -EAGAIN;
    *ms = 1e-6 * (double)(end - begin);
    return 0;
}

static uint64_t process_mark;
static pthread_once_t process_once = PTHREAD_ONCE_INIT;

static void process_draw(void)
{
    if (getrandom(&process_mark, sizeof process_mark, GRND_NONBLOCK) != sizeof process_mark) process_mark = 0;
}

static int host_share(hm_context_t *context, size_t bytes, void **memory, unsigned char *ticket)
{
    host_shared_t *shared = malloc(sizeof *shared);
    if (shared == NULL || host_alloc(context, bytes, &shared->memory) != 0) {
        free(shared);
        return -ENOMEM;
    }
    shared->next = context->shared;
    context->shared = shared;
    *memory = shared->memory;
    pthread_once(&process_once, process_draw);
    memset(ticket, 0, HM_TICKET);
    memcpy(ticket, &(host_ticket_t){shared->memory, process_mark}, sizeof(host_ticket_t));
    return 0;
}

static int host_window_open(hm_context_t *context, const unsigned char *ticket, void **window)
{
    host_ticket_t read;
    (void)context;
    memcpy(&read, ticket, sizeof read);
    if (read.process == 0 || read.process != process_mark) return -ENOTSUP;
    *window = read.memory;
    return 0;
}

/* Memory that others may still read. */
static pthread_mutex_t abandoned_lock = PTHREAD_MUTEX_INITIALIZER;
static host_shared_t *abandoned;

static void host_abandon(hm_context_t *context)
{
    pthread_mutex_lock(&abandoned_lock);
    while (context->shared != NULL) {
        host_shared_t *shared = context->shared;
        context->shared = shared->next;
        shared->next = abandoned;
        abandoned = shared;
    }
    pthread_mutex_unlock(&abandoned_lock);
}

const hm_kernels_t hm_kernels_host = {
    .name = "host",
    .slices = 4,
    .fit_bytes = (size_t)16 << 20,
    /* One core's memory speed: rows read once and compared once, read and written once. */
    .identify_ms = 1 / 2e6,
    .pack_ms = 1 / 3e6,
    .context_create = host_context_create,
    .prepare = host_prepare,
    .context_destroy = host_context_destroy,
    .alloc = host_alloc,
    .free = host_free,
    .host_alloc = host_alloc,
    .host_free = host_free,
    .capturing = host_capturing,
    .join = host_join,
    .copy = host_copy,
    .wait = host_wait,
    .identify_bytes = host_rows_identify_bytes,
    .identify = host_identify,
    .pick = host_pick,
    .map = host_map,
    .move = host_move,
    .fork = host_fork,
    .move_beside = host_move,
    .merge = host_fork,
    .share = host_share,
    .window_open = host_window_open,
    .abandon = host_abandon,
    .mark = host_mark,
    .span = host_span,
};
