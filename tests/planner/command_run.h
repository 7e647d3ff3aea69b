/* The hiermoe command as its tests run it: in a new folder, which goes when the tests end. */
#ifndef HM_COMMAND_RUN_H
#define HM_COMMAND_RUN_H

#include "planner_test.h"

/* Set-up and teardown of a group of tests. */
int command_folder_make(void **state);
int command_folder_remove(void **state);
const char *command_folder(void);

/* Runs the command with these arguments; returns its exit status, output and errors together in text. */
int command_run(const char *arguments, char *text, size_t size);

void command_file_write(const char *name, const void *data, size_t size);

#endif
