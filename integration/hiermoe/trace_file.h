/* Reads a routing trace (planner/trace.h) from a file. */
#ifndef HM_TRACE_FILE_H
#define HM_TRACE_FILE_H

#include "trace.h"

/* 0 with *trace set, to be freed with trace_free; EXIT_BAD_INPUT said on stderr. */
int trace_file_read(const char *path, hm_trace_t *trace);

#endif
