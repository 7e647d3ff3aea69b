/* Communicators. */
#ifndef HOST_COMM_H
#define HOST_COMM_H

#include "bootstrap.h"

#include <pthread.h>

enum { HOST_RUNNING, HOST_REVOKED, HOST_ABORTED };

struct ncclComm {
    uint64_t magic;
    uint64_t id; /* same on all ranks; orders communicators in a group */
    int rank, ranks, local_rank;
    bool blocking, finalized, connected;
    uint32_t children;

    /* Work takes a ticket when it is enqueued; tickets are served in order, whatever stream they are on. */
    pthread_mutex_t lock;
    pthread_cond_t turn;
    uint64_t tickets, served;
    int users;   /* of the memory: handle, splits, queued work */
    int holders; /* of the fabrics: the same without queued work, which is skipped once the communicator was stopped */
    bool busy;   /* somebody drives the data fabric */

    atomic_int stop;   /* HOST_RUNNING, or why running work must end */
    atomic_int halted; /* HOST_ABORTED: also what goes over the control fabric must end */
    atomic_int async;  /* ncclResult_t of the first failure */
    char text[HOST_TEXT];
    unsigned sequence[HOST_KINDS];
    host_fabric_t data, control;
    pthread_mutex_t control_lock;
};

/* Says whether the handle is a communicator that may be used now; sets the thread's message if not. */
ncclResult_t comm_check(const struct ncclComm *comm, const char *call);

/* Takes the next ticket and a reference; the caller holds whatever keeps tickets and queues in the same order. */
uint64_t comm_enter(struct ncclComm *comm);

/* Waits for the ticket's turn. False if the communicator failed or was stopped meanwhile: skip the work. */
bool comm_begin(struct ncclComm *comm, uint64_t ticket);
void comm_end(struct ncclComm *comm);

/* Waits until every ticket taken so far was served, or the communicator is stopped. */
void comm_drain(struct ncclComm *comm);

/* Records the first failure of running work and says it on stderr. */
void comm_fail(struct ncclComm *comm, const host_failure_t *failure);

/* Ends running work. `stop` is HOST_REVOKED or HOST_ABORTED. Returns when nobody drives the data fabric any more. */
void comm_stop(struct ncclComm *comm, int stop);

/* A communicator without peers yet. NULL: no memory. */
struct ncclComm *comm_create(bool blocking);

/* True for a handle that was made and not destroyed. Memory of a destroyed one may be gone: a help, no proof. */
bool comm_alive(const struct ncclComm *comm);

/* Takes a reference, as the handle has one. */
void comm_hold(struct ncclComm *comm);

/* Gives such a reference back. The last one closes the fabrics before it returns, even with work still queued: were
 * that left to a stream's thread, UCX could end with the process under it. Stop the communicator before the handle's.
 */
void comm_release(struct ncclComm *comm);

/* Opens both workers and fills in what others need to know. */
ncclResult_t comm_open(struct ncclComm *comm, host_card_t *card, char text[HOST_TEXT]);

/* Connects to all ranks and waits until all have connected to us. */
ncclResult_t comm_connect(struct ncclComm *comm, int rank, int ranks, const host_card_t *cards, char text[HOST_TEXT]);

/* Exchanges cards with some other ranks (list of `count`, may hold this rank) over the control fabric:
 * cards[i] is the one of list[i]. */
ncclResult_t comm_exchange(struct ncclComm *comm, const int *list, int count, const host_card_t *mine,
                           host_card_t *cards, char text[HOST_TEXT]);

/* Waits up to `seconds` for all ranks to come here too. */
bool comm_barrier(struct ncclComm *comm, double seconds);

/* Reads config->blocking. ncclInvalidArgument if it was not initialised. */
ncclResult_t config_blocking(const ncclConfig_t *config, bool *blocking);

#endif
