/* Runs a function as several ranks, each in a process of its own. For tests. */
#ifndef HOST_RANKS_H
#define HOST_RANKS_H

#include "hostnccl.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

typedef struct ranks {
    int rank, ranks;
    ncclUniqueId id;
} ranks_t;

/* Only what hangs comes to it, on any machine. */
#define RANKS_SECONDS 900

/* Forks `ranks` processes that run body() and waits for them; after RANKS_SECONDS they are killed. Returns how many did
 * not end well. What they said on stderr is in `said` (may be NULL) and on stderr too if any failed. */
int ranks_run(int ranks, void (*body)(const ranks_t *), char *said, size_t size);

/* The ranks that nodes.sh or run_ranks.py started: reads RANK, WORLD_SIZE and HOSTNCCL_ID_FILE, where rank 0 leaves the
 * id. Returns false with a sentence on stderr if they are not set, or no id turned up for RANKS_SECONDS. */
bool ranks_from_environment(ranks_t *ranks);

/* Returns when all ranks have ended that do not call this themselves. Under run_ranks.py for ranks with --outstay. */
void ranks_outstay(void);

/* How many times longer than usual a trivial round takes on this machine just now, at least 1: HM_TEST_PACE. What has
 * to end by a time-out needs that much more of it. Measured by run_ranks.py --paced, or by ranks_pace_measure. */
double ranks_pace(void);
void ranks_pace_measure(void);
void ranks_pause(double seconds); /* times the pace */

/* A communicator of all ranks. */
ncclComm_t ranks_comm(const ranks_t *ranks);

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition, \
                    ncclGetLastError(NULL)); \
            _exit(1); \
        } \
    } while (0)

/* Everything on the stream has run. */
#define SYNC(stream) CHECK(hostncclStreamWait(stream, RANKS_SECONDS) == 0)

#endif
