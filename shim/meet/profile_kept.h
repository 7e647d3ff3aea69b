/* What this process measured as rank 0, for its later communicators: one profile for each kind of wires, the latest.
 * Any thread. */
#ifndef HM_PROFILE_KEPT_H
#define HM_PROFILE_KEPT_H

#include "door/comm.h"

#include "planner/wires/profile.h"

/* Whether no fewer ranks than those of `here` measured such wires before: then *profile is what they found. */
bool profile_kept_take(const hm_profile_t *here, hm_profile_t *profile);

/* Keeps a measured profile, and writes it to HIERMOE_FIT_FILE unless that has one that says more. */
void profile_kept_add(const hm_comm_t *comm, const hm_profile_t *profile);

#endif
