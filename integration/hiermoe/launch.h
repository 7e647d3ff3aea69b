/* The command line of a job, with what makes its launcher hand the environment on. */
#ifndef HM_LAUNCH_H
#define HM_LAUNCH_H

#include "program.h"

/* Returns a copy of the command with added or changed words, so that ranks get LD_PRELOAD, PYTHONPATH and all settings
 * in the environment: -x for Open MPI, --export for srun; other launchers hand all on. To be given to launch_free.
 * NULL: out of memory. */
char **launch_words(char *const *command);
void launch_free(char **words);

#endif
