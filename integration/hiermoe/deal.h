/* Gives the tokens of a trace to any number of ranks. */
#ifndef HM_DEAL_H
#define HM_DEAL_H

#include "experts/trace.h"

/* Copies the tokens that simulated rank `source` gets of a layer to ids [tokens][top_k]. Ranks take the trace's tokens
 * in order, `tokens` each. After the last token the trace begins again, a bit further on every time, so that later
 * ranks get other runs and all tokens are used equally often. With the trace's own numbers of ranks and tokens, every
 * rank gets its own tokens. Never fails; any thread. */
void deal_source(const hm_trace_t *trace, int layer, size_t source, size_t tokens, uint16_t *ids);

#endif
