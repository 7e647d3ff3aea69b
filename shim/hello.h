/* The ranks of a communicator meet: the first agreement, before anything is replaced. */
#ifndef HM_HELLO_H
#define HM_HELLO_H

#include "state.h"

/* Exchanges versions, settings and places with all ranks, on the call's communicator and stream, and sets state->met,
 * or closes the communicator or marks it as failed. Waits for the slowest rank, at most HIERMOE_TIMEOUT seconds; silent
 * ranks are then named. */
void hello_run(const hm_call_t *call, hm_a2a_state_t *state);

#endif
