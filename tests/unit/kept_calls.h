/* A communicator whose ranks make the calls of one MoE layer in guided mode, one call at a time. */
#ifndef KEPT_CALLS_H
#define KEPT_CALLS_H

#include "tokens.h"

#define RANKS 6
#define WIDTH 64 /* elements of a row */

extern random_t source;
extern world_t world;
extern tokens_t tokens;
extern hiermoe_announcement_t what[RANKS]; /* of the next call */

/* The handles of one dispatch, by rank. */
typedef struct kept {
    hiermoe_handle_t handle[RANKS];
} kept_t;

int set_up(void **state);
int tear_down(void **state);
/* A dispatch of new bytes, and its handles. */
kept_t dispatch(void);
void announce_after(uint32_t role, const kept_t *kept);
/* A call after a dispatch as announced now: right whatever becomes of it. Whether it was carried out. */
bool after(uint32_t role);
bool along(uint32_t role, const kept_t *kept);
void release(const kept_t *kept);
size_t held(int rank);
uint64_t left(hm_reason_t reason);
void refused(hm_reason_t reason);

#endif
