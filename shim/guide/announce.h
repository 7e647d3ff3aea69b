/* What a thread has said of its next all-to-all, and what became of it. */
#ifndef HM_ANNOUNCE_H
#define HM_ANNOUNCE_H

#include "hiermoe.h"
#include "layer.h"

typedef enum hm_announced_state {
    HM_ANNOUNCED_NOTHING,
    HM_ANNOUNCED_WAITING, /* for its call */
    HM_ANNOUNCED_TAKEN    /* by its call: outcome and made are set */
} hm_announced_state_t;

/* One a thread. The thread writes it, and reads it in the call. */
typedef struct hm_announced {
    hm_announced_state_t state;
    hiermoe_announcement_t what;
    hm_layer_t *layer; /* NULL: none */
    int outcome;       /* what settle returns: 1, 0, -EPROTO */
    hiermoe_handle_t made;
} hm_announced_t;

/* As in hiermoe.h: announce and settle. */
int announce_make(const hiermoe_announcement_t *what);
int announce_settle(hiermoe_handle_t *made);

/* Takes this thread's announcement for a call that begins, if it is for that communicator (an ncclComm_t); else NULL.
 * Until announce_end it has been left to NCCL. */
hm_announced_t *announce_take(const void *comm);

/* A call of this thread is over: an announcement for it that it did not take is spent. Whether one still waits. */
bool announce_pass(const void *comm);

/* Bytes of a row; 0 for OPAQUE. */
static inline size_t announced_row_bytes(const hm_announced_t *announced)
{
    static const size_t element[] = {1, 2, 2, 4};
    return announced->what.role == HIERMOE_OPAQUE ? 0 : (size_t)announced->what.width * element[announced->what.type];
}

/* Why an announcement cannot be of a call in which this rank sends and receives so many bytes to and from each rank, in
 * words that follow "the announcement"; NULL: it can. */
const char *announced_misfit(const hm_announced_t *announced, int ranks, const size_t *send_bytes,
                             const size_t *recv_bytes);

/* What became of a taken announcement: counts it. */
void announce_end(hm_announced_t *announced, int outcome, hiermoe_handle_t made);

#endif
