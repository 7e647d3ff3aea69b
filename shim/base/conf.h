/* Settings files, which stand behind the environment: the user's, then the machine's. A line is NAME=VALUE; blanks
 * around either, empty lines and lines that begin with # do not count. The first line for a name counts. */
#ifndef HM_CONF_H
#define HM_CONF_H

#include <stdbool.h>
#include <stddef.h>

enum { HM_CONF_USER, HM_CONF_MACHINE, HM_CONFS };

typedef struct hm_conf_line {
    const char *path; /* the file's */
    int number;       /* of the line, from 1 */
    const char *name, *value;
    int name_length, value_length; /* -1: the line is not NAME=VALUE, and name its text */
} hm_conf_line_t;

/* Reads the files, in place of those read before: what HIERMOE_CONF_FILE names, or ~/.hiermoe.conf, and
 * /etc/hiermoe.conf; none at all where it is "none". What is not there counts as empty. No other thread may be in one
 * of these functions. */
void conf_load(void);

/* Sets *line to the next line that is not empty, of all files from the first on; `*line = (hm_conf_line_t){0}` begins.
 * What it points to stays until conf_load. false: there is none. */
bool conf_next(hm_conf_line_t *line);

/* The first line that gives this name a value that is not empty. */
bool conf_find(const char *name, hm_conf_line_t *line);

/* A file that is there, or that the user named, and cannot be read: writes why into text. false: there is none. */
bool conf_complaint(int file, char *text, size_t size);

#endif
