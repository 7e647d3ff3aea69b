#include "group.h"
#include "reduce.h"

#include <stdlib.h>
#include <string.h>

/* Up to this many bytes, everybody tells everybody at once; above, a ring keeps every link equally busy. */
#define DIRECT_BYTES (32u << 10)

typedef struct collective {
    const host_task_t *task;
    struct ncclComm *comm;
    int rank, ranks;
    unsigned seq;
    size_t used;
    host_transfer_t *transfers; /* [2 * ranks] */
    host_failure_t *failure;
} collective_t;

static void plan_send(collective_t *coll, int peer, const void *buffer, size_t bytes)
{
    coll->transfers[coll->used++] = (host_transfer_t){true, coll->task->kind, coll->seq, peer, (void *)buffer, bytes};
}

static void plan_receive(collective_t *coll, int peer, void *buffer, size_t bytes)
{
    coll->transfers[coll->used++] = (host_transfer_t){false, coll->task->kind, coll->seq, peer, buffer, bytes};
}

static bool plan_run(collective_t *coll)
{
    size_t used = coll->used;
    coll->used = 0;
    return fabric_run(&coll->comm->data, coll->transfers, used, &coll->comm->stop, worker_timeout(), coll->failure);
}

static char *scratch_get(collective_t *coll, size_t bytes)
{
    char *scratch = malloc(bytes ? bytes : 1);
    if (!scratch) *coll->failure = (host_failure_t){ncclSystemError, "no memory for a collective's scratch"};
    return scratch;
}

/* Vectors are cut into one part per rank, all of `part` bytes but the last ones, which are shorter or empty. */
typedef struct cut {
    size_t total, part;
} cut_t;

static size_t cut_begin(const cut_t *cut, int rank)
{
    size_t begin = cut->part * (size_t)rank;
    return begin < cut->total ? begin : cut->total;
}

static size_t cut_bytes(const cut_t *cut, int rank)
{
    return cut_begin(cut, rank + 1) - cut_begin(cut, rank);
}

/* Every rank holds its own part of `out`; afterwards all hold all parts. */
static bool gather_all(collective_t *coll, char *out, const cut_t *cut)
{
    int rank = coll->rank, ranks = coll->ranks;
    if (cut->part <= DIRECT_BYTES) {
        for (int i = 1; i < ranks; i++) {
            int to = (rank + i) % ranks, from = (rank + ranks - i) % ranks;
            plan_send(coll, to, out + cut_begin(cut, rank), cut_bytes(cut, rank));
            plan_receive(coll, from, out + cut_begin(cut, from), cut_bytes(cut, from));
        }
        return plan_run(coll);
    }
    for (int step = 0; step < ranks - 1; step++) {
        int mine = (rank + ranks - step) % ranks, theirs = (rank + 2 * ranks - step - 1) % ranks;
        plan_send(coll, (rank + 1) % ranks, out + cut_begin(cut, mine), cut_bytes(cut, mine));
        plan_receive(coll, (rank + ranks - 1) % ranks, out + cut_begin(cut, theirs), cut_bytes(cut, theirs));
        if (!plan_run(coll)) return false;
    }
    return true;
}

/* Reduces part `rank` of everybody's `in` into `out`, in the order of ranks, so that floats come out the same always.
 * `out` may lie inside `in`. `whole`: everybody's vector is one part, and all ranks want it. */
static bool reduce_part(collective_t *coll, const char *in, char *out, const cut_t *cut, bool whole)
{
    const host_task_t *task = coll->task;
    int rank = coll->rank, ranks = coll->ranks;
    const char *own = in + (whole ? 0 : cut_begin(cut, rank));
    size_t bytes = whole ? cut->total : cut_bytes(cut, rank);
    char *parts = scratch_get(coll, bytes * (size_t)ranks);
    if (!parts) return false;
    for (int i = 1; i < ranks; i++) {
        int to = (rank + i) % ranks, from = (rank + ranks - i) % ranks;
        plan_send(coll, to, in + (whole ? 0 : cut_begin(cut, to)), whole ? bytes : cut_bytes(cut, to));
        plan_receive(coll, from, parts + bytes * (size_t)from, bytes);
    }
    bool ok = plan_run(coll);
    if (ok && bytes) {
        memcpy(parts + bytes * (size_t)rank, own, bytes);
        for (int i = 1; i < ranks; i++)
            reduce_into(parts, parts + bytes * (size_t)i, bytes / task->element, task->type, task->op);
        memcpy(out, parts, bytes);
    }
    free(parts);
    return ok;
}

