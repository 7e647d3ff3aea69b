#include "fabric.h"

#include "abi.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct host_peer {
    host_fabric_t *fabric;
    int rank;
    ucp_worker_h worker; /* that the endpoint belongs to */
    bool far;            /* on another node; both ends see it alike */
} host_peer_t;

typedef struct host_op {
    struct host_batch *batch;
    host_transfer_t what; /* a piece of a message, */
    size_t whole;         /* which has so many bytes */
    void *request;
    bool done;
} host_op_t;

typedef struct host_batch {
    struct host_batch *next;
    host_fabric_t *fabric;
    host_failure_t failure;
    size_t count, pending;
    host_op_t **order; /* room to sort the sends in, behind ops */
    host_op_t ops[];
} host_batch_t;

/* Tag of a message: source rank 16 bits, kind 4, sequence 4, bytes of the whole message 40. Receives ask for the source
 * only, so that a peer's messages match strictly in order, and what a wrong one was can be said. */
#define TAG_SOURCE_SHIFT 48
#define TAG_SOURCE_MASK ((uint64_t)0xffff << TAG_SOURCE_SHIFT)

static uint64_t tag_pack(int source, const host_op_t *op)
{
    return (uint64_t)source << TAG_SOURCE_SHIFT | (uint64_t)op->what.kind << 44 | (uint64_t)(op->what.seq & 15) << 40 |
           op->whole;
}

static void tag_describe(uint64_t tag, char *text, size_t size)
{
    static const char *const names[16] = {"Send/Recv",     "AllReduce", "AllGather",    "Broadcast", "Reduce",
                                          "ReduceScatter", "greeting",  "calling card", "barrier"};
    const char *name = names[tag >> 44 & 15];
    snprintf(text, size, "%llu bytes of %s", (unsigned long long)(tag & HOST_MAX_BYTES), name ? name : "unknown kind");
    if ((tag >> 44 & 15) != HOST_P2P) {
        size_t length = strlen(text);
        snprintf(text + length, size - length, " number %u (modulo 16)", (unsigned)(tag >> 40 & 15));
    }
}

static void peer_gone(void *arg, ucp_ep_h endpoint, ucs_status_t status)
{
    (void)endpoint;
    host_peer_t *peer = arg;
    atomic_store(&peer->fabric->gone[peer->rank], status);
    atomic_fetch_add(&peer->fabric->lost, 1);
}

ucs_status_t fabric_open(host_fabric_t *fabric, int rank, int ranks)
{
    fabric->rank = rank;
    fabric->ranks = ranks;
    fabric->peer = calloc((size_t)ranks, sizeof *fabric->peer);
    fabric->gone = calloc((size_t)ranks, sizeof *fabric->gone);
    fabric->arg = calloc((size_t)ranks, sizeof *fabric->arg);
    return fabric->peer && fabric->gone && fabric->arg ? UCS_OK : UCS_ERR_NO_MEMORY;
}

void fabric_expect(host_fabric_t *fabric, int peer, bool shared)
{
    ucp_worker_h worker = !shared && fabric->worker.far ? fabric->worker.far : fabric->worker.ucp;
    fabric->arg[peer] = (host_peer_t){fabric, peer, worker, !shared};
}

ucs_status_t fabric_connect(host_fabric_t *fabric, int peer, const void *address)
{
    bool shared = !fabric->arg[peer].far;
    /* UCX 1.13 has no shared memory where it is to notice that the peer fails; fabric->watch does that instead. */
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                                            UCP_EP_PARAM_FIELD_ERR_HANDLER,
                              .address = address,
                              .err_mode = shared ? UCP_ERR_HANDLING_MODE_NONE : UCP_ERR_HANDLING_MODE_PEER,
                              .err_handler = {.cb = peer_gone, .arg = &fabric->arg[peer]}};
    return ucp_ep_create(fabric->arg[peer].worker, &params, &fabric->peer[peer]);
}

