/* Routing traces: the experts that a real router chose.
 *
 * One ASCII line "HMTRACE1 ranks=R layers=L tokens=T topk=K experts=E\n" (numbers in plain decimal, no leading zeros,
 * single blanks), then R*L*T*K little-endian uint16 expert ids in the order [rank][layer][token][k], and nothing more.
 * The experts of one token differ from each other. */
#ifndef MP_TRACE_H
#define MP_TRACE_H

#include <stddef.h>
#include <stdint.h>

typedef struct mp_trace {
    int ranks, layers, topk, experts;
    size_t tokens;
    uint16_t *expert; /* [ranks][layers][tokens][topk], owned */
} mp_trace_t;

/* Reads a trace from memory. `name` is for messages only. 0 with *trace set; -EINVAL or -ENOMEM with a sentence in
 * why[why_bytes] that names the file and what was expected there. */
int trace_parse(const void *data, size_t bytes, const char *name, mp_trace_t *trace, char *why, size_t why_bytes);

/* Reads a trace from a file; as trace_parse, or another negative errno where the file cannot be read. */
int trace_read(const char *path, mp_trace_t *trace, char *why, size_t why_bytes);

void trace_free(mp_trace_t *trace);

#endif
