/* A stand-in NCCL that moves nothing: it keeps NCCL's rules for groups, handles and errors, and writes down every call
 * with its arguments and its result to the file named by FAKE_NCCL_LOG, if that is set. Exports ncclX (weak) and pncclX
 * like NCCL, or ncclX only (FAKE_PLAIN) like some of its descendants. FAKE_NAME tells copies apart.
 *
 *   FAKE_NCCL_LAZY=1            handles made in a group are filled in at its end
 *   FAKE_NCCL_FAIL=name:n:code  the n-th call of that name (from 1) returns code
 *   FAKE_NCCL_RANKS=n           ranks of every communicator made with 0 ranks */
#define _GNU_SOURCE
#include "fake_nccl.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef FAKE_NAME
#define FAKE_NAME "A"
#endif
#define COMMS 4096 /* handles are the numbers 100.., never followed as pointers */
#define PENDING 64

static struct fake_comm {
    bool alive, blocking;
    int ranks, rank;
} comms[COMMS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int depth;
static _Thread_local ncclResult_t group_error;
static _Thread_local bool group_in_progress;
static _Thread_local struct {
    ncclComm_t *where, handle;
} pending[PENDING];
static _Thread_local int pendings;

static bool logging(void)
{
    static atomic_int known; /* 1 no, 2 yes */
    if (known == 0) known = getenv("FAKE_NCCL_LOG") != NULL ? 2 : 1;
    return known == 2;
}

void fake_note(const char *line)
{
    if (!logging()) return;
    FILE *file = fopen(getenv("FAKE_NCCL_LOG"), "ae");
    if (file == NULL) return;
    fprintf(file, "%s %s\n", FAKE_NAME, line);
    fclose(file);
}

/* Values that differ from run to run, addresses above all, are not worth comparing. */
static void text_add(char *text, size_t size, const void *value, size_t bytes)
{
    size_t at = strlen(text);
    uint64_t number = 0;
    if (bytes > sizeof number) {
        snprintf(text + at, size - at, " ..");
        return;
    }
    memcpy(&number, value, bytes);
    if ((number >> 32) != 0)
        snprintf(text + at, size - at, " ptr");
    else
        snprintf(text + at, size - at, " %d", (int)number);
}

/* What FAKE_NCCL_FAIL has for this call. */
static ncclResult_t injected(const char *name)
{
    static atomic_int seen;
    const char *fail = getenv("FAKE_NCCL_FAIL");
    size_t length = strlen(name);
    if (fail == NULL || strncmp(fail, name, length) != 0 || fail[length] != ':') return ncclSuccess;
    int at = 0, code = 0;
    if (sscanf(fail + length + 1, "%d:%d", &at, &code) != 2 || ++seen != at) return ncclSuccess;
    return (ncclResult_t)code;
}

static ncclResult_t said(const char *text, ncclResult_t result)
{
    if (logging()) {
        char line[512];
        snprintf(line, sizeof line, "%s = %d", text, (int)result);
        fake_note(line);
    }
    if (depth != 0 && result != ncclSuccess && result != ncclInProgress && group_error == 0) group_error = result;
    return result;
}

static struct fake_comm *comm_of(ncclComm_t handle)
{
    uintptr_t at = (uintptr_t)handle - 100;
    return at < COMMS && comms[at].alive ? &comms[at] : NULL;
}

/* The lowest free handle, so that handles come back after destroy as malloc's do. */
static ncclResult_t comm_make(ncclComm_t *where, int ranks, int rank, bool blocking)
{
    const char *standard = getenv("FAKE_NCCL_RANKS");
    uintptr_t at = 0;
    if (where == NULL) return ncclInvalidArgument;
    pthread_mutex_lock(&lock);
    while (at < COMMS && comms[at].alive) at++;
    if (at < COMMS)
        comms[at] = (struct fake_comm){true, blocking,
                                       ranks != 0         ? ranks
                                       : standard != NULL ? atoi(standard)
                                                          : 4,
                                       rank};
    pthread_mutex_unlock(&lock);
    if (at == COMMS) return ncclSystemError;
    if (depth != 0 && getenv("FAKE_NCCL_LAZY") != NULL && pendings < PENDING) {
        pending[pendings].where = where;
        pending[pendings++].handle = (ncclComm_t)(at + 100);
    } else {
        *where = (ncclComm_t)(at + 100);
    }
    if (!blocking && depth != 0) group_in_progress = true;
    return blocking ? ncclSuccess : ncclInProgress;
}

static bool blocking_of(const ncclConfig_t *config, ncclComm_t parent)
{
    const char *text = getenv("NCCL_COMM_BLOCKING");
    const struct fake_comm *from = comm_of(parent);
    if (config == NULL && from != NULL) return from->blocking;
    if (text != NULL && (text[0] == '0' || text[0] == '1')) return text[0] == '1';
    return config == NULL || config->blocking != 0;
}

/* A transfer: NCCL looks at communicator, type and peer before it queues anything. */
static ncclResult_t transfer(ncclComm_t handle, ncclDataType_t type, int peer)
{
    const struct fake_comm *comm = comm_of(handle);
    if (comm == NULL || (unsigned)type > ncclFloat8e5m2 || peer < 0 || peer >= comm->ranks) return ncclInvalidArgument;
    if (comm->blocking) return ncclSuccess;
    group_in_progress = depth > 0;
    return ncclInProgress;
}

static ncclResult_t comm_end(ncclComm_t handle, bool gone)
{
    struct fake_comm *comm = comm_of(handle);
    if (comm == NULL) return ncclInvalidArgument;
    pthread_mutex_lock(&lock);
    if (gone) comm->alive = false;
    pthread_mutex_unlock(&lock);
    return ncclSuccess;
}

static ncclResult_t group_start(void)
{
    depth++;
    return ncclSuccess;
}

static ncclResult_t group_end(void)
{
    if (depth == 0) return ncclInvalidUsage;
    if (--depth != 0) return ncclSuccess;
    for (int i = 0; i < pendings; i++) *pending[i].where = pending[i].handle;
    ncclResult_t result = group_error != 0 ? group_error : group_in_progress ? ncclInProgress : ncclSuccess;
    pendings = 0;
    group_error = ncclSuccess;
    group_in_progress = false;
    return result;
}

static ncclResult_t init_all(ncclComm_t *handles, int devices)
{
    for (int i = 0; i < devices; i++) {
        ncclResult_t result = comm_make(&handles[i], devices, i, blocking_of(NULL, NULL));
        if (result != ncclSuccess && result != ncclInProgress) return result;
    }
    return ncclSuccess;
}

/* What each call does; calls not named here do nothing. */
#define DO_ncclGroupStart group_start()
#define DO_ncclGroupEnd group_end()
#define DO_ncclGroupSimulateEnd group_end()
#define DO_ncclSend transfer(comm, type, peer)
#define DO_ncclRecv transfer(comm, type, peer)
#define DO_ncclAlltoAll transfer(comm, type, 0)
#define DO_ncclAlltoAllConfig transfer(comm, type, 0)
#define DO_ncclAllToAll transfer(comm, type, 0)
#define DO_ncclAllToAllv transfer(comm, type, 0)
#define DO_ncclCommInitRank comm_make(comm, ranks, rank, blocking_of(NULL, NULL))
#define DO_ncclCommInitRankConfig comm_make(comm, ranks, rank, blocking_of(config, NULL))
#define DO_ncclCommInitRankScalable comm_make(comm, ranks, rank, blocking_of(config, NULL))
#define DO_ncclCommInitAll init_all(comms, devices)
#define DO_ncclCommSplit (color < 0 ? (*child = NULL, ncclSuccess) : comm_make(child, 0, 0, blocking_of(config, comm)))
#define DO_ncclCommShrink comm_make(child, 0, 0, blocking_of(config, comm))
#define DO_ncclCommGrow comm_make(child, ranks, 0, blocking_of(config, comm))
#define DO_ncclCommFinalize comm_end(comm, false)
#define DO_ncclCommDestroy comm_end(comm, true)
#define DO_ncclCommAbort comm_end(comm, true)
#define DO_ncclCommRevoke comm_end(comm, false)
#define DO_own(name) DO_##name
#define DO_own0(name) DO_##name
#define DO_pass(name) ncclSuccess

#define ADD(x) text_add(text, sizeof text, &(x), sizeof(x));
#define EACH_0()
#define EACH_1(a) ADD(a)
#define EACH_2(a, ...) ADD(a) EACH_1(__VA_ARGS__)
#define EACH_3(a, ...) ADD(a) EACH_2(__VA_ARGS__)
#define EACH_4(a, ...) ADD(a) EACH_3(__VA_ARGS__)
#define EACH_5(a, ...) ADD(a) EACH_4(__VA_ARGS__)
#define EACH_6(a, ...) ADD(a) EACH_5(__VA_ARGS__)
#define EACH_7(a, ...) ADD(a) EACH_6(__VA_ARGS__)
#define EACH_8(a, ...) ADD(a) EACH_7(__VA_ARGS__)
#define EACH_9(a, ...) ADD(a) EACH_8(__VA_ARGS__)
#define EACH_10(a, ...) ADD(a) EACH_9(__VA_ARGS__)
#define EACH_11(a, ...) ADD(a) EACH_10(__VA_ARGS__)
#define PICK(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, each, ...) each
#define EACH_some(...) \
    PICK(__VA_ARGS__, EACH_11, EACH_10, EACH_9, EACH_8, EACH_7, EACH_6, EACH_5, EACH_4, EACH_3, EACH_2, EACH_1, 0) \
    (__VA_ARGS__)
#define EACH_own(args) EACH_some args
#define EACH_pass(args) EACH_some args
#define EACH_own0(args)

/* FAKE_NCCL_LOG unset is the fast way, for timing. */
#define BODY(name, args, treatment) \
    { \
        if (!logging()) return DO_##treatment(name); \
        char text[256] = #name; \
        EACH_##treatment(args) ncclResult_t fail = injected(#name); \
        return said(text, fail != 0 ? fail : DO_##treatment(name)); \
    }

#ifdef FAKE_PLAIN
#define HM_CALL(name, params, args, comm_arg, treatment) ncclResult_t name params BODY(name, args, treatment)
#else
#define HM_CALL(name, params, args, comm_arg, treatment) \
    ncclResult_t p##name params BODY(name, args, treatment) __attribute__((weak, alias("p" #name))) \
    ncclResult_t name params;
#endif
#include "door/calls.def"

ncclResult_t ncclGetVersion(int *version)
{
    *version = 23100;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    return result != 0 ? "an error" : "no error";
}

ncclResult_t ncclCommCount(const ncclComm_t handle, int *ranks)
{
    const struct fake_comm *comm = comm_of(handle);
    if (comm != NULL) *ranks = comm->ranks;
    return comm != NULL ? ncclSuccess : ncclInvalidArgument;
}

ncclResult_t ncclCommUserRank(const ncclComm_t handle, int *rank)
{
    const struct fake_comm *comm = comm_of(handle);
    if (comm != NULL) *rank = comm->rank;
    return comm != NULL ? ncclSuccess : ncclInvalidArgument;
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device)
{
    *device = 0;
    return comm != NULL ? ncclSuccess : ncclInvalidArgument;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error)
{
    *error = ncclSuccess;
    return comm != NULL ? ncclSuccess : ncclInvalidArgument;
}
