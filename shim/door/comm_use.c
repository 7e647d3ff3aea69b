/* Waiting for a call inside the library that uses a communicator which is about to end. */
#include "comm.h"

#include <time.h>

#define SHORT_SECONDS 5.0 /* far more than a short use takes: its thread may have been killed in the midst of it */
#define LONG_SECONDS 0.2

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void comm_use_wait(const hm_comm_t *comm)
{
    double begin = seconds_now();
    for (;;) {
        int use = atomic_load(&comm->use);
        double most = use == HM_USE_SHORT ? SHORT_SECONDS : LONG_SECONDS;
        if (use == HM_USE_NONE || seconds_now() - begin > most) return;
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}
