/* Profiles in files: read by rank 0, written by hiermoe fit's job. */
#ifndef HM_PROFILE_FILE_H
#define HM_PROFILE_FILE_H

#include "door/comm.h"

#include "planner/wires/profile.h"

/* A built-in profile or a file of this name. false: said once for each cause, *profile unchanged. */
bool profile_file_load(const hm_comm_t *comm, const char *name, hm_profile_t *profile);

/* Whole or not at all: readers may come at any time. 0 or a negative errno. */
int profile_file_write(const char *path, const hm_profile_t *profile);

#endif
