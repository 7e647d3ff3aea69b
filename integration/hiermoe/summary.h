/* What the library did in a job, from the statistics that its ranks left. */
#ifndef HM_SUMMARY_H
#define HM_SUMMARY_H

#include <jansson.h>

#include <stdbool.h>

/* The last line of each communicator that ranks wrote at or after `since` (seconds since 1970) into files of this
 * pattern (HIERMOE_STATS_FILE: %h, %p, %r stand for anything), by host, process and communicator; to be given back.
 * NULL: out of memory. */
json_t *summary_read(const char *pattern, double since);

/* Says on standard error what they amount to, in up to four lines. killed: a signal ended the job, so that ranks may
 * have left none. */
void summary_say(const json_t *lines, bool killed);

#endif
