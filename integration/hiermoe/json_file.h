/* Writes what a subcommand found as JSON. */
#ifndef HM_JSON_FILE_H
#define HM_JSON_FILE_H

#include <jansson.h>

#include <stdbool.h>

/* path "-" is standard output. Takes root, which may be NULL for want of memory. 0, or the exit status, having said
 * why. */
int json_file_write(json_t *root, const char *path);

/* Whether JSON goes to standard output, and nothing else may. path may be NULL. */
bool json_file_alone(const char *path);

#endif
