#include "comm.h"
#include "export.h"
#include "group.h"
#include "iface.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

typedef struct child {
    struct ncclComm *parent, *comm, **handle;
    int *list; /* [count] parent ranks that take part in the exchange */
    int count;
    int color, key;
} child_t;

static void child_free(child_t *child)
{
    comm_release(child->parent);
    free(child->list);
    free(child);
}

static int compare_cards(const void *a, const void *b)
{
    const host_card_t *left = a, *right = b;
    if (left->key != right->key) return left->key < right->key ? -1 : 1;
    return (left->rank > right->rank) - (left->rank < right->rank);
}

/* Moves cards of the child's color to the front, in the order of the new ranks. */
static int cards_select(const child_t *child, host_card_t *cards)
{
    int members = 0;
    for (int i = 0; i < child->count; i++)
        if (cards[i].color == child->color) {
            if (members != i) cards[members] = cards[i];
            members++;
        }
    qsort(cards, (size_t)members, sizeof *cards, compare_cards);
    return members;
}

static ncclResult_t child_connect(child_t *child, host_card_t *cards, char text[HOST_TEXT])
{
    int members = cards_select(child, cards), rank = 0;
    while (cards[rank].rank != child->parent->rank) rank++;
    return comm_connect(child->comm, rank, members, cards, text);
}

static ncclResult_t child_run(void *arg, char text[HOST_TEXT])
{
    child_t *child = arg;
    struct ncclComm *parent = child->parent;
    host_card_t mine = {.rank = parent->rank, .color = child->color, .key = child->key, .children = parent->children++};
    host_card_t *cards = calloc((size_t)child->count, sizeof *cards);
    ncclResult_t result = cards ? ncclSuccess : ncclSystemError;
    if (result == ncclSuccess && child->comm) {
        uint64_t seed[2] = {((uint64_t)mine.children << 32) | (uint32_t)child->color, parent->id};
        child->comm->id = iface_hash(0, seed, sizeof seed);
        result = comm_open(child->comm, &mine, text);
    }
    if (result == ncclSuccess) result = comm_exchange(parent, child->list, child->count, &mine, cards, text);
    if (result == ncclSuccess && child->comm) result = child_connect(child, cards, text);
    if (result != ncclSuccess && child->comm) {
        *child->handle = NULL;
        comm_release(child->comm);
    }
    free(cards);
    child_free(child);
    return result;
}

/* Takes over `list`. A communicator that was revoked may have children, one that failed may only be shrunk. */
static ncclResult_t child_start(struct ncclComm *parent, int *list, int count, int color, int key, ncclComm_t *handle,
                                const ncclConfig_t *config)
{
    bool blocking = parent->blocking;
    ncclResult_t result = config_blocking(config, &blocking);
    child_t *child = calloc(1, sizeof *child);
    struct ncclComm *comm = color == NCCL_SPLIT_NOCOLOR ? NULL : comm_create(blocking);
    if (!list || !child || (!comm && color != NCCL_SPLIT_NOCOLOR))
        result = say_error(ncclSystemError, "no memory for a communicator");
    if (result != ncclSuccess) {
        if (comm) comm_release(comm);
        free(child);
        free(list);
        return result;
    }
    comm_hold(parent);
    *child = (child_t){parent, comm, handle, list, count, color, key};
    *handle = comm;
    return group_init(child_run, child);
}

static ncclResult_t check_parent(const struct ncclComm *comm, const ncclComm_t *newcomm, bool failed_too,
                                 const char *call)
{
    if (!comm_alive(comm)) return say_error(ncclInvalidArgument, "%s: not a communicator", call);
    if (!newcomm) return say_error(ncclInvalidArgument, "%s: NULL where the new communicator goes", call);
    if (!comm->connected || comm->finalized)
        return say_error(ncclInvalidUsage, "%s: the communicator is not in use", call);
    if (!failed_too && atomic_load(&comm->async))
        return say_error((ncclResult_t)atomic_load(&comm->async), "%s: the communicator failed before: %s", call,
                         comm->text);
    return ncclSuccess;
}

HOSTNCCL_API(ncclResult_t, ncclCommSplit,
             (ncclComm_t comm, int color, int key, ncclComm_t *newcomm, ncclConfig_t *config))
{
    ncclResult_t result = check_parent(comm, newcomm, false, "ncclCommSplit");
    if (result != ncclSuccess) return group_note(result);
    if (color < 0 && color != NCCL_SPLIT_NOCOLOR)
        return group_note(
            say_error(ncclInvalidArgument, "ncclCommSplit: color %d, expected >= 0 or NCCL_SPLIT_NOCOLOR", color));
    int *list = calloc((size_t)comm->ranks, sizeof *list);
    for (int i = 0; list && i < comm->ranks; i++) list[i] = i;
    return group_note(child_start(comm, list, comm->ranks, color, key, newcomm, config));
}

HOSTNCCL_API(ncclResult_t, ncclCommShrink,
             (ncclComm_t comm, int *excludeRanksList, int excludeRanksCount, ncclComm_t *newcomm, ncclConfig_t *config,
              int shrinkFlags))
{
    ncclResult_t result = check_parent(comm, newcomm, shrinkFlags & NCCL_SHRINK_ABORT, "ncclCommShrink");
    if (result != ncclSuccess) return group_note(result);
    if (!excludeRanksList || excludeRanksCount < 1 || excludeRanksCount >= comm->ranks)
        return group_note(say_error(ncclInvalidArgument, "ncclCommShrink: %d ranks to leave out of %d",
                                    excludeRanksCount, comm->ranks));
    int count = 0, *list = calloc((size_t)comm->ranks, sizeof *list);
    for (int rank = 0; list && rank < comm->ranks; rank++) {
        bool excluded = false;
        for (int i = 0; i < excludeRanksCount; i++) excluded |= excludeRanksList[i] == rank;
        if (!excluded) list[count++] = rank;
        if (excluded && rank == comm->rank) {
            free(list);
            return group_note(
                say_error(ncclInvalidArgument, "ncclCommShrink: called by rank %d, which it leaves out", rank));
        }
    }
    if (shrinkFlags & NCCL_SHRINK_ABORT) comm_stop(comm, HOST_REVOKED);
    return group_note(child_start(comm, list, count, 0, comm->rank, newcomm, config));
}
