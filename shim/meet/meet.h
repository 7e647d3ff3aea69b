/* The first meeting of a communicator's ranks, once, before anything is replaced: words, topology, profile. */
#ifndef HM_MEET_H
#define HM_MEET_H

#include "parts.h"

/* Exchanges versions, settings and seats with all ranks on the channel's stream, and fills in place, profile and all
 * else that calls need. true: agreements may follow. false: the communicator was closed, or failed because a rank
 * stayed silent (named in a message) or the exchange broke; where it is neither, some rank's stream was held back, and
 * all ranks leave the call alone and try again at a later one. Waits for the slowest rank, at most HIERMOE_TIMEOUT
 * seconds. */
bool meet_run(hm_parts_t *parts);

#endif
