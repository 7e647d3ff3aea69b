/* Endpoints to all ranks of a communicator, and batches of transfers over them. */
#ifndef HOST_FABRIC_H
#define HOST_FABRIC_H

#include "worker.h"

#include <pthread.h>
#include <stdint.h>

#define HOST_TEXT 512
#define HOST_MAX_RANKS 65535
#define HOST_MAX_BYTES (((uint64_t)1 << 40) - 1)

/* What a message belongs to; part of its tag. Point to point covers all-to-all, gather and scatter, as in NCCL. */
typedef enum host_kind {
    HOST_P2P,
    HOST_ALLREDUCE,
    HOST_ALLGATHER,
    HOST_BROADCAST,
    HOST_REDUCE,
    HOST_REDUCE_SCATTER,
    HOST_HELLO,
    HOST_CARD,
    HOST_BARRIER,
    HOST_KINDS
} host_kind_t;

/* One message to or from a peer. `seq` tells collectives of one kind apart (modulo 16). */
typedef struct host_transfer {
    bool send;
    host_kind_t kind;
    unsigned seq;
    int peer;
    void *buffer;
    size_t bytes;
} host_transfer_t;

struct host_batch;

typedef struct host_fabric {
    host_worker_t worker;
    int rank, ranks;
    ucp_ep_h *peer;            /* [ranks], NULL for the rank itself */
    atomic_int *gone;          /* [ranks], the ucs_status_t that ended the connection */
    atomic_int lost;           /* connections that ended */
    struct host_peer *arg;     /* [ranks], what UCX hands back on errors */
    struct host_batch *strays; /* batches given up, which UCX may still write to */
    struct host_fabric *watch; /* looked at now and then for lost peers: UCX does not see them over shared memory */
    pthread_mutex_t *lock;     /* held while a fabric that others watch is driven, else NULL */
} host_fabric_t;

/* Result of a batch, with a sentence for the user. */
typedef struct host_failure {
    int result; /* ncclResult_t; 0: none */
    char text[HOST_TEXT];
} host_failure_t;

/* Makes room for `ranks` peers; the worker must be open. UCS_ERR_NO_MEMORY. */
ucs_status_t fabric_open(host_fabric_t *fabric, int rank, int ranks);

/* From here on the peer may be received from; `shared` if shared memory may be used, on both ends alike. */
void fabric_expect(host_fabric_t *fabric, int peer, bool shared);

/* Connects to an expected peer through its worker address, to send. */
ucs_status_t fabric_connect(host_fabric_t *fabric, int peer, const void *address);

/* Closes endpoints and worker, whatever is still in flight. */
void fabric_close(host_fabric_t *fabric);

/* Runs transfers together: all are posted in order, then awaited. Messages of one peer match first in, first out,
 * whatever they are; what does not fit is an error. `timeout` is in seconds without any transfer ending. Returns false
 * and fills *failure on error (result 0 with an empty text where *cancelled ended it). No transfer may name the rank
 * itself. After a failure the buffers of sends may be read until the fabric is closed. */
bool fabric_run(host_fabric_t *fabric, const host_transfer_t *transfers, size_t count, const atomic_int *cancelled,
                double timeout, host_failure_t *failure);

/* Looks for messages that nobody received. Returns how many (UCX shows the first only: 0 or 1), with a sentence. */
int fabric_unmatched(const host_fabric_t *fabric, char text[HOST_TEXT]);

#endif
