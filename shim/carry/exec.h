/* Carries out a planned and prepared all-to-all on the job's communicator and stream. */
#ifndef HM_EXEC_H
#define HM_EXEC_H

#include "carry.h"
#include "know/clock.h"

/* Enqueues the whole call at load->depth in pieces of load->width bytes a row. Nothing waits. ncclSuccess, or the error
 * NCCL or the device gave. */
ncclResult_t exec_run(const hm_load_t *load, hm_carry_t *carry, hm_channel_t *channel, hm_clock_t *clock);

#endif
