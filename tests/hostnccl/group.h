/* Group semantics: what a thread collects between ncclGroupStart and ncclGroupEnd, and how it gets onto streams. */
#ifndef HOST_GROUP_H
#define HOST_GROUP_H

#include "comm.h"
#include "stream.h"

/* One call, already checked. Point to point: `send` or not, with one peer in `root`. */
typedef struct host_task {
    host_kind_t kind;
    bool send;
    struct ncclComm *comm;
    host_stream_t *stream;
    const void *in;
    void *out;
    size_t count, element; /* elements, and bytes of one */
    ncclDataType_t type;
    ncclRedOp_t op;
    int root;
} host_task_t;

/* Adds tasks to the thread's group, or launches them as a group of their own. */
ncclResult_t group_add(const host_task_t *tasks, size_t count);

/* Notes the failure of a call, so that the outermost ncclGroupEnd returns the first one. Returns `result`. */
ncclResult_t group_note(ncclResult_t result);

/* Makes communicators: at once, or at the outermost ncclGroupEnd if a group is open, several at the same time there.
 * run fills `text` on failure; it owns and frees arg. */
typedef ncclResult_t host_init_t(void *arg, char text[HOST_TEXT]);
ncclResult_t group_init(host_init_t *run, void *arg);

/* Puts tasks on their streams: communicators in an order that is the same everywhere. Tasks are copied. */
ncclResult_t launch_tasks(host_task_t *tasks, size_t count);

/* Runs a communicator's tasks, on the stream's thread: collectives in order, then all point to point at once. */
bool p2p_run(struct ncclComm *comm, const host_task_t *tasks, size_t count, host_failure_t *failure);
bool collective_run(const host_task_t *task, host_failure_t *failure);

#endif
