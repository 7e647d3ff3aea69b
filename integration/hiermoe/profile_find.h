/* Finds a profile by what the user calls it. */
#ifndef HM_PROFILE_FIND_H
#define HM_PROFILE_FIND_H

#include "overlap/overlap_text.h"
#include "wires/profile.h"

/* name: a built-in profile, a file, or "prior:KIND,..." for `topo` (NULL if it is not known). 0, or the exit status,
 * said.
 */
int profile_find(const char *name, const hm_topo_t *topo, hm_profile_t *profile);

/* Reads a file. 0, or the exit status, said with the line that is wrong. */
int profile_read(const char *path, hm_profile_t *profile);

/* Finds a profile with its lines that say how a step overlaps. Without such lines: needed, said; else overlap->layers
 * is 0. Returns as profile_find. */
int overlap_find(const char *name, bool needed, hm_profile_t *profile, hm_overlap_text_t *overlap);

#endif
