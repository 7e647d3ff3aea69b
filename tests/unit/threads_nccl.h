/* A NCCL for tests whose ranks are threads of one process: groups of sends and receives and the all-gather, executed at
 * once, or on the stream that they are given (streams.h). Holds NCCL's rules strictly: first in first out per pair,
 * equal byte counts, every operation matched in time. */
#ifndef THREADS_NCCL_H
#define THREADS_NCCL_H

#include "../../shim/door/real.h"

#include <stdbool.h>

typedef struct threads_world threads_world_t;

/* Sets up `ranks` communicators: handle r belongs to rank r. */
threads_world_t *threads_world_create(int ranks);
void threads_world_destroy(threads_world_t *world);
ncclComm_t threads_world_comm(threads_world_t *world, int rank);

/* 0 while no rule was broken; a broken rule is said on stderr. */
int threads_world_errors(threads_world_t *world);
/* Says that a rank makes no calls for now: others that wait for it are told at once that it does not come. */
void threads_world_away(threads_world_t *world, int rank, bool away);
/* Messages left unreceived; 0 after a clean run. */
int threads_world_unmatched(threads_world_t *world);
/* All calls that wait, and those yet to come, end with an error, as after ncclCommAbort on every rank. */
void threads_world_stop(threads_world_t *world);
/* Bytes sent from ranks to others since the last call. */
size_t threads_world_bytes(threads_world_t *world);

/* The calls that the shim makes, as a table of real functions. */
const hm_real_t *threads_real(void);

#endif
