/* Messages between a joining rank and the listener. */
#ifndef HOST_ROOT_H
#define HOST_ROOT_H

#include "bootstrap.h"
#include "iface.h"

#define ROOT_MAGIC 0x6c63636e74736f68u
enum { ROOT_JOIN = 1, ROOT_REPLY = 2 };

/* Inside ncclUniqueId. */
typedef struct root_id {
    uint64_t magic, nonce;
    host_sockaddr_t address;
} root_id_t;

/* Header of ROOT_JOIN; the data is a host_card_t. */
typedef struct root_join {
    uint64_t nonce;
    int32_t rank, ranks;
} root_join_t;

/* Header of ROOT_REPLY; the data is host_card_t[ranks], or a sentence if result is not 0. */
typedef struct root_reply {
    int32_t result;
} root_reply_t;

#endif
