/* The hiermoe command's subcommands: one table in main.c, one function each. */
#ifndef HM_COMMAND_H
#define HM_COMMAND_H

#include <stddef.h>

enum { EXIT_BAD_INPUT = 2 };

/* argv[0] is the subcommand's name. Returns the exit status. */
int plan_main(int argc, char **argv);
int profile_main(int argc, char **argv);
int fit_main(int argc, char **argv);
int settings_main(int argc, char **argv);
int counters_main(int argc, char **argv);

/* Says "hiermoe: ..." on stderr and returns EXIT_BAD_INPUT. */
__attribute__((format(printf, 1, 2))) int command_fail(const char *format, ...);

/* A whole file in memory, freed by the caller; NULL after command_fail said why. At most `most` bytes. */
char *input_read(const char *path, size_t most, size_t *length);

#endif
