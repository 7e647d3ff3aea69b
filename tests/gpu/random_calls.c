/* Makes random all-to-alls twice on the same data, once as a job does and once past every preloaded library, and
 * compares the receive buffers byte for byte, with what lies around the rows in them.
 *
 *   RANK=.. WORLD_SIZE=.. LOCAL_RANK=.. random_calls [--calls N] [--seed N] [--only CALL]
 *
 * Some calls are of mixed types, leave out messages of nothing, use two streams, wait on one that is held back, or fork
 * the process in the midst of a group. HIERMOE_TRUST must name nccl_exchange_issue: by their shape alone, groups that
 * leave messages out look different on different ranks.
 *
 * The ranks need the same options. Exit status: 0; 1 wrong bytes; 2 bad options; 3 NCCL or the device failed. */
#include "comm.h"
#include "nccl_pair.h"
#include "parse.h"
#include "random_call.h"
#include "say.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)24 << 20)
#define GUARD 512 /* poison behind the receive buffers */
#define POISON 0xa5
#define TOLD 3 /* calls with wrong bytes that are described */

typedef struct task {
    int calls, only;
    uint64_t seed;
    nccl_pair_t pair;
    mp_comm_t comm;
    random_limits_t limits;
    random_call_t call;
    mp_buffer_t send, plain, job, word; /* word: the gate's, 1 when open */
    void *stream[RANDOM_STREAMS];       /* the first is the communicator's */
    size_t *typed_out, *typed_in;       /* counts in elements of the pairs' types */
    uint8_t *work, *sent;               /* the pool; a copy of the send buffer */
    const void **send_at;
    void **recv_at;
    uint64_t bytes;
    int wrong, mixed, left_out, two_streams, held, forks;
} task_t;

static int streams_wait(const task_t *task)
{
    int status = 0;
    for (int i = 0; !status && i < RANDOM_STREAMS; i++)
        status = task->comm.device->stream_wait(task->stream[i], task->comm.timeout);
    return status;
}

/* Programs fork to start a compiler or a loader of data; the child does nothing with CUDA. */
static void process_fork(void)
{
    pid_t child = fork();
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
}

