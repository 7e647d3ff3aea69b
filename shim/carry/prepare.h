/* Makes sure that every rank has what a planned call takes: routes, memory for jobs, scratch. */
#ifndef HM_PREPARE_H
#define HM_PREPARE_H

#include "carry.h"
#include "know/know.h"

/* Prepares a call at load->depth and sets load->width. What a rank lacks it says in a vote, which all ranks hold
 * because all see that it is due. *reason: HM_REASON_NONE, or why the call is left alone; the same on all ranks. 0, or
 * the communicator is lost. */
int prepare_run(hm_carry_t *carry, hm_channel_t *channel, hm_load_t *load, hm_reason_t *reason);

#endif
