/* Carries out a planned and prepared all-to-all on the job's communicator and stream. */
#ifndef HM_EXEC_H
#define HM_EXEC_H

#include "know/clock.h"
#include "run.h"

/* A call as it lies in scratch: also after exec_run, for those who read its lists and maps before anything else is
 * enqueued. */
hm_run_t exec_open(const hm_load_t *load, hm_carry_t *carry, hm_channel_t *channel);

/* Enqueues the whole call at load->depth in pieces of load->width bytes a row. Nothing waits. ncclSuccess, or the error
 * NCCL or the device gave. */
ncclResult_t exec_run(const hm_load_t *load, hm_carry_t *carry, hm_channel_t *channel, hm_clock_t *clock);

#endif
