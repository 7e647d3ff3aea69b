/* What calls took on their stream, read without waiting: when a call has waited for its table, the call before
 * the last is over. Its times travel in the next table, and all ranks refine their predictions alike. */
#ifndef HM_TIMING_H
#define HM_TIMING_H

#include "state.h"

/* Begins call number ++timing->calls: what the last but one took is read first. */
void timing_begin(const hm_comm_t *comm, hm_a2a_state_t *state);

/* The call's stream is behind all earlier work; only the first time of a call counts. */
void timing_joined(hm_a2a_state_t *state, void *stream);

/* The table is here and judged: what follows is the transfer. */
void timing_agreed(hm_a2a_state_t *state, void *stream);

/* A part of the transfer is enqueued. Only marked where HIERMOE_DEBUG=TRACE wants to know. */
void timing_step(hm_a2a_state_t *state, void *stream);

/* What is predicted for the transfer: depth, size and times of *planned. */
void timing_plan(hm_a2a_state_t *state, const hm_timed_t *planned);

/* The transfer is enqueued. */
void timing_end(hm_a2a_state_t *state, void *stream);

/* Takes the times of one earlier call from the agreed table: lead of the rank that came last, transfer of the slowest.
 * `known`: every rank had read both. */
void timing_learn(hm_comm_t *comm, hm_a2a_state_t *state, bool known, uint32_t lead_us, uint32_t transfer_us);

#endif
