#include "random_issue.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

static const way_t intercepted = {ncclGroupStart, ncclGroupEnd, ncclSend, ncclRecv, ncclAlltoAll};

way_t way_plain(void)
{
    way_t plain;
    void *nccl = dlopen("libnccl.so.2", RTLD_NOW | RTLD_NOLOAD);
    CHECK(nccl != NULL);
#define PLAIN(field, name) \
    do { \
        void *found = dlsym(nccl, name); \
        CHECK(found != NULL); \
        memcpy(&plain.field, &found, sizeof found); \
    } while (0)
    PLAIN(group_start, "pncclGroupStart");
    PLAIN(group_end, "pncclGroupEnd");
    PLAIN(send, "pncclSend");
    PLAIN(recv, "pncclRecv");
    PLAIN(all_to_all, "pncclAlltoAll");
#undef PLAIN
    CHECK(plain.send != ncclSend); /* the library must be preloaded */
    return plain;
}

static void pause_us(size_t us)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
}

static void gate_wait(void *memory)
{
    gate_t *gate = memory;
    while (!atomic_load(&gate->open)) pause_us(200);
}

static void *gate_open_later(void *memory)
{
    gate_t *gate = memory;
    pause_us(gate->us);
    atomic_store(&gate->open, true);
    return NULL;
}

static void gate_close(gate_t *gate, cudaStream_t stream)
{
    atomic_store(&gate->open, false);
    CHECK(hostncclStreamEnqueue(stream, gate_wait, gate) == 0);
    if (gate->timed) CHECK(pthread_create(&gate->opener, NULL, gate_open_later, gate) == 0);
}

static void gate_open(gate_t *gate)
{
    if (gate->timed)
        pthread_join(gate->opener, NULL);
    else
        atomic_store(&gate->open, true);
}

/* Rows come into being on the stream that sends them. */
static void rows_write(const call_t *call, bool second)
{
    const data_buffers_t *data = &call->data;
    for (int i = 0; i < data->legs; i++) {
        const data_leg_t *leg = &data->leg[i];
        size_t bytes = data->out[leg->peer] * call->shape.type_bytes;
        if (leg->receives || leg->second != second || bytes == 0) continue;
        memcpy(data->send[leg->peer], data->sent_copy + (data->send[leg->peer] - data->sent), bytes);
    }
}

static void first_rows_write(void *call)
{
    rows_write(call, false);
}

static void second_rows_write(void *call)
{
    rows_write(call, true);
}

static void call_gate(call_t *call)
{
    data_rows_clear(&call->shape, &call->data);
    gate_close(&call->gate, call->stream[call->split]);
    CHECK(hostncclStreamEnqueue(call->stream[0], first_rows_write, call) == 0);
    CHECK(hostncclStreamEnqueue(call->stream[1], second_rows_write, call) == 0);
}

void child_run(void)
{
    int version;
    bool good = ncclGroupStart() == ncclSuccess && ncclGroupEnd() == ncclSuccess;
    _exit(good && ncclGetVersion(&version) == ncclSuccess ? 0 : 1);
}

/* Libraries fork at any time: to start a compiler, a loader of data, a shell. */
static void process_fork(void)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) child_run();
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

ncclResult_t odd_all_to_all(const way_t *way, const call_t *call, char *const *recv);

__attribute__((noinline)) ncclResult_t odd_all_to_all(const way_t *way, const call_t *call, char *const *recv)
{
    const data_buffers_t *data = &call->data;
    ncclComm_t comm = call->place->comm;
    CHECK(way->group_start() == ncclSuccess);
    for (int i = 0; i < data->legs; i++) {
        const data_leg_t *leg = &data->leg[i];
        cudaStream_t stream = call->stream[leg->second];
        if (i == call->fork_at && way == &intercepted) process_fork();
        ncclResult_t result = leg->receives
                                  ? way->recv(recv[leg->peer], leg->count, leg->type, leg->peer, comm, stream)
                                  : way->send(data->send[leg->peer], leg->count, leg->type, leg->peer, comm, stream);
        CHECK(result == ncclSuccess);
    }
    ncclResult_t result = way->group_end();
    __asm__ volatile("" ::: "memory"); /* no tail call: this function must be on the stack */
    return result;
}

static ncclResult_t call_issue(const way_t *way, const call_t *call, char *const *recv)
{
    if (!call->shape.equal) return odd_all_to_all(way, call, recv);
    return way->all_to_all(call->data.send[0], recv[0], call->data.out[0], call->shape.type, call->place->comm,
                           call->stream[0]);
}

ncclResult_t call_intercepted(const call_t *call)
{
    return call_issue(&intercepted, call, call->data.got);
}

/* In an order that all ranks draw alike: each must find the communicator as the other left it. */
void call_both(const way_t *plain, call_t *call)
{
    if (call->gated) call_gate(call);
    if (call->plain_first) CHECK(call_issue(plain, call, call->data.expected) == ncclSuccess);
    CHECK(call_intercepted(call) == ncclSuccess);
    if (call->gated) gate_open(&call->gate);
    if (!call->plain_first) CHECK(call_issue(plain, call, call->data.expected) == ncclSuccess);
}
