/* Reads a routing trace (planner/experts/trace.h) from a file. */
#ifndef MP_TRACE_FILE_H
#define MP_TRACE_FILE_H

#include "../../planner/experts/trace.h"

/* 0 with *trace set, to be freed with trace_free; a negative errno with a sentence in why[why_bytes] that names the
 * file and what was expected there. */
int trace_file_read(const char *path, hm_trace_t *trace, char *why, size_t why_bytes);

#endif