static void *gate_open_later(void *word)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    __atomic_store_n((uint32_t *)word, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Holds the call's stream back for two milliseconds. */
static int gate_close(task_t *task, pthread_t *opener)
{
    uint32_t *word = (uint32_t *)(void *)task->word.host;
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
    int status = task->comm.device->stream_hold(task->stream[task->call.stream], word);
    if (pthread_create(opener, NULL, gate_open_later, word)) return -EAGAIN;
    if (status) pthread_join(*opener, NULL);
    return status;
}

static int task_issue(task_t *task, const nccl_way_t *way, const mp_buffer_t *recv)
{
    const random_call_t *call = &task->call;
    for (int p = 0; p < call->ranks; p++) {
        /* PyTorch hands NULL over for empty tensors; so do we for some. */
        bool none = call->index % 3 == 0;
        task->send_at[p] = none && !call->send_count[p] ? NULL : (char *)task->send.device + call->send_at[p];
        task->recv_at[p] = none && !call->recv_count[p] ? NULL : (char *)recv->device + call->recv_at[p];
    }
    nccl_exchange_t exchange = {.send = task->send_at,
                                .recv = task->recv_at,
                                .send_count = call->mixed ? task->typed_out : call->send_count,
                                .recv_count = call->mixed ? task->typed_in : call->recv_count,
                                .ranks = call->ranks,
                                .by_name = call->by_name,
                                .type = call->type,
                                .comm = task->comm.comm,
                                .stream = task->stream[call->stream],
                                .send_type = call->mixed ? call->send_type : NULL,
                                .recv_type = call->mixed ? call->recv_type : NULL,
                                .second = call->second < 0 ? NULL : task->stream[call->second],
                                .left_out = call->left_out,
                                .rank = call->rank,
                                .inside = call->forks && way == &task->pair.job ? process_fork : NULL};
    int status = comm_failed(way->name, nccl_exchange_issue(&exchange, way));
    return status || call->together ? status : streams_wait(task);
}

static void call_describe(const task_t *task, const char *what, const uint8_t *got, const uint8_t *expected, size_t at)
{
    const random_call_t *call = &task->call;
    int peer = 0;
    for (int p = 0; p < call->ranks; p++)
        if (at >= call->recv_at[p] && at < call->recv_at[p] + call->recv_count[p] * call->type_bytes) peer = p;
    say("WRONG in call %u (seed %llu; --only %u repeats it): %s, byte %zu is 0x%02x, expected 0x%02x; %s, counts '%s', "
        "type %d%s%s, streams %d and %d%s, rows of %zu bytes, %zu different ones; near the rows of rank %d, which "
        "begin at "
        "byte %zu",
        call->index, (unsigned long long)call->seed, call->index, what, at, got[at], expected[at],
        call->by_name ? "ncclAlltoAll" : "group", call->style, (int)call->type, call->mixed ? " and others" : "",
        call->left_out ? " without messages of nothing" : "", call->stream, call->second, call->held ? ", held" : "",
        call->row_bytes, call->pool, peer, call->recv_at[peer]);
}

static void task_compare(task_t *task, const char *what, const uint8_t *got, const uint8_t *expected, size_t bytes)
{
    size_t at = 0;
    if (!memcmp(got, expected, bytes)) return;
    while (got[at] == expected[at]) at++;
    if (task->wrong++ < TOLD) call_describe(task, what, got, expected, at);
}

static int task_prepare(task_t *task)
{
    const random_call_t *call = &task->call;
    size_t span = call->recv_span + GUARD;
    random_call_fill(call, task->send.host, task->work);
    memcpy(task->sent, task->send.host, call->send_span);
    memset(task->plain.host, POISON, span);
    memset(task->job.host, POISON, span);
    int status = task->comm.device->upload(&task->send, call->send_span);
    if (!status) status = task->comm.device->upload(&task->plain, span);
    return status ? status : task->comm.device->upload(&task->job, span);
}

static int task_both(task_t *task)
{
    const random_call_t *call = &task->call;
    pthread_t opener;
    int status = call->held ? gate_close(task, &opener) : 0;
    if (status) return status;
    for (int turn = 0; !status && turn < 2; turn++)
        status = turn != call->plain_first ? task_issue(task, &task->pair.job, &task->job)
                                           : task_issue(task, &task->pair.plain, &task->plain);
    if (call->held) pthread_join(opener, NULL);
    return status ? status : streams_wait(task);
}

static void oddities_count(task_t *task)
{
    const random_call_t *call = &task->call;
    for (int p = 0; p < call->ranks; p++) {
        task->typed_out[p] = call->send_count[p] * call->type_bytes / nccl_type_bytes(call->send_type[p]);
        task->typed_in[p] = call->recv_count[p] * call->type_bytes / nccl_type_bytes(call->recv_type[p]);
    }
    task->mixed += call->mixed;
    task->left_out += call->left_out;
    task->two_streams += call->second >= 0 && call->second != call->stream;
    task->held += call->held;
    task->forks += call->forks;
}

static int task_call(task_t *task, uint32_t index)
{
    const random_call_t *call = &task->call;
    const mp_device_t *device = task->comm.device;
    random_call_draw(&task->call, task->seed, index, &task->limits);
    oddities_count(task);
    int status = task_prepare(task);
    if (!status) status = task_both(task);
    size_t span = call->recv_span + GUARD;
    if (!status) status = device->download(&task->plain, span);
    if (!status) status = device->download(&task->job, span);
    if (!status) status = device->download(&task->send, call->send_span);
    if (status) return status;
    task_compare(task, "receive buffer", task->job.host, task->plain.host, span);
    task_compare(task, "send buffer", task->send.host, task->sent, call->send_span);
    task->bytes += call->recv_span;
    return 0;
}

static int task_open(task_t *task, int rank, int ranks, int local_rank, const char *id_file)
{
    char label[128];
    int version = 0;
    uint64_t *seeds = calloc((size_t)ranks, sizeof(*seeds));
    task->work = malloc(RANDOM_POOL_BYTES);
    task->sent = malloc(BUFFER_BYTES);
    task->send_at = calloc((size_t)ranks, sizeof(void *));
    task->recv_at = calloc((size_t)ranks, sizeof(void *));
    task->typed_out = calloc((size_t)ranks, sizeof(size_t));
    task->typed_in = calloc((size_t)ranks, sizeof(size_t));
    if (!task->typed_out || !task->typed_in) return -ENOMEM;
    if (!seeds || !task->work || !task->sent || !task->send_at || !task->recv_at) return -ENOMEM;
    const mp_device_t *device = device_find();
    int status = device ? nccl_pair_open(&task->pair) : -ENODEV;
    if (!status) status = device->open(local_rank, label, sizeof(label));
    if (!status) status = comm_open(device, ranks, rank, id_file, 60, &task->comm);
    if (!status) status = device->alloc(BUFFER_BYTES, &task->send);
    if (!status) status = device->alloc(BUFFER_BYTES, &task->plain);
    if (!status) status = device->alloc(BUFFER_BYTES, &task->job);
    if (!status) status = device->alloc(64, &task->word);
    if (!status) task->stream[0] = task->comm.stream;
    for (int i = 1; !status && i < RANDOM_STREAMS; i++) status = device->stream_create(&task->stream[i]);
    if (!status) status = random_call_alloc(ranks, rank, &task->call);
    if (!status) status = comm_gather(&task->comm, &task->seed, sizeof(task->seed), seeds);
    if (!status) status = comm_failed("ncclGetVersion", ncclGetVersion(&version));
    task->seed = seeds[0];
    task->limits = (random_limits_t){BUFFER_BYTES - (64 << 10), task->pair.job.alltoall != NULL, version >= 22400};
    free(seeds);
    return status;
}

static int number_of(const char *name)
{
    int value = -1;
    return getenv(name) && !parse_int(name, getenv(name), 0, 4096, &value) ? value : -1;
}

static int options_read(task_t *task, int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    task->calls = 1000;
    task->only = -1;
    task->seed = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        int status = -EINVAL;
        if (!strcmp(argv[i], "--calls")) status = parse_int("--calls", value, 1, 100000000, &task->calls);
        if (!strcmp(argv[i], "--only")) status = parse_int("--only", value, 0, 100000000, &task->only);
        if (!strcmp(argv[i], "--seed")) status = parse_number("--seed", value, 0, 0, UINT64_MAX, &task->seed);
        if (status) return status;
    }
    return 0;
}

