#include "comm.h"

#include "iface.h"
#include "say.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMM_MAGIC 0x6d6d6f6374736f68u
#define CONFIG_MAGIC 0xcafebeefu

bool comm_alive(const struct ncclComm *comm)
{
    return comm && comm->magic == COMM_MAGIC;
}

void comm_hold(struct ncclComm *comm)
{
    pthread_mutex_lock(&comm->lock);
    comm->users++;
    comm->holders++;
    pthread_mutex_unlock(&comm->lock);
}

/* Takes a reference back; the last one frees the memory. */
static void comm_leave(struct ncclComm *comm)
{
    pthread_mutex_lock(&comm->lock);
    bool last = --comm->users == 0;
    pthread_mutex_unlock(&comm->lock);
    if (!last) return;
    pthread_mutex_destroy(&comm->control_lock);
    pthread_cond_destroy(&comm->turn);
    pthread_mutex_destroy(&comm->lock);
    comm->magic = 0;
    free(comm);
}

ncclResult_t comm_check(const struct ncclComm *comm, const char *call)
{
    if (!comm_alive(comm)) return say_error(ncclInvalidArgument, "%s: not a communicator", call);
    int failed = atomic_load(&comm->async);
    if (failed) return say_error((ncclResult_t)failed, "%s: the communicator failed before: %s", call, comm->text);
    if (atomic_load(&comm->stop)) return say_error(ncclInvalidUsage, "%s: the communicator was revoked", call);
    if (comm->finalized) return say_error(ncclInvalidUsage, "%s: the communicator was finalized", call);
    if (!comm->connected) return say_error(ncclInvalidUsage, "%s: the communicator is not initialised yet", call);
    return ncclSuccess;
}

uint64_t comm_enter(struct ncclComm *comm)
{
    pthread_mutex_lock(&comm->lock);
    uint64_t ticket = comm->tickets++;
    comm->users++;
    pthread_mutex_unlock(&comm->lock);
    return ticket;
}

bool comm_begin(struct ncclComm *comm, uint64_t ticket)
{
    pthread_mutex_lock(&comm->lock);
    while (comm->served != ticket && !atomic_load(&comm->stop)) pthread_cond_wait(&comm->turn, &comm->lock);
    bool go = !atomic_load(&comm->stop) && !atomic_load(&comm->async);
    comm->busy |= go;
    pthread_mutex_unlock(&comm->lock);
    return go;
}

void comm_end(struct ncclComm *comm)
{
    pthread_mutex_lock(&comm->lock);
    comm->served++;
    comm->busy = false;
    pthread_cond_broadcast(&comm->turn);
    pthread_mutex_unlock(&comm->lock);
    comm_leave(comm);
}

void comm_drain(struct ncclComm *comm)
{
    pthread_mutex_lock(&comm->lock);
    uint64_t last = comm->tickets;
    while (comm->served < last && !atomic_load(&comm->stop)) pthread_cond_wait(&comm->turn, &comm->lock);
    pthread_mutex_unlock(&comm->lock);
}

void comm_fail(struct ncclComm *comm, const host_failure_t *failure)
{
    if (!failure->result || atomic_load(&comm->stop) || atomic_load(&comm->async)) return;
    snprintf(comm->text, sizeof comm->text, "rank %d: %.480s", comm->rank, failure->text);
    atomic_store(&comm->async, failure->result);
    fprintf(stderr, "hostnccl: %s\n", comm->text);
}

void comm_stop(struct ncclComm *comm, int stop)
{
    pthread_mutex_lock(&comm->lock);
    atomic_store(&comm->stop, stop);
    if (stop == HOST_ABORTED) atomic_store(&comm->halted, stop);
    pthread_cond_broadcast(&comm->turn);
    worker_wake(&comm->data.worker);
    worker_wake(&comm->control.worker);
    while (comm->busy) pthread_cond_wait(&comm->turn, &comm->lock);
    pthread_mutex_unlock(&comm->lock);
}

