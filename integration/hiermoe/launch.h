/* The command line of a job, with what makes its launcher hand the environment on. */
#ifndef HM_LAUNCH_H
#define HM_LAUNCH_H

#include "program.h"

#include <stddef.h>

/* Returns the command with added or changed words, for names of the environment that ranks must get: -x for Open MPI,
 * --export for srun; other launchers hand all on. The words and the array are never freed. NULL: out of memory. */
char **launch_command(hm_launcher_t launcher, char **command, const char *const *names, size_t count);

#endif
