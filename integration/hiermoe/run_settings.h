/* Settings as options: --min-bytes 1M stands for HIERMOE_MIN_BYTES=1M. */
#ifndef HM_RUN_SETTINGS_H
#define HM_RUN_SETTINGS_H

#include <stdbool.h>
#include <stdio.h>

/* Puts a setting into the environment by the name of its option (without the dashes) or of its variable. 0, or the exit
 * status, said with the name that was most likely meant. */
int run_setting_set(const char *verb, const char *name, const char *value);

/* Whether there is an option of that name. */
bool run_setting_exists(const char *option);

/* Holds the values in the environment and the files against what is accepted: 0, or the exit status, said. */
int run_settings_check(const char *verb);

/* The value in effect of a variable. */
const char *run_setting_value(const char *name);

/* Copies of the names of the environment that begin with HIERMOE_, at most `most`, to be freed. Returns how many. */
size_t run_settings_names(char **names, size_t most);

/* The rows of --help. */
void run_settings_help(FILE *out);

#endif