struct ncclComm *comm_create(bool blocking)
{
    struct ncclComm *comm = calloc(1, sizeof *comm);
    if (!comm) return NULL;
    comm->magic = COMM_MAGIC;
    comm->blocking = blocking;
    comm->users = comm->holders = 1;
    pthread_mutex_init(&comm->lock, NULL);
    pthread_cond_init(&comm->turn, NULL);
    pthread_mutex_init(&comm->control_lock, NULL);
    return comm;
}

void comm_release(struct ncclComm *comm)
{
    pthread_mutex_lock(&comm->lock);
    bool last = --comm->holders == 0;
    pthread_mutex_unlock(&comm->lock);
    if (last) {
        fabric_close(&comm->data);
        fabric_close(&comm->control);
    }
    comm_leave(comm);
}

static ucs_status_t card_address(const host_worker_t *worker, bool net_only, host_address_t *address)
{
    size_t length = 0;
    ucs_status_t status = worker_address(worker, net_only, address->bytes, sizeof address->bytes, &length);
    address->length = (uint32_t)length;
    return status;
}

ncclResult_t comm_open(struct ncclComm *comm, host_card_t *card, char text[HOST_TEXT])
{
    ucs_status_t status = worker_open(true, &comm->control.worker);
    if (status == UCS_OK) status = worker_open(false, &comm->data.worker);
    if (status == UCS_OK) status = card_address(&comm->control.worker, false, &card->control);
    if (status == UCS_OK) status = card_address(&comm->data.worker, false, &card->data);
    if (status == UCS_OK) status = card_address(&comm->data.worker, true, &card->data_net);
    card->node = iface_node_key();
    if (status == UCS_OK) return ncclSuccess;
    snprintf(text, HOST_TEXT, "cannot open a UCX worker: %s", ucs_status_string(status));
    return ncclSystemError;
}

/* An empty message to the ranks on some sides of this one (below, above), and from those on others. */
enum { BELOW = 1, ABOVE = 2 };
static bool comm_touch(struct ncclComm *comm, host_fabric_t *fabric, host_kind_t kind, int to, int from, double seconds,
                       host_failure_t *failure)
{
    size_t used = 0;
    host_transfer_t *transfers = calloc(2 * (size_t)comm->ranks, sizeof *transfers);
    if (!transfers) {
        *failure = (host_failure_t){.result = ncclSystemError, .text = "no memory for a barrier"};
        return false;
    }
    for (int i = 0; i < comm->ranks; i++) {
        if (i == comm->rank) continue;
        int side = i < comm->rank ? BELOW : ABOVE;
        if (to & side) transfers[used++] = (host_transfer_t){.send = true, .kind = kind, .peer = i};
        if (from & side) transfers[used++] = (host_transfer_t){.send = false, .kind = kind, .peer = i};
    }
    bool ok = !used || fabric_run(fabric, transfers, used, &comm->halted, seconds, failure);
    free(transfers);
    return ok;
}

static ncclResult_t comm_meet(struct ncclComm *comm, host_fabric_t *fabric, const host_card_t *cards, int side,
                              char text[HOST_TEXT])
{
    const host_card_t *me = &cards[comm->rank];
    for (int i = side == BELOW ? 0 : comm->rank + 1; i < (side == BELOW ? comm->rank : comm->ranks); i++) {
        const host_address_t *data = cards[i].node == me->node ? &cards[i].data : &cards[i].data_net;
        ucs_status_t status =
            fabric_connect(fabric, i, fabric == &comm->control ? cards[i].control.bytes : data->bytes);
        if (status == UCS_OK) continue;
        snprintf(text, HOST_TEXT, "rank %d cannot make an endpoint to %d: %s", comm->rank, i,
                 ucs_status_string(status));
        return ncclSystemError;
    }
    host_failure_t failure = {0};
    if (comm_touch(comm, fabric, HOST_HELLO, side, BELOW + ABOVE - side, worker_timeout(), &failure))
        return ncclSuccess;
    snprintf(text, HOST_TEXT, "rank %d while connecting: %.400s", comm->rank,
             failure.result ? failure.text : "aborted");
    return failure.result ? (ncclResult_t)failure.result : ncclInvalidUsage;
}