void fabric_close(host_fabric_t *fabric)
{
    for (int i = 0; fabric->peer && i < fabric->ranks; i++)
        if (fabric->peer[i]) worker_endpoint_close(&fabric->worker, fabric->peer[i]);
    worker_close(&fabric->worker);
    for (host_batch_t *next, *batch = fabric->strays; batch; batch = next) {
        next = batch->next;
        free(batch);
    }
    free(fabric->peer);
    free(fabric->gone);
    free(fabric->arg);
    memset(fabric, 0, sizeof *fabric);
}

__attribute__((format(printf, 3, 4))) static void batch_fail(host_batch_t *batch, int result, const char *format, ...)
{
    if (batch->failure.result) return;
    batch->failure.result = result;
    va_list args;
    va_start(args, format);
    vsnprintf(batch->failure.text, sizeof batch->failure.text, format, args);
    va_end(args);
}

static void op_end(host_op_t *op, ucs_status_t status, uint64_t tag)
{
    host_batch_t *batch = op->batch;
    const host_transfer_t *what = &op->what;
    op->done = true;
    batch->pending--;
    if (status == UCS_ERR_CANCELED) return;
    uint64_t wanted = tag_pack(what->send ? batch->fabric->rank : what->peer, op);
    if (!what->send && (status == UCS_OK || status == UCS_ERR_MESSAGE_TRUNCATED) && tag != wanted) {
        char mine[96], theirs[96];
        tag_describe(wanted, mine, sizeof mine);
        tag_describe(tag, theirs, sizeof theirs);
        batch_fail(batch, ncclInvalidUsage, "expected %s from rank %d, but rank %d sent %s", mine, what->peer,
                   what->peer, theirs);
    } else if (status != UCS_OK) {
        batch_fail(batch, ncclRemoteError, "%s %zu bytes %s rank %d failed: %s", what->send ? "sending" : "receiving",
                   what->bytes, what->send ? "to" : "from", what->peer, ucs_status_string(status));
    }
}

static void send_ended(void *request, ucs_status_t status, void *op)
{
    ucp_request_free(request);
    op_end(op, status, 0);
}

static void receive_ended(void *request, ucs_status_t status, const ucp_tag_recv_info_t *info, void *op)
{
    uint64_t tag = info->sender_tag; /* lies inside the request */
    ucp_request_free(request);
    op_end(op, status, tag);
}

static void op_post(host_op_t *op)
{
    host_fabric_t *fabric = op->batch->fabric;
    const host_transfer_t *what = &op->what;
    ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA |
                                                 UCP_OP_ATTR_FIELD_MEMORY_TYPE,
                                 .memory_type = UCS_MEMORY_TYPE_HOST,
                                 .user_data = op};
    ucs_status_ptr_t status;
    if (what->send) {
        param.cb.send = send_ended;
        status =
            ucp_tag_send_nbx(fabric->peer[what->peer], what->buffer, what->bytes, tag_pack(fabric->rank, op), &param);
    } else {
        /* Always through the callback: at once, UCX 1.13 does not tell the sender's tag. */
        param.op_attr_mask |= UCP_OP_ATTR_FLAG_NO_IMM_CMPL;
        param.cb.recv = receive_ended;
        status = ucp_tag_recv_nbx(fabric->arg[what->peer].worker, what->buffer, what->bytes,
                                  (uint64_t)what->peer << TAG_SOURCE_SHIFT, TAG_SOURCE_MASK, &param);
    }
    if (UCS_PTR_IS_PTR(status))
        op->request = status;
    else
        op_end(op, UCS_PTR_STATUS(status), 0);
}

#define WATCH_SECONDS 0.25
#define AFTER_SECONDS 0.5 /* for the other transfers of a group that has failed: a real network would end them too */

/* Lets the watched fabric notice lost connections, unless somebody drives it anyway. */
static void fabric_look(host_fabric_t *fabric)
{
    host_fabric_t *watch = fabric->watch;
    if (!watch || pthread_mutex_trylock(watch->lock) != 0) return;
    for (int i = 0; i < 16 && worker_progress(&watch->worker); i++) {
    }
    pthread_mutex_unlock(watch->lock);
    /* What a peer sent before it left counts. */
    while (worker_progress(&fabric->worker)) {
    }
}

