#include "legs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SENT 1
#define RECEIVED 2

/* What a thread has: inline room first, one piece of memory of each kind later. */
static _Thread_local struct {
    hm_leg_t leg[2 * HM_INLINE_PEERS];
    const void *send[HM_INLINE_PEERS];
    void *recv[HM_INLINE_PEERS];
    size_t send_bytes[HM_INLINE_PEERS], recv_bytes[HM_INLINE_PEERS];
    uint8_t seen[HM_INLINE_PEERS];
    hm_record_t record;
    hm_legs_t list;
} room;

static pthread_key_t key;
static bool key_made;

/* At thread exit. Destructors that run later may still call NCCL: they get the inline room. */
static void room_free(void *marker)
{
    (void)marker;
    free(room.record.memory);
    free(room.list.memory);
    free(room.list.lists);
    room.record = (hm_record_t){.peers = 0};
    room.list = (hm_legs_t){.room = 0};
}

static void key_make(void)
{
    key_made = pthread_key_create(&key, room_free) == 0;
}

/* Memory that goes with the thread. */
static void *room_alloc(size_t bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, key_make);
    return key_made && pthread_setspecific(key, &room) == 0 ? malloc(bytes) : NULL;
}

hm_legs_t *legs_mine(void)
{
    return &room.list;
}

bool legs_grow(hm_legs_t *legs)
{
    size_t count = (size_t)legs->count;
    if (legs->room == 0) {
        legs->leg = room.leg;
        legs->room = 2 * HM_INLINE_PEERS;
        return true;
    }
    hm_leg_t *memory = room_alloc(2 * count * sizeof *memory);
    if (memory == NULL) return false;
    memcpy(memory, legs->leg, count * sizeof *memory);
    free(legs->memory);
    legs->memory = legs->leg = memory;
    legs->room *= 2;
    return true;
}

bool legs_lists_keep(hm_legs_t *legs, const hm_lists_t *lists)
{
    const size_t *const list[] = {lists->send_counts, lists->send_starts, lists->recv_counts, lists->recv_starts};
    hm_leg_t *leg = &legs->leg[legs->count - 1];
    size_t ranks = (size_t)leg->comm->ranks, needed = legs->listed + 4 * ranks;
    if (needed > legs->list_room) {
        size_t *memory = room_alloc(2 * needed * sizeof *memory);
        if (memory == NULL) return false;
        if (legs->listed > 0) memcpy(memory, legs->lists, legs->listed * sizeof *memory);
        free(legs->lists);
        legs->lists = memory;
        legs->list_room = 2 * needed;
    }
    leg->count = legs->listed;
    for (int i = 0; i < 4; i++) memcpy(legs->lists + leg->count + (size_t)i * ranks, list[i], ranks * sizeof **list);
    legs->listed = needed;
    return true;
}

/* The lists of a leg, this thread's. */
static hm_lists_t leg_lists(const hm_leg_t *leg)
{
    size_t ranks = (size_t)leg->comm->ranks;
    const size_t *at = room.list.lists + leg->count;
    return (hm_lists_t){at, at + ranks, at + 2 * ranks, at + 3 * ranks};
}

static void record_use_inline(hm_record_t *record)
{
    *record = (hm_record_t){.peers = HM_INLINE_PEERS,
                            .send = room.send,
                            .recv = room.recv,
                            .send_bytes = room.send_bytes,
                            .recv_bytes = room.recv_bytes,
                            .seen = room.seen};
}

static bool record_grow(hm_record_t *record, int peers)
{
    size_t n = (size_t)peers;
    char *memory = room_alloc(n * (4 * sizeof(void *) + 1));
    if (memory == NULL) return false;
    free(record->memory);
    record->peers = peers;
    record->memory = memory;
    record->send = (const void **)memory;
    record->recv = (void **)(record->send + n);
    record->send_bytes = (size_t *)(record->recv + n);
    record->recv_bytes = record->send_bytes + n;
    record->seen = (uint8_t *)(record->recv_bytes + n);
    return true;
}

hm_record_t *legs_record(int peers)
{
    hm_record_t *record = &room.record;
    if (record->peers == 0) record_use_inline(record);
    if (peers > record->peers && !record_grow(record, peers)) return NULL;
    return record;
}

static void reason_set(hm_reason_t *reason, hm_reason_t found)
{
    if (*reason == HM_REASON_NONE) *reason = found;
}

/* One side of a leg, for one peer. */
static void side_lay(hm_record_t *record, int peer, bool receives, const void *from, void *to, size_t bytes,
                     hm_reason_t *reason)
{
    uint8_t side = receives ? RECEIVED : SENT;
    if ((receives ? to : from) == NULL && bytes != 0) reason_set(reason, HM_REASON_ARGUMENT);
    if ((record->seen[peer] & side) != 0) reason_set(reason, HM_REASON_REPEATED);
    record->seen[peer] |= side;
    if (receives) {
        record->recv[peer] = to;
        record->recv_bytes[peer] = bytes;
    } else {
        record->send[peer] = from;
        record->send_bytes[peer] = bytes;
    }
}

