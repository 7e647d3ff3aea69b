/* A watchdog that aborts a communicator while a call on it is inside the library, over the watched NCCL. */
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include "watched_nccl.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct watchdog {
    const watched_t *watched;
    ncclComm_t comm;
    atomic_bool returned;
    pthread_t thread;
} watchdog_t;

/* The watched NCCL, where HIERMOE_NCCL_LIB names it; else NULL. */
const watched_t *watchdog_nccl(void);

/* From here on the communicator ends when the calling thread's next call has come to its step number `step` inside the
 * library, or when watchdog_join is reached. grouped: the call is a group, not one by name. */
void watchdog_arm(watchdog_t *watchdog, const watched_t *watched, ncclComm_t comm, int step, bool grouped);

/* The communicator is gone. Whether the call was inside the library when it was aborted. */
bool watchdog_join(watchdog_t *watchdog);

#endif
