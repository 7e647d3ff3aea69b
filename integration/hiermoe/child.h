/* Short helper processes, and what they print. */
#ifndef HM_CHILD_H
#define HM_CHILD_H

#include <stddef.h>
#include <stdio.h>

enum { HM_CHILD_OUTPUT = 1, HM_CHILD_ERRORS = 2 };

/* Runs a program with LD_PRELOAD set to `preload`, or without it for NULL, nothing to read and at most 60 seconds of
 * time, and reads what it writes to descriptor `from` into text, cut at size; the other one goes nowhere. Returns its
 * exit status as a shell does, or -1 where it could not be started. */
int child_read(char *const *argv, const char *preload, int from, char *text, size_t size);

/* The same of a function: loading a foreign library must not end, or stay in, this process. Returns 0 where it
 * returned.
 */
int child_ask(void (*ask)(const char *what, FILE *out), const char *what, char *text, size_t size);

#endif