static bool run_allreduce(collective_t *coll)
{
    const host_task_t *task = coll->task;
    cut_t cut = {task->count * task->element, 0};
    if (cut.total <= DIRECT_BYTES) return reduce_part(coll, task->in, task->out, &cut, true);
    cut.part = (task->count + (size_t)coll->ranks - 1) / (size_t)coll->ranks * task->element;
    char *out = task->out;
    return reduce_part(coll, task->in, out + cut_begin(&cut, coll->rank), &cut, false) && gather_all(coll, out, &cut);
}

static bool run_reduce_scatter(collective_t *coll)
{
    size_t part = coll->task->count * coll->task->element;
    return reduce_part(coll, coll->task->in, coll->task->out, &(cut_t){part * (size_t)coll->ranks, part}, false);
}

static bool run_allgather(collective_t *coll)
{
    size_t part = coll->task->count * coll->task->element;
    cut_t cut = {part * (size_t)coll->ranks, part};
    char *own = (char *)coll->task->out + cut_begin(&cut, coll->rank);
    if (own != coll->task->in) memmove(own, coll->task->in, part);
    return gather_all(coll, coll->task->out, &cut);
}

/* Binomial tree, with the root as rank 0. */
static bool run_broadcast(collective_t *coll)
{
    const host_task_t *task = coll->task;
    int ranks = coll->ranks, place = (coll->rank - task->root + ranks) % ranks, bit = 1;
    size_t bytes = task->count * task->element;
    if (place == 0 && task->in != task->out) memmove(task->out, task->in, bytes);
    for (; bit < ranks && !(place & bit); bit <<= 1) {
    }
    if (place) {
        plan_receive(coll, (place - bit + task->root) % ranks, task->out, bytes);
        if (!plan_run(coll)) return false;
    }
    for (bit >>= 1; bit; bit >>= 1)
        if (place + bit < ranks) plan_send(coll, (place + bit + task->root) % ranks, task->out, bytes);
    return plan_run(coll);
}

static bool run_reduce(collective_t *coll)
{
    const host_task_t *task = coll->task;
    size_t bytes = task->count * task->element;
    if (coll->rank != task->root) {
        plan_send(coll, task->root, task->in, bytes);
        return plan_run(coll);
    }
    char *parts = scratch_get(coll, bytes * (size_t)coll->ranks);
    if (!parts) return false;
    memcpy(parts + bytes * (size_t)coll->rank, task->in, bytes);
    for (int i = 0; i < coll->ranks; i++)
        if (i != coll->rank) plan_receive(coll, i, parts + bytes * (size_t)i, bytes);
    bool ok = plan_run(coll);
    for (int i = 1; i < coll->ranks && ok; i++)
        reduce_into(parts, parts + bytes * (size_t)i, task->count, task->type, task->op);
    if (ok) memcpy(task->out, parts, bytes);
    free(parts);
    return ok;
}

bool collective_run(const host_task_t *task, host_failure_t *failure)
{
    static bool (*const run[HOST_KINDS])(collective_t *) = {[HOST_ALLREDUCE] = run_allreduce,
                                                            [HOST_ALLGATHER] = run_allgather,
                                                            [HOST_BROADCAST] = run_broadcast,
                                                            [HOST_REDUCE] = run_reduce,
                                                            [HOST_REDUCE_SCATTER] = run_reduce_scatter};
    struct ncclComm *comm = task->comm;
    collective_t coll = {.task = task,
                         .comm = comm,
                         .rank = comm->rank,
                         .ranks = comm->ranks,
                         .seq = comm->sequence[task->kind]++,
                         .failure = failure};
    coll.transfers = calloc(2 * (size_t)comm->ranks, sizeof *coll.transfers);
    if (!coll.transfers) {
        *failure = (host_failure_t){ncclSystemError, "no memory for a collective"};
        return false;
    }
    bool ok = run[task->kind](&coll);
    free(coll.transfers);
    return ok;
}
