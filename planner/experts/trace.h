/* Routing traces: the experts that a real router chose.
 *
 * One ASCII line "HMTRACE1 ranks=R layers=L tokens=T topk=K experts=E\n" (plain decimal numbers without leading zeros,
 * single blanks), then exactly R*L*T*K little-endian uint16_t expert ids in the order [rank][layer][token][k]. The
 * experts of one token differ from each other. */
#ifndef HM_TRACE_H
#define HM_TRACE_H

#include "parse_error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct hm_trace {
    int ranks, layers, top_k, experts;
    size_t tokens; /* of one rank and layer */
    uint16_t *ids; /* [ranks][layers][tokens][top_k] */
} hm_trace_t;

/* Reads a trace from memory (need not be aligned). 0 with *trace set, whose ids trace_free frees; -EINVAL or -ENOMEM
 * with *error filled and *trace unchanged. */
int trace_parse(const void *data, size_t length, hm_trace_t *trace, hm_parse_error_t *error);
void trace_free(hm_trace_t *trace);

/* The ids of one rank and layer. */
const uint16_t *trace_source(const hm_trace_t *trace, int rank, int layer);

#endif