static void whole_call_lay(hm_record_t *record, int ranks, const hm_leg_t *leg, size_t bytes, hm_reason_t *reason)
{
    for (int peer = 0; peer < ranks; peer++) {
        size_t at = (size_t)peer * bytes;
        const char *from = leg->from != NULL ? (const char *)leg->from + at : NULL;
        char *to = leg->to != NULL ? (char *)leg->to + at : NULL;
        side_lay(record, peer, false, from, NULL, bytes, reason);
        side_lay(record, peer, true, NULL, to, bytes, reason);
    }
}

static void listed_call_lay(hm_record_t *record, int ranks, const hm_leg_t *leg, hm_reason_t *reason)
{
    hm_lists_t lists = leg_lists(leg);
    size_t type_bytes = nccl_type_bytes(leg->type);
    for (int peer = 0; peer < ranks; peer++) {
        size_t send_at = lists.send_starts[peer] * type_bytes, recv_at = lists.recv_starts[peer] * type_bytes;
        const char *from = leg->from != NULL ? (const char *)leg->from + send_at : NULL;
        char *to = leg->to != NULL ? (char *)leg->to + recv_at : NULL;
        side_lay(record, peer, false, from, NULL, lists.send_counts[peer] * type_bytes, reason);
        side_lay(record, peer, true, NULL, to, lists.recv_counts[peer] * type_bytes, reason);
    }
}

static void leg_lay(hm_record_t *record, int ranks, const hm_leg_t *leg, hm_reason_t *reason)
{
    size_t bytes = leg->count * nccl_type_bytes(leg->type);
    if (nccl_type_bytes(leg->type) == 0) reason_set(reason, HM_REASON_ARGUMENT);
    if (leg->kind == HM_LEG_ALLTOALL || leg->kind == HM_LEG_ALLTOALL_ALIAS)
        whole_call_lay(record, ranks, leg, bytes, reason);
    else if (leg->kind == HM_LEG_ALLTOALL_LISTS)
        listed_call_lay(record, ranks, leg, reason);
    else if (leg->peer < 0 || leg->peer >= ranks)
        reason_set(reason, HM_REASON_ARGUMENT);
    else
        side_lay(record, leg->peer, leg->kind == HM_LEG_RECV, leg->from, leg->to, bytes, reason);
}

hm_reason_t legs_lay(const hm_leg_t *leg, int count, hm_comm_t *comm, hm_call_t *call, bool *whole)
{
    hm_reason_t reason = HM_REASON_NONE;
    hm_record_t *record = legs_record(comm->ranks);
    *whole = false;
    if (record == NULL) return HM_REASON_NO_RECORD;
    *call = (hm_call_t){.comm = comm,
                        .send = record->send,
                        .recv = record->recv,
                        .send_bytes = record->send_bytes,
                        .recv_bytes = record->recv_bytes};
    size_t ranks = (size_t)comm->ranks;
    memset(record->seen, 0, ranks);
    memset(record->send_bytes, 0, ranks * sizeof *record->send_bytes);
    memset(record->recv_bytes, 0, ranks * sizeof *record->recv_bytes);
    bool first = true;
    for (int i = 0; i < count; i++) {
        if (leg[i].comm != comm) continue;
        if (first) call->stream = leg[i].stream;
        if (leg[i].stream != call->stream) reason_set(&reason, HM_REASON_SECOND_STREAM);
        leg_lay(record, comm->ranks, &leg[i], &reason);
        first = false;
    }
    *whole = true;
    for (size_t peer = 0; peer < ranks; peer++) *whole = *whole && record->seen[peer] == (SENT | RECEIVED);
    if (!*whole) reason_set(&reason, HM_REASON_PARTIAL);
    call->refusal = reason;
    return reason;
}

static ncclResult_t listed_call_replay(const hm_leg_t *leg, ncclComm_t comm)
{
    hm_lists_t lists = leg_lists(leg);
    return leg->real->ncclAllToAllv(leg->from, lists.send_counts, lists.send_starts, leg->to, lists.recv_counts,
                                    lists.recv_starts, leg->type, comm, leg->stream);
}

ncclResult_t leg_replay(const hm_leg_t *leg)
{
    const hm_real_t *real = leg->real;
    ncclComm_t comm = leg->comm != NULL ? leg->comm->handle : NULL;
    /* Ended while the call was held back: NCCL may have freed the handle. */
    if (leg->comm != NULL && atomic_load_explicit(&leg->comm->cancelled, memory_order_acquire) != 0)
        return ncclInvalidUsage;
    switch (leg->kind) {
    case HM_LEG_SEND:
        return real->ncclSend(leg->from, leg->count, leg->type, leg->peer, comm, leg->stream);
    case HM_LEG_RECV:
        return real->ncclRecv(leg->to, leg->count, leg->type, leg->peer, comm, leg->stream);
    case HM_LEG_ALLTOALL:
        return real->ncclAlltoAll(leg->from, leg->to, leg->count, leg->type, comm, leg->stream);
    case HM_LEG_ALLTOALL_ALIAS:
        return real->ncclAllToAll(leg->from, leg->to, leg->count, leg->type, comm, leg->stream);
    case HM_LEG_ALLTOALL_LISTS:
        return listed_call_replay(leg, comm);
    case HM_LEG_START:
        return real->ncclGroupStart();
    default:
        return real->ncclGroupEnd();
    }
}
