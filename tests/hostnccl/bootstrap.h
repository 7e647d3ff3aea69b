/* How the ranks of a new communicator find each other: one process holds a UCX listener, all others send it their
 * calling card, and get all cards back. */
#ifndef HOST_BOOTSTRAP_H
#define HOST_BOOTSTRAP_H

#include "abi.h"
#include "fabric.h"

#define HOST_ADDRESS_MAX 1000

/* One worker address. */
typedef struct host_address {
    uint32_t length;
    unsigned char bytes[HOST_ADDRESS_MAX];
} host_address_t;

/* What others need to connect to a rank. */
typedef struct host_card {
    int32_t rank;
    int32_t color, key; /* of a split */
    uint32_t children;  /* made of the parent so far; all ranks must agree */
    uint64_t node;      /* iface_node_key */
    host_address_t control, data, data_net;
} host_card_t;

/* Starts the listener and the thread that serves it; the thread ends once all ranks were served. */
ncclResult_t bootstrap_serve(ncclUniqueId *id, char text[HOST_TEXT]);

/* Hands in `mine` and waits for the cards of all ranks (cards[ranks]), over the control worker. */
ncclResult_t bootstrap_join(const host_worker_t *worker, const ncclUniqueId *id, int rank, int ranks,
                            const host_card_t *mine, host_card_t *cards, char text[HOST_TEXT]);

/* What is the same on all ranks and differs between communicators. */
uint64_t bootstrap_nonce(const ncclUniqueId *id);

#endif