int main(int argc, char **argv)
{
    task_t task = {0};
    int rank = number_of("RANK"), ranks = number_of("WORLD_SIZE"), local = number_of("LOCAL_RANK");
    const char *id_file = getenv("MOE_PERF_ID_FILE");
    if (options_read(&task, argc, argv) || rank < 0 || ranks < 1 || local < 0 || !id_file) {
        say("usage: RANK=.. WORLD_SIZE=.. LOCAL_RANK=.. MOE_PERF_ID_FILE=.. random_calls [--calls N] [--seed N] "
            "[--only CALL]");
        return 2;
    }
    int status = task_open(&task, rank, ranks, local, id_file);
    int first = task.only < 0 ? 0 : task.only, end = task.only < 0 ? task.calls : task.only + 1;
    for (int i = first; !status && i < end; i++) status = task_call(&task, (uint32_t)i);
    if (!status && !rank)
        printf("{\"test\": \"random_calls\", \"seed\": %llu, \"calls\": %d, \"ranks\": %d, \"rank_calls\": %d, "
               "\"preloaded\": %s, \"mb_received\": %.1f, \"wrong_calls_rank0\": %d, \"mixed\": %d, \"left_out\": %d, "
               "\"two_streams\": %d, \"held\": %d, \"forks\": %d}\n",
               (unsigned long long)task.seed, end - first, ranks, (end - first) * ranks,
               task.pair.preloaded ? "true" : "false", (double)task.bytes / 1e6, task.wrong, task.mixed, task.left_out,
               task.two_streams, task.held, task.forks);
    if (task.wrong) say("%d calls with wrong bytes, seed %llu", task.wrong, (unsigned long long)task.seed);
    comm_close(&task.comm, !status);
    random_call_free(&task.call);
    return status ? 3 : task.wrong ? 1 : 0;
}
