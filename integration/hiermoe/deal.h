/* Tokens of a trace for ranks that the trace does not have. */
#ifndef HM_DEAL_H
#define HM_DEAL_H

#include "trace.h"

/* Copies to ids ([tokens][top_k]) what rank `source` of the simulated ones gets of a layer: the next `tokens` tokens of
 * the trace, whose ranks follow each other, after what the ranks before it got. At its end the trace begins again, each
 * time some tokens further on and round to there, so that later ranks get other runs; all tokens are used alike. With
 * the trace's own numbers of ranks and tokens every rank gets its own. */
void deal_source(const hm_trace_t *trace, int layer, size_t source, size_t tokens, uint16_t *ids);

#endif
