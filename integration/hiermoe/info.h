/* What hiermoe info knows, as JSON from which its text is made. Objects are to be given back; NULL: out of memory. */
#ifndef HM_INFO_H
#define HM_INFO_H

#include <jansson.h>

/* This machine: "driver", "gpus", "peer_access", "numa_nodes", "adapters" (InfiniBand and RoCE). */
json_t *info_machine(void);

/* Copies of NCCL that a job may come to: a list of "path", "version", "of". */
json_t *info_nccl(void);

/* Every setting with value, source and meaning; other variables that the library heeds; complaints. */
json_t *info_settings(void);

/* Prints the settings as a file that can be used as one. */
void info_settings_print(const json_t *settings);

/* hiermoe info --check -- COMMAND. library: named by the user, or NULL. The exit status: 1 where something is bad. */
int info_check(const char *library, char **command, int json);

#endif
