/* What a command line runs in the end: behind launchers and wrappers, and behind the first line of scripts. */
#ifndef HM_PROGRAM_H
#define HM_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

/* How a launcher hands the environment on to ranks. */
typedef enum hm_launcher {
    HM_LAUNCHER_NONE,    /* by inheritance: plain programs, torchrun, wrappers */
    HM_LAUNCHER_OPENMPI, /* to other machines only what -x names */
    HM_LAUNCHER_MPI,     /* Hydra and others: all of it */
    HM_LAUNCHER_SRUN     /* what --export and SLURM_EXPORT_ENV say */
} hm_launcher_t;

/* By the name of the command, and of an MPI's launcher by what its --version says. */
hm_launcher_t launcher_of(const char *command);

/* The file of a command as the shell finds it. false: there is none. */
bool program_path(const char *name, char path[PATH_MAX]);

/* The program that the command runs in the end, as far as its words tell; for a script its interpreter. false: none of
 * them is a program of this machine. */
bool program_find(char *const *command, char path[PATH_MAX]);

bool program_is_python(const char *path);

#endif
