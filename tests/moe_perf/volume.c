#include "layout.h"
#include "layout_rows.h"

#include <errno.h>
#include <stdlib.h>

int volume_create(int nodes, mp_volume_t *volume)
{
    double *memory = calloc(4 * (size_t)nodes, sizeof(double));
    if (!memory) return -ENOMEM;
    *volume = (mp_volume_t){.nodes = nodes,
                            .flat_out = memory,
                            .flat_in = memory + nodes,
                            .node_out = memory + 2 * nodes,
                            .node_in = memory + 3 * nodes};
    return 0;
}

/* A token (or the zero row, as token `tokens`) not seen since the stamp changed. */
static bool first_time(uint32_t *seen, size_t tokens, uint32_t token, uint32_t stamp)
{
    uint32_t *mark = &seen[token == MP_PAD ? tokens : token];
    bool first = *mark != stamp;
    *mark = stamp;
    return first;
}

/* One source's rows for the ranks of one node. node_seen and rank_seen: [tokens + 1] marks. */
static void volume_add_node(mp_volume_t *volume, const mp_routing_t *routing, int source, int node, const int *node_of,
                            const size_t *start, const uint32_t *token, uint32_t *node_seen, uint32_t *rank_seen,
                            double weight)
{
    int per_rank = routing->experts / routing->ranks, from = node_of[source];
    size_t copies = 0, per_gpu = 0, per_node = 0, off_rank = 0;
    for (int r = 0; r < routing->ranks; r++) {
        if (node_of[r] != node) continue;
        size_t rows = start[(r + 1) * per_rank] - start[r * per_rank];
        if (r != source) off_rank += rows;
        if (node == from) continue;
        copies += rows;
        for (size_t i = start[r * per_rank]; i < start[(r + 1) * per_rank]; i++) {
            per_gpu += first_time(rank_seen, routing->tokens, token[i], (uint32_t)r + 1);
            per_node += first_time(node_seen, routing->tokens, token[i], (uint32_t)node + 1);
        }
    }
    volume->off_rank += weight * (double)off_rank;
    volume->off_node += weight * (double)copies;
    volume->per_gpu += weight * (double)per_gpu;
    volume->per_node += weight * (double)per_node;
    volume->flat_out[from] += weight * (double)copies;
    volume->flat_in[node] += weight * (double)copies;
    volume->node_out[from] += weight * (double)per_node;
    volume->node_in[node] += weight * (double)per_node;
}

int volume_add(mp_volume_t *volume, const mp_routing_t *routing, int layer, size_t capacity, const int *node_of,
               double weight)
{
    size_t experts = (size_t)routing->experts, most = 0;
    size_t *start = calloc(2 * (experts + 1), sizeof(size_t));
    uint32_t *seen = calloc(2 * (routing->tokens + 1), sizeof(uint32_t)), *token = NULL;
    int status = start && seen ? 0 : -ENOMEM;
    for (int s = 0; !status && s < routing->ranks; s++) {
        size_t rows = layout_rows_start(routing, layer, s, capacity, start);
        if (rows + 1 > most) {
            free(token);
            most = rows + 1;
            token = malloc(most * sizeof(uint32_t));
            if (!token) {
                status = -ENOMEM;
                break;
            }
        }
        layout_rows_fill(routing, layer, s, start, 0, routing->experts, start + experts + 1, token);
        for (size_t i = 0; i < 2 * (routing->tokens + 1); i++) seen[i] = 0;
        for (int n = 0; n < volume->nodes; n++)
            volume_add_node(volume, routing, s, n, node_of, start, token, seen, seen + routing->tokens + 1, weight);
    }
    free(token);
    free(seen);
    free(start);
    return status;
}

void volume_free(mp_volume_t *volume)
{
    free(volume->flat_out);
    *volume = (mp_volume_t){0};
}
