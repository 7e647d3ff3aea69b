/* A communicator of four ranks as threads with a stream each, which can be held. A rank whose stream is held loses its
 * patience soon, the others never: a call that waits for a held stream waits for ever. */
#ifndef GATES_H
#define GATES_H

#include "world.h"

#define RANKS 4
#define ALL 15 /* ranks, a bit each */

extern world_t world;
extern random_t source;
extern hm_settings_t impatient; /* of ranks whose stream is held */
extern bool gates_lost;         /* set where the communicator is aborted: what its ranks said does not add up then */

int gates_setup(void **context);
int gates_teardown(void **context);

/* The streams of these ranks are held from now on, and no others, until gate_open. */
void gates_hold(unsigned ranks);
void gate_open(int rank);
void gates_open(void);

/* A call whose buffers are checked and freed by call_finish, once its streams are let go. */
void call_make(exchange_t *exchange);
void call_finish(exchange_t *exchange);
/* Both at once. Whether it was replaced, alike on all ranks. */
bool call(void);
/* One call with held streams, each of which its rank's thread lets go when the call has returned. */
bool call_held(unsigned ranks);

/* Calls that a rank left alone for held streams. */
uint64_t calls_left(int rank);
hm_hold_t *hold_of(int rank);
/* The next call is looked at, whatever was held before. */
void holds_forget(void);
/* Calls until one is replaced; by then `expected` were left alone for held streams on each rank, and nothing was said.
 */
void calls_until_replaced(uint64_t expected);

#endif
