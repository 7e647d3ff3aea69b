/* What the library keeps per communicator while it replaces calls. */
#ifndef HM_STATE_H
#define HM_STATE_H

#include "meet/parts.h"

#include <pthread.h>

/* Made by the first call, freed by state_destroy (door/call.h). */
typedef struct hm_state {
    pthread_mutex_t lock; /* held by the call that works on the parts */
    bool met;             /* the first meeting is over: agreements may follow unless the communicator's fate says no */
    hm_parts_t parts;
} hm_state_t;

/* Makes comm->state without talking to anyone. 0, or a negative errno with *reason set: NO_MEMORY where this rank lacks
 * what it would say so with; TOO_MANY_RANKS or NO_BACK_END where it is so on all ranks. */
int state_create(hm_comm_t *comm, hm_reason_t *reason);

#endif
