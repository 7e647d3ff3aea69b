/* Carries out a planned all-to-all on the job's communicator and stream. */
#ifndef HM_EXEC_H
#define HM_EXEC_H

#include "state.h"

/* Enqueues the whole call at `depth` in pieces of `width` bytes a row. The agreed table is state->table; scratch and
 * route of the depth are there. Nothing waits. ncclSuccess, or the error NCCL or the device gave. */
ncclResult_t exec_run(const hm_call_t *call, hm_a2a_state_t *state, int depth, size_t width,
                      const hm_identity_t *identity);

#endif