/* First to the ranks above; those below have come by then. Of connections that cross, UCX closes one, and when another
 * worker of the process gets its descriptor too soon, UCX 1.13 ends the process (async.c:643, openucx/ucx#9942). */
static ncclResult_t comm_greet(struct ncclComm *comm, host_fabric_t *fabric, const host_card_t *cards,
                               char text[HOST_TEXT])
{
    ncclResult_t result = comm_meet(comm, fabric, cards, ABOVE, text);
    return result == ncclSuccess ? comm_meet(comm, fabric, cards, BELOW, text) : result;
}

ncclResult_t comm_connect(struct ncclComm *comm, int rank, int ranks, const host_card_t *cards, char text[HOST_TEXT])
{
    comm->rank = rank;
    comm->ranks = ranks;
    ucs_status_t status = fabric_open(&comm->data, rank, ranks);
    if (status == UCS_OK) status = fabric_open(&comm->control, rank, ranks);
    if (status != UCS_OK) {
        snprintf(text, HOST_TEXT, "rank %d has no room for %d peers: %s", rank, ranks, ucs_status_string(status));
        return ncclSystemError;
    }
    for (int i = 0; i < ranks; i++) {
        bool near = cards[i].node == cards[rank].node;
        comm->local_rank += near && i < rank;
        fabric_expect(&comm->control, i, false);
        fabric_expect(&comm->data, i, near);
    }
    comm->control.lock = &comm->control_lock;
    ncclResult_t result = comm_greet(comm, &comm->control, cards, text);
    comm->data.watch = &comm->control;
    if (result == ncclSuccess) result = comm_greet(comm, &comm->data, cards, text);
    comm->connected = result == ncclSuccess;
    return result;
}

ncclResult_t comm_exchange(struct ncclComm *comm, const int *list, int count, const host_card_t *mine,
                           host_card_t *cards, char text[HOST_TEXT])
{
    size_t used = 0;
    host_failure_t failure = {0};
    host_card_t copy = *mine;
    host_transfer_t *transfers = calloc(2 * (size_t)count, sizeof *transfers);
    if (!transfers) return ncclSystemError;
    for (int i = 0; i < count; i++) {
        cards[i] = *mine;
        if (list[i] == comm->rank) continue;
        transfers[used++] = (host_transfer_t){true, HOST_CARD, 0, list[i], &copy, sizeof copy};
        transfers[used++] = (host_transfer_t){false, HOST_CARD, 0, list[i], &cards[i], sizeof cards[i]};
    }
    bool ok = !used || fabric_run(&comm->control, transfers, used, &comm->halted, worker_timeout(), &failure);
    free(transfers);
    if (ok) return ncclSuccess;
    snprintf(text, HOST_TEXT, "rank %d: %.480s", comm->rank, failure.result ? failure.text : "aborted");
    return failure.result ? (ncclResult_t)failure.result : ncclInvalidUsage;
}

bool comm_barrier(struct ncclComm *comm, double seconds)
{
    host_failure_t failure;
    return comm_touch(comm, &comm->control, HOST_BARRIER, BELOW + ABOVE, BELOW + ABOVE, seconds, &failure);
}

ncclResult_t config_blocking(const ncclConfig_t *config, bool *blocking)
{
    if (!config) return ncclSuccess;
    if (config->magic != CONFIG_MAGIC || config->size < offsetof(ncclConfig_t, blocking) + sizeof config->blocking)
        return say_error(ncclInvalidArgument, "ncclConfig_t was not set with NCCL_CONFIG_INITIALIZER");
    if (config->blocking == NCCL_CONFIG_UNDEF_INT) return ncclSuccess;
    if (config->blocking != 0 && config->blocking != 1)
        return say_error(ncclInvalidArgument, "ncclConfig_t.blocking is %d, expected 0 or 1", config->blocking);
    *blocking = config->blocking;
    return ncclSuccess;
}
