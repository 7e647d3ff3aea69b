/* Reads a routing trace (planner/experts/trace.h) from a file. */
#ifndef HM_TRACE_FILE_H
#define HM_TRACE_FILE_H

#include "experts/trace.h"

/* 0 with *trace set, which trace_free() frees; or the exit status, said. */
int trace_file_read(const char *path, hm_trace_t *trace);

#endif
