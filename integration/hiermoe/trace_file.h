/* Reads a trace from a file, or from a folder of Megatron-core's router traces. */
#ifndef HM_TRACE_FILE_H
#define HM_TRACE_FILE_H

#include "experts/trace.h"

/* The format is told by the name: a folder or .jsonl (Megatron-core's --moe-routing-trace-path), .npy, .csv, else ours.
 * Formats other than ours do not say how many experts there are: `experts`, or where that is 0 or too few one more than
 * the largest id. 0, or the exit status, said. */
int trace_file_read(const char *path, long experts, hm_trace_t *trace);

/* What the formats' readers return: ids in trace order, of their own memory. Each returns 0, or the exit status, said.
 */
int trace_jsonl_read(const char *path, hm_trace_t *trace); /* a file, or a folder of router_trace_rank*.jsonl */
int trace_csv_read(const char *path, hm_trace_t *trace);   /* a token a line; one rank, one layer */
int trace_npy_read(const char *path, hm_trace_t *trace);   /* [[[ranks,] layers,] tokens, top_k], whole numbers */

#endif
