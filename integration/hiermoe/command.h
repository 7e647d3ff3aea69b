/* The hiermoe command: one function for each subcommand, listed in main.c, and what they share. */
#ifndef HM_COMMAND_H
#define HM_COMMAND_H

#include <stddef.h>

enum { HM_EXIT_BAD_INPUT = 2 };

/* argv[0] is the subcommand's name. Returns the exit status. */
int run_main(int argc, char **argv);
int info_main(int argc, char **argv);
int plan_main(int argc, char **argv);
int profile_main(int argc, char **argv);
int fit_main(int argc, char **argv);
int settings_main(int argc, char **argv);
int counters_main(int argc, char **argv);

/* Says "hiermoe: ..." with a line end on stderr and returns HM_EXIT_BAD_INPUT. */
__attribute__((format(printf, 1, 2))) int command_fail(const char *format, ...);

/* Reads a whole file of at most `most` bytes. Freed by the caller; NULL after saying why. */
char *input_read(const char *path, size_t most, size_t *length);

#endif
