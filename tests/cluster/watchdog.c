#include "watchdog.h"

#include "ranks.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

const watched_t *watchdog_nccl(void)
{
    const char *path = getenv("HIERMOE_NCCL_LIB");
    void *library = path != NULL ? dlopen(path, RTLD_NOW) : NULL;
    return library != NULL ? dlsym(library, "watched_nccl") : NULL;
}

static void *watchdog_run(void *memory)
{
    watchdog_t *watchdog = memory;
    while (!watchdog->watched->reached() && !atomic_load(&watchdog->returned))
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    CHECK(ncclCommAbort(watchdog->comm) == ncclSuccess);
    return NULL;
}

void watchdog_arm(watchdog_t *watchdog, const watched_t *watched, ncclComm_t comm, int step, bool grouped)
{
    *watchdog = (watchdog_t){.watched = watched, .comm = comm};
    watched->arm(comm, step, grouped);
    CHECK(pthread_create(&watchdog->thread, NULL, watchdog_run, watchdog) == 0);
}

bool watchdog_join(watchdog_t *watchdog)
{
    bool reached = watchdog->watched->reached();
    atomic_store(&watchdog->returned, true);
    pthread_join(watchdog->thread, NULL);
    watchdog->watched->disarm();
    return reached;
}
