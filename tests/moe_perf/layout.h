/* Which row lies where in a rank's buffers, for one layer's routing.
 *
 * Megatron (unequal splits): one row per token and choice, sorted by (expert, token); experts are contiguous per rank.
 * DeepSpeed (equal splits): [experts][capacity] rows, an expert's tokens in order from slot 0, unused slots are zeros.
 */
#ifndef MP_LAYOUT_H
#define MP_LAYOUT_H

#include "routing.h"

#define MP_PAD UINT32_MAX /* in place of a token: a row of zeros */

typedef struct mp_layout {
    int ranks, rank;
    size_t capacity; /* rows per expert, 0 with unequal splits */
    size_t *counts;  /* [ranks * ranks] rows from s to r at counts[s * ranks + r] */
    size_t send_rows, recv_rows;
    uint32_t *send_token; /* [send_rows] the token in each row of the dispatch's send buffer */
    uint32_t *recv_token; /* [recv_rows] the source's token in each row of its receive buffer, source after source */
} mp_layout_t;

/* Rows that must leave a rank or node at least, under different degrees of de-duplication; summed over all ranks. A
 * token goes to a rank (or node) once at most; all zero rows of a source count as one. */
typedef struct mp_volume {
    double off_rank; /* copies that leave their rank */
    double off_node; /* copies that leave their node */
    double per_gpu;  /* of those, one per destination rank */
    double per_node; /* of those, one per destination node */
    int nodes;
    double *flat_out, *flat_in, *node_out, *node_in; /* [nodes] rows over each node's link, as sent now, and per node */
} mp_volume_t;

/* 0, or -ENOMEM. capacity_factor as in options; used only where `padded`. */
int layout_create(const mp_routing_t *routing, int layer, int rank, bool padded, double capacity_factor,
                  mp_layout_t *layout);
void layout_free(mp_layout_t *layout);

/* Adds `weight` times the layer's rows. `capacity` is the layout's. 0, or -ENOMEM. */
int volume_create(int nodes, mp_volume_t *volume);
int volume_add(mp_volume_t *volume, const mp_routing_t *routing, int layer, size_t capacity, const int *node_of,
               double weight);
void volume_free(mp_volume_t *volume);

#endif
