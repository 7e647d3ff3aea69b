/* Routing traces: the line "HMTRACE1 ranks=R layers=L tokens=T topk=K experts=E\n", then R*L*T*K little-endian uint16_t
 * expert ids in the order [rank][layer][token][k], and nothing more. */
#ifndef HM_TRACE_FILE_H
#define HM_TRACE_FILE_H

#include "count.h"

/* Reads a trace file. trace->ids is then freed by the caller through *memory. 0, or EXIT_BAD_INPUT said on stderr. */
int trace_load(const char *path, hm_trace_t *trace, void **memory);

#endif
