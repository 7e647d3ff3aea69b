/* libFuzzer target: the routing trace parser. What it takes must be in range, what it does not is said. */
#include "fuzz_seed.h"

#include "experts/trace.h"

#include <stdlib.h>

const char *const fuzz_seed[] = {
    "HMTRACE1 ranks=2 layers=1 tokens=1 topk=2 experts=65535\n\x01\x01\x02\x01\x03\x01\x01\x02",
    "HMTRACE1 ranks=1 layers=2 tokens=1 topk=1 experts=300\n\x01\x01\x02\x01", "HMTRACE1 ranks=4096 layers=4096\n",
    NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hm_parse_error_t error = {.line = -1};
    hm_trace_t trace;
    if (trace_parse(data, size, &trace, &error) != 0) {
        if (error.line < 0 || error.text[0] == '\0') abort();
        return 0;
    }
    size_t entries = (size_t)trace.ranks * (size_t)trace.layers * trace.tokens * (size_t)trace.top_k;
    if (2 * entries >= size) abort();
    for (size_t i = 0; i < entries; i++)
        if (trace.ids[i] >= trace.experts) abort();
    trace_free(&trace);
    return 0;
}
