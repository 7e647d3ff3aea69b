/* Sends and receives of a group as they were made, until it is known what becomes of them. Per thread. */
#ifndef HM_LEGS_H
#define HM_LEGS_H

#include "call.h"
#include "comm.h"

#include <stdbool.h>
#include <stdint.h>

#define HM_INLINE_PEERS 64 /* larger communicators cost one allocation per thread */

typedef enum hm_leg_kind {
    HM_LEG_SEND,
    HM_LEG_RECV,
    HM_LEG_ALLTOALL,       /* a whole call by name: ncclAlltoAll */
    HM_LEG_ALLTOALL_ALIAS, /* ncclAllToAll */
    HM_LEG_ALLTOALL_LISTS, /* ncclAllToAllv */
    HM_LEG_START,          /* of a group inside the outermost one; real, and nothing else, is set */
    HM_LEG_END
} hm_leg_kind_t;

typedef struct hm_leg {
    const hm_real_t *real; /* the image that the call goes to */
    hm_comm_t *comm;
    cudaStream_t stream;
    const void *from; /* of a send or a whole call */
    void *to;         /* of a receive or a whole call */
    size_t count;     /* elements; of a whole call, for each rank; of one with lists, where they begin */
    ncclDataType_t type;
    int peer;
    hm_leg_kind_t kind;
} hm_leg_t;

/* Counts and displacements per rank, in elements: to send, then to receive. */
typedef struct hm_lists {
    const size_t *send_counts, *send_starts, *recv_counts, *recv_starts;
} hm_lists_t;

typedef struct hm_legs {
    hm_leg_t *leg;
    int count, room;
    void *memory;  /* NULL while the inline room is used */
    size_t *lists; /* copies of the whole calls' lists, four for each such call */
    size_t listed, list_room;
} hm_legs_t;

/* Room for one send and one receive per peer, as call_run takes them. */
typedef struct hm_record {
    int peers;
    const void **send;
    void **recv;
    size_t *send_bytes, *recv_bytes;
    uint8_t *seen; /* per peer: 1 a send, 2 a receive */
    void *memory;  /* NULL while the inline room is used */
} hm_record_t;

/* This thread's legs; stays for the thread's life. */
hm_legs_t *legs_mine(void);

/* Makes room for more legs. false: no memory. */
bool legs_grow(hm_legs_t *legs);

/* Adds a leg. false: no memory, nothing is added. */
static inline bool legs_add(hm_legs_t *legs, const hm_leg_t *leg)
{
    if (legs->count == legs->room && !legs_grow(legs)) return false;
    legs->leg[legs->count++] = *leg;
    return true;
}

/* Copies the lists of a call that is the last leg: the job may use its own again once the call has returned. false: no
 * memory. */
bool legs_lists_keep(hm_legs_t *legs, const hm_lists_t *lists);

/* A whole call by name, which every rank makes. */
static inline bool leg_whole(const hm_leg_t *leg)
{
    return leg->kind == HM_LEG_ALLTOALL || leg->kind == HM_LEG_ALLTOALL_ALIAS || leg->kind == HM_LEG_ALLTOALL_LISTS;
}

/* This thread's record with room for `peers`. NULL: no memory. */
hm_record_t *legs_record(int peers);

/* Lays those of `count` legs that are on `comm` out in this thread's record, as *call. NONE: they are one all-to-all,
 * each rank once either way on one stream. Else the first thing that keeps them from being one; call->refusal says the
 * same. *whole: every rank is sent to and received from at least once. */
hm_reason_t legs_lay(const hm_leg_t *leg, int count, hm_comm_t *comm, hm_call_t *call, bool *whole);

/* Makes a leg's call as it was made. */
ncclResult_t leg_replay(const hm_leg_t *leg);

#endif