static int peer_lost(const host_fabric_t *fabric, int peer)
{
    int status = atomic_load(&fabric->gone[peer]);
    return status || !fabric->watch ? status : atomic_load(&fabric->watch->gone[peer]);
}

/* UCX does not know whom a receive waits for, so it leaves those of a lost peer posted. */
static void batch_check_gone(host_batch_t *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const host_op_t *op = &batch->ops[i];
        int status = op->done ? 0 : peer_lost(batch->fabric, op->what.peer);
        if (status)
            batch_fail(batch, ncclRemoteError, "rank %d ended its connection (%s), %s %zu bytes %s it", op->what.peer,
                       ucs_status_string(status), op->what.send ? "sending" : "still to receive", op->what.bytes,
                       op->what.send ? "to" : "from");
    }
}

static void batch_check_time(host_batch_t *batch, double timeout)
{
    size_t first = 0;
    while (batch->ops[first].done) first++;
    const host_transfer_t *what = &batch->ops[first].what;
    char text[96];
    tag_describe(tag_pack(what->peer, &batch->ops[first]), text, sizeof text);
    batch_fail(batch, ncclRemoteError, "rank %d did not %s %s for %g s (%zu of %zu transfers of this group unmatched)",
               what->peer, what->send ? "receive" : "send", text, timeout, batch->pending, batch->count);
}

static void batch_wait(host_batch_t *batch, const atomic_int *cancelled, double timeout)
{
    host_fabric_t *fabric = batch->fabric;
    size_t left = batch->pending;
    double now = worker_clock(), until = now + timeout, look = now + WATCH_SECONDS, end = 0;
    while (batch->pending && !(cancelled && atomic_load(cancelled))) {
        if (batch->failure.result && end == 0) until = end = now + AFTER_SECONDS;
        if (end != 0 && now >= end) break;
        worker_step(&fabric->worker, cancelled, fabric->watch && look < until ? look : until);
        now = worker_clock();
        if (now >= look) {
            fabric_look(fabric);
            look = now + WATCH_SECONDS;
        }
        batch_check_gone(batch);
        if (batch->pending < left)
            left = batch->pending, until = end != 0 ? end : now + timeout;
        else if (now >= until)
            batch_check_time(batch, timeout);
    }
}

static void batch_abandon(host_batch_t *batch)
{
    host_fabric_t *fabric = batch->fabric;
    for (size_t i = 0; i < batch->count; i++)
        if (!batch->ops[i].done && !batch->ops[i].what.send)
            ucp_request_cancel(fabric->arg[batch->ops[i].what.peer].worker, batch->ops[i].request);
    batch->next = fabric->strays;
    fabric->strays = batch;
}

/* Until what was sent has left. A flush of UCX 1.13 may never end, once in some thousand communicators made, with all
 * data long at its peers: nothing but another flush, or the peers, can tell. */
#define FLUSH_SECONDS 2
#define FLUSH_TRIES 3
static ucs_status_t batch_leave(host_fabric_t *fabric, const atomic_int *cancelled, double timeout)
{
    double end = worker_clock() + timeout;
    for (int i = 0; i < FLUSH_TRIES; i++) {
        double until = worker_clock() + FLUSH_SECONDS;
        ucs_status_t status = worker_flush(&fabric->worker, cancelled, &fabric->lost, until < end ? until : end);
        if (status != UCS_ERR_TIMED_OUT || worker_clock() >= end) return status;
    }
    fprintf(stderr, "hostnccl: rank %d: a flush did not end within %d s; going on without\n", fabric->rank,
            FLUSH_TRIES * FLUSH_SECONDS);
    return UCS_OK;
}

/* Appends a message: whole, or to a rank of another node in pieces that go without asking first. */
static void batch_add(host_batch_t *batch, const host_transfer_t *what)
{
    size_t piece = batch->fabric->arg[what->peer].far ? HOST_EAGER_BYTES : HOST_MAX_BYTES, at = 0;
    do {
        host_op_t *op = &batch->ops[batch->count++];
        *op = (host_op_t){.batch = batch, .what = *what, .whole = what->bytes};
        op->what.bytes = what->bytes - at < piece ? what->bytes - at : piece;
        if (at > 0) op->what.buffer = (char *)what->buffer + at;
        at += op->what.bytes;
    } while (at < what->bytes);
}

