/* Verbs that are programs of their own, found beside the command: hiermoe NAME runs libexec/hiermoe/hiermoe-NAME. */
#ifndef HM_VERB_H
#define HM_VERB_H

#include <stddef.h>
#include <stdio.h>

/* This program's file, links resolved. 0, or the exit status, said. */
int verb_own_path(char *path, size_t size);

/* Becomes the program of argv[0], which gets the same arguments. Returns only where that fails: -1 where there is no
 * such program, else the exit status, said. */
int verb_exec(char **argv);

/* One line for each program that is there. */
void verb_list(FILE *out);

#endif
