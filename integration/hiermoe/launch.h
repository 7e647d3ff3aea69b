/* The command line of a job, with what makes its launcher hand the environment on. */
#ifndef HM_LAUNCH_H
#define HM_LAUNCH_H

#include "program.h"

/* Returns the command with added or changed words, so that ranks get LD_PRELOAD, PYTHONPATH and all settings in the
 * environment: -x for Open MPI, --export for srun; other launchers hand all on. The words and the array are never
 * freed. NULL: out of memory. */
char **launch_words(char **command);

#endif