static host_batch_t *batch_create(host_fabric_t *fabric, const host_transfer_t *transfers, size_t count)
{
    size_t pieces = 0;
    for (size_t i = 0; i < count; i++) pieces += 1 + transfers[i].bytes / HOST_EAGER_BYTES;
    host_batch_t *batch = calloc(1, sizeof *batch + pieces * (sizeof *batch->ops + sizeof *batch->order));
    if (!batch) return NULL;
    batch->fabric = fabric;
    batch->order = (host_op_t **)(void *)&batch->ops[pieces];
    for (size_t i = 0; i < count; i++) batch_add(batch, &transfers[i]);
    batch->pending = batch->count;
    return batch;
}

/* Which send goes first: to the next rank, then to the one after it, as NCCL has it. All going to rank 0 first, then to
 * rank 1, would leave the wires of most ranks idle. Messages to one peer keep their order. */
static int send_compare(const void *left, const void *right)
{
    const host_op_t *a = *(host_op_t *const *)left, *b = *(host_op_t *const *)right;
    const host_fabric_t *fabric = a->batch->fabric;
    int first = (a->what.peer - fabric->rank + fabric->ranks) % fabric->ranks;
    int second = (b->what.peer - fabric->rank + fabric->ranks) % fabric->ranks;
    return first != second ? (first > second) - (first < second) : (a > b) - (a < b);
}

static void batch_post(host_batch_t *batch)
{
    size_t sends = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->ops[i].what.send)
            batch->order[sends++] = &batch->ops[i];
        else
            op_post(&batch->ops[i]);
    }
    qsort(batch->order, sends, sizeof *batch->order, send_compare);
    for (size_t i = 0; i < sends; i++) op_post(batch->order[i]);
}

bool fabric_run(host_fabric_t *fabric, const host_transfer_t *transfers, size_t count, const atomic_int *cancelled,
                double timeout, host_failure_t *failure)
{
    if (!count) return true;
    host_batch_t *batch = batch_create(fabric, transfers, count);
    if (!batch) {
        *failure = (host_failure_t){.result = ncclSystemError, .text = "no memory for a group of transfers"};
        return false;
    }
    if (fabric->lock) pthread_mutex_lock(fabric->lock);
    batch_post(batch);
    batch_wait(batch, cancelled, timeout);
    if (!batch->pending && !batch->failure.result) {
        /* What UCX still holds back must go out now: nobody makes progress here once this returns. */
        ucs_status_t status = batch_leave(fabric, cancelled, timeout);
        /* A lost peer is told of by the transfers that need it; those of this batch are done. */
        if (status != UCS_OK && status != UCS_ERR_CANCELED && !atomic_load(&fabric->lost))
            batch_fail(batch, ncclRemoteError, "sent data did not leave: %s", ucs_status_string(status));
    }
    bool ok = !batch->pending && !batch->failure.result;
    if (!ok) *failure = batch->failure;
    if (batch->pending)
        batch_abandon(batch);
    else
        free(batch);
    if (fabric->lock) pthread_mutex_unlock(fabric->lock);
    return ok;
}

int fabric_unmatched(const host_fabric_t *fabric, char text[HOST_TEXT])
{
    for (int i = 0; i < 16; i++) worker_progress(&fabric->worker);
    ucp_tag_recv_info_t info;
    ucp_worker_h far = fabric->worker.far;
    if (!ucp_tag_probe_nb(fabric->worker.ucp, 0, 0, 0, &info) && !(far && ucp_tag_probe_nb(far, 0, 0, 0, &info)))
        return 0;
    char what[96];
    tag_describe(info.sender_tag, what, sizeof what);
    snprintf(text, HOST_TEXT, "%s from rank %d", what, (int)(info.sender_tag >> TAG_SOURCE_SHIFT));
    return 1;
}
