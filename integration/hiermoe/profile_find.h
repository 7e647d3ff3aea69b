/* Finds a profile by what the user calls it. */
#ifndef HM_PROFILE_FIND_H
#define HM_PROFILE_FIND_H

#include "profile.h"

/* name: a built-in one, a file, or "prior:KIND,..." for `topo` (NULL if unknown yet). 0, or EXIT_BAD_INPUT said. */
int profile_find(const char *name, const hm_topo_t *topo, hm_profile_t *profile);

#endif
