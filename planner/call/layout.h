/* Where messages lie in a rank's scratch, and how much of it a call needs. */
#ifndef HM_LAYOUT_H
#define HM_LAYOUT_H

#include "route.h"
#include "table.h"

/* Areas of one call on one rank: the messages of all lanes, lane after lane. */
typedef struct hm_layout {
    size_t out_bytes, in_bytes; /* sizes of the two areas so far */
} hm_layout_t;

/* Sets the sizes and offsets of all messages of a lane for one call, behind what *layout holds. width: of a piece. */
void layout_fill(hm_route_t *route, const hm_table_t *table, size_t width, hm_layout_t *layout);

/* Upper bound of the scratch in bytes, areas and row lists, that any rank needs for pieces of `width` bytes; the same
 * on all ranks. paths: of all lanes; distinct: [ranks] distinct rows of each source; work: [ranks] to count in.
 * O(ranks^2). */
size_t layout_need(hm_paths_t *const *paths, const hm_table_t *table, const uint32_t *distinct, size_t width,
                   size_t *work);

#endif
