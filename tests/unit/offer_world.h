/* Communicators whose ranks may differ in the profile they ask for, and the one profile that all come to have. */
#ifndef OFFER_WORLD_H
#define OFFER_WORLD_H

#include "../../planner/wires/profile.h"
#include "world.h"

#define RANKS 8

/* Fails the test unless every digit of every number is the same. */
void assert_profile_equal(const hm_profile_t *a, const hm_profile_t *b);
/* A few calls on a new communicator of RANKS where rank `which` (none: -1) has settings of its own; returns the profile
 * that all ranks have, after it was seen that they do. */
hm_profile_t profile_of_all(random_t *source, int which, const hm_settings_t *own, int calls);

#endif
