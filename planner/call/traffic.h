/* Bytes that every rank sends and receives in one all-to-all, as the executor's messages carry them, heads included. */
#ifndef HM_TRAFFIC_H
#define HM_TRAFFIC_H

#include "table.h"

#include <stdbool.h>

/* The flat exchange, of plain rows or (depth 1) of messages with heads. bytes: [4 * ranks] sent to other outermost
 * groups, received from them, then sent and received inside groups. */
void traffic_flat(const hm_topo_t *topo, const hm_table_t *table, bool messages, double *bytes);

/* A call at `depth` >= 1 whose rows are cut into pieces of `width` bytes, over `lanes` (1, or from depth 2 on
 * topo_lanes) and as many slices as that takes. By step and used level (both counted from 0, each < depth):
 * bytes[((step * depth + level) * 2 + received) * ranks + rank]. scratch: traffic_scratch doubles. */
void traffic_deep(const hm_topo_t *topo, const hm_table_t *table, int depth, int lanes, size_t width, double *bytes,
                  double *scratch);
/* The same for a call along the way of a dispatch with this table: there are no heads. back: what the dispatch sent
 * comes in, its last step is the first (shim/carry/back.h); else the same way again. table->row_bytes and width are
 * those of the call. */
void traffic_flat_kept(const hm_topo_t *topo, const hm_table_t *table, bool messages, bool back, double *bytes);
void traffic_deep_kept(const hm_topo_t *topo, const hm_table_t *table, int depth, int lanes, size_t width, bool back,
                       double *bytes, double *scratch);
size_t traffic_scratch(const hm_topo_t *topo, int depth);

#endif
