/* The hiermoe command as its tests run it: in a new folder, which goes when the tests end. */
#ifndef HM_COMMAND_RUN_H
#define HM_COMMAND_RUN_H

#include "planner_test.h"

#include <jansson.h>

/* Set-up and teardown of a group of tests. */
int command_folder_make(void **state);
int command_folder_remove(void **state);
const char *command_folder(void);

/* Runs the command with these arguments; returns its exit status, output and errors together in text. */
int command_run(const char *arguments, char *text, size_t size);

typedef struct command_refusal {
    const char *arguments, *says;
} command_refusal_t;

/* Fails the test unless the command ends with 2 and says so, for each of them. */
void command_refuses(const command_refusal_t *cases, size_t count);

/* What hiermoe plan prints as JSON with these options, to be given back; the test fails where it is none. */
json_t *command_json(const char *options);

/* The same, from a file, and into text what one run says besides. */
json_t *command_both(const char *options, char *text, size_t size);

/* A member of it that must be there: of one of its objects, and a whole number. */
double command_number(const json_t *root, const char *object, const char *key);
long command_whole(const json_t *root, const char *key);

void command_file_write(const char *name, const void *data, size_t size);

#endif
