/* Finds a profile by what the user calls it. */
#ifndef HM_PROFILE_FIND_H
#define HM_PROFILE_FIND_H

#include "wires/profile.h"

/* name: a built-in profile, a file, or "prior:KIND,..." for `topo` (NULL if it is not known). 0, or the exit status,
 * said.
 */
int profile_find(const char *name, const hm_topo_t *topo, hm_profile_t *profile);

/* Reads a file. 0, or the exit status, said with the line that is wrong. */
int profile_read(const char *path, hm_profile_t *profile);

#endif
