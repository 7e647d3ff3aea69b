#include "state.h"

#include <errno.h>
#include <stdlib.h>

#define RANKS_MAX 1024 /* the agreed table grows with the square of the ranks */

int state_create(hm_comm_t *comm, hm_reason_t *reason)
{
    *reason = HM_REASON_TOO_MANY_RANKS;
    if (comm->ranks > RANKS_MAX) return -E2BIG;
    *reason = HM_REASON_NO_MEMORY;
    hm_state_t *state = calloc(1, sizeof *state);
    if (state == NULL) return -ENOMEM;
    int status = channel_open(&state->parts.channel, comm, reason);
    if (status != 0) {
        free(state);
        return status;
    }
    know_init(&state->parts.know);
    pthread_mutex_init(&state->lock, NULL);
    comm->state = state;
    return 0;
}

void state_destroy(hm_comm_t *comm)
{
    hm_state_t *state = comm->state;
    if (state == NULL) return;
    comm->state = NULL;
    /* After an abort near ranks may still read here; what they read stays. */
    parts_free(&state->parts, atomic_load(&comm->aborted) || comm_failure(comm) != ncclSuccess);
    pthread_mutex_destroy(&state->lock);
    free(state);
}
