#define _GNU_SOURCE
#include "watched_nccl.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HOLD_MS 50
#define EXIT_USED 9

static _Atomic(ncclComm_t) watched_comm; /* NULL: none is watched */
static atomic_bool gone, held;
static _Thread_local int steps_left = -1;
static _Thread_local enum { GROUP_NONE, GROUP_TO_COME, GROUP_OPEN } job_group;
static _Thread_local bool queued; /* a group is open that has a call on the communicator */

static void arm(ncclComm_t comm, int step, bool grouped)
{
    atomic_store(&gone, false);
    atomic_store(&held, false);
    atomic_store(&watched_comm, comm);
    steps_left = step;
    job_group = grouped ? GROUP_TO_COME : GROUP_NONE;
}

static bool reached(void)
{
    return atomic_load(&held);
}

static void disarm(void)
{
    steps_left = -1;
    job_group = GROUP_NONE;
    atomic_store(&watched_comm, NULL);
}

const watched_t watched_nccl = {arm, reached, disarm};

static void step_hold(void)
{
    if (job_group != GROUP_NONE || steps_left < 0 || steps_left-- > 0) return;
    atomic_store(&held, true);
    for (int ms = 0; ms < HOLD_MS && !atomic_load(&gone); ms++) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* The end of a group uses the communicators of its calls. */
static void use_check(ncclComm_t comm, const char *name)
{
    ncclComm_t watched = atomic_load(&watched_comm);
    bool end = strcmp(name, "ncclGroupEnd") == 0, uses = watched != NULL && (comm == watched || (end && queued));
    queued = uses && !end;
    if (!uses || !atomic_load(&gone)) return;
    fprintf(stderr, "watched_nccl: %s got a communicator that was aborted\n", name);
    _exit(EXIT_USED);
}

/* The library ends the job's group at once where it has work of its own to do, and holds the job's calls back until
 * then. Those by name are never the library's. */
static void job_follow(const char *name)
{
    bool start = strcmp(name, "ncclGroupStart") == 0, end = strcmp(name, "ncclGroupEnd") == 0;
    if (job_group == GROUP_TO_COME && start) {
        job_group = GROUP_OPEN;
        return;
    }
    if ((job_group == GROUP_OPEN && !end) || strcmp(name, "ncclAlltoAll") == 0) steps_left = -1;
    if (job_group == GROUP_OPEN) job_group = GROUP_NONE;
}

/* A step ends outside NCCL: a thread that is inside meets NCCL's own abort. */
static ncclResult_t step_end(ncclComm_t comm, const char *name, ncclResult_t result)
{
    if (strcmp(name, "ncclCommAbort") == 0 && comm == atomic_load(&watched_comm)) {
        atomic_store(&gone, true);
        return result;
    }
    job_follow(name);
    step_hold();
    return result;
}

/* The stand-in NCCL's own, by the name that nobody stands in front of. */
static void *real_find(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

#define FORWARD(ret, name, params) \
    ret name params; \
    ret name params

#define HM_CALL(name, params, args, comm, treatment) \
    FORWARD(ncclResult_t, name, params) \
    { \
        void *symbol = real_find("p" #name); \
        ncclResult_t(*real) params; \
        memcpy(&real, &symbol, sizeof symbol); \
        if (real == NULL) return ncclInternalError; \
        use_check((ncclComm_t)(comm), #name); \
        return step_end((ncclComm_t)(comm), #name, real args); \
    }
#include "calls.def"

#define QUERY(name, out) \
    ncclResult_t name(const ncclComm_t comm, out *into) \
    { \
        void *symbol = real_find("p" #name); \
        ncclResult_t (*real)(const ncclComm_t, out *); \
        memcpy(&real, &symbol, sizeof symbol); \
        use_check(comm, #name); \
        ncclResult_t result = real(comm, into); \
        step_hold(); \
        return result; \
    }
QUERY(ncclCommGetAsyncError, ncclResult_t)
QUERY(ncclCommCount, int)
QUERY(ncclCommUserRank, int)
QUERY(ncclCommCuDevice, int)

ncclResult_t ncclGetVersion(int *version)
{
    void *symbol = real_find("pncclGetVersion");
    ncclResult_t (*real)(int *);
    memcpy(&real, &symbol, sizeof symbol);
    return real(version);
}

/* The stand-in NCCL comes before this one in the order of the whole program. */
int hostncclStreamEnqueue(void *stream, void (*run)(void *), void *argument)
{
    void *symbol = real_find("hostncclStreamEnqueue");
    int (*real)(void *, void (*)(void *), void *);
    memcpy(&real, &symbol, sizeof symbol);
    int status = real(stream, run, argument);
    step_hold();
    return status;
}
