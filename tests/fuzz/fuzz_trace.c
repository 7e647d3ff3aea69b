/* libFuzzer target: the routing trace parser. What it accepts must be in range. */
#include "../moe_perf/trace.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char why[256];
    mp_trace_t trace;
    if (trace_parse(data, bytes, "input", &trace, why, sizeof(why))) return 0;
    size_t entries = (size_t)trace.ranks * (size_t)trace.layers * trace.tokens * (size_t)trace.topk;
    for (size_t i = 0; i < entries; i++)
        if (trace.expert[i] >= trace.experts) abort();
    trace_free(&trace);
    return 0;
}
