#include "deal.h"

#include <string.h>

void deal_source(const hm_trace_t *trace, int layer, size_t source, size_t tokens, uint16_t *ids)
{
    size_t all = (size_t)trace->ranks * trace->tokens, top_k = (size_t)trace->top_k;
    /* Near the golden ratio of a rank's tokens, so that the shifts of later rounds lie far apart; odd, because many
     * totals are powers of two. */
    size_t shift = (size_t)(0.618 * (double)tokens) | 1;
    for (size_t at = source * tokens, end = at + tokens; at < end;) {
        size_t token = (at % all + at / all * shift) % all, first = token % trace->tokens;
        size_t run = trace->tokens - first;
        if (run > all - at % all) run = all - at % all;
        if (run > end - at) run = end - at;
        memcpy(ids, trace_source(trace, (int)(token / trace->tokens), layer) + first * top_k,
               run * top_k * sizeof(*ids));
        ids += run * top_k;
        at += run;
    }
}
