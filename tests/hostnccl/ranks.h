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

/* Forks `ranks` processes that run body(), and waits up to `seconds` for them; late ones are killed. Returns how many
 * did not end well. What they said on stderr is in `said` (may be NULL) and on stderr too if any failed. */
int ranks_run(int ranks, void (*body)(const ranks_t *), double seconds, char *said, size_t size);

/* The ranks that nodes.sh started: reads RANK, WORLD_SIZE and HOSTNCCL_ID_FILE, where rank 0 leaves the id. Returns
 * false with a sentence on stderr if they are not set, or no id turned up for 30 s. */
bool ranks_from_environment(ranks_t *ranks);

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

/* Everything on the stream has run, in good time. */
#define SYNC(stream) CHECK(hostncclStreamWait(stream, 30) == 0)

#endif
