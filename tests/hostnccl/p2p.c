#include "group.h"

#include <stdlib.h>
#include <string.h>

static bool is_self(const host_task_t *task)
{
    return task->kind == HOST_P2P && task->root == task->comm->rank;
}

/* Sends to oneself and receives from oneself pair up in order; the launch has checked that they do. */
static void copy_self(const host_task_t *tasks, size_t count)
{
    size_t receive = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_self(&tasks[i]) || !tasks[i].send) continue;
        while (!is_self(&tasks[receive]) || tasks[receive].send) receive++;
        size_t bytes = tasks[i].count * tasks[i].element;
        if (bytes && tasks[i].in != tasks[receive].out) memmove(tasks[receive].out, tasks[i].in, bytes);
        receive++;
    }
}

bool p2p_run(struct ncclComm *comm, const host_task_t *tasks, size_t count, host_failure_t *failure)
{
    copy_self(tasks, count);
    host_transfer_t *transfers = calloc(count, sizeof *transfers);
    if (!transfers) {
        *failure = (host_failure_t){ncclSystemError, "no memory for point to point transfers"};
        return false;
    }
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const host_task_t *task = &tasks[i];
        if (task->kind != HOST_P2P || is_self(task)) continue;
        transfers[used++] = (host_transfer_t){.send = task->send,
                                              .kind = HOST_P2P,
                                              .peer = task->root,
                                              .buffer = task->send ? (void *)task->in : task->out,
                                              .bytes = task->count * task->element};
    }
    bool ok = fabric_run(&comm->data, transfers, used, &comm->stop, worker_timeout(), failure);
    free(transfers);
    return ok;
}
