/* One source's rows in buffer order, shared by layout.c and volume.c. */
#ifndef MP_LAYOUT_ROWS_H
#define MP_LAYOUT_ROWS_H

#include "layout.h"

/* start[e]: first row of expert e in the source's send buffer, for e <= experts. Returns all rows. */
size_t layout_rows_start(const mp_routing_t *routing, int layer, int source, size_t capacity, size_t *start);

/* The tokens in the rows of experts first..end-1, MP_PAD in unused ones. next: [experts] work memory. */
void layout_rows_fill(const mp_routing_t *routing, int layer, int source, const size_t *start, int first, int end,
                      size_t *next, uint32_t *token);

#endif
