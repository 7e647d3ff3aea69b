/* The way rows take from rank to rank at a given depth, and the messages that carry them.
 *
 * A row goes from its source towards a destination through rail peers (2508.09591, 1.3): at the first used level where
 * the two are in different groups it is sent, once, to the rail peer in the destination's group, which forwards it at
 * deeper levels. A rank serves all levels below the one by which a row came in the same step, so its own node's GPUs
 * are fed while the wire is busy. Every rank receives the rows of one source by exactly one hop.
 *
 * Lanes: where the wires between outermost groups are sockets, one connection with one rail peer may carry less than
 * the wire could. Then the bytes of every row are cut into as many pieces as such a group has ranks, and piece `lane`
 * goes by the rank that many places behind the rail peer: every rank of a group is, in one lane, the gateway of each
 * source. Paths and routes are those of one lane; lanes differ besides only in whose maps they carry. Immutable once
 * made. */
#ifndef HM_ROUTE_H
#define HM_ROUTE_H

#include "plan.h"

#include <stdbool.h>

/* How rows of one source reach one rank: sent by `prev` in step 1..depth, by a hop at used level 1..depth, whose rows
 * are those for the rank's group at that level. For the source itself prev is -1, level and step are 0. */
typedef struct hm_path {
    int prev;
    short level, step;
} hm_path_t;

typedef struct hm_paths {
    const hm_topo_t *topo;
    int depth, lane, lanes;
    int level[HM_MAX_LEVELS + 1]; /* used level 0..depth -> level of the topology: 0, 1, ..., depth-1, levels */
    hm_path_t *path;              /* [source * ranks + rank] */
} hm_paths_t;

/* One source's share of a message. Sizes belong to one call and are set by layout_fill. */
typedef struct hm_part {
    int source;
    uint32_t rows;          /* distinct rows of the source for the message's group */
    size_t mask_at, map_at; /* bytes from the start of the area; masks only where the group has several ranks */
    size_t row_at;          /* first row within the message's payload */
} hm_part_t;

/* What one rank sends another in one step: for each part masks and maps (the message's head), then all rows.
 * A map holds, for each raw row of the source for one rank, its number among the source's distinct rows for that rank;
 * the maps of the ranks of the group follow each other by position, those that this lane carries (paths_map_here). */
typedef struct hm_message {
    int peer, step, level; /* level: used level of the hop */
    int first, count;      /* positions of the group that the rows are for */
    int part, parts;       /* hm_route_t.part[part ... part + parts), sources ascending */
    size_t at, head_bytes; /* head at `at`, payload at `at + head_bytes`; bytes from the start of the area */
    size_t rows;
} hm_message_t;

/* All messages of one rank: outgoing ones by step and peer, then incoming ones by step and peer. */
typedef struct hm_route {
    const hm_paths_t *paths;
    int me, outs, ins, parts;
    hm_message_t *out, *in;
    hm_part_t *part;
    int *in_part; /* [ranks] source -> index of its incoming part, -1 for me */
} hm_route_t;

/* Areas of one call on one rank: the messages of all lanes, one lane behind the other. */
typedef struct hm_layout {
    size_t out_bytes, in_bytes; /* sizes of the two areas so far */
} hm_layout_t;

/* Bytes of a row that go together: one lane's share of one slice. Piece slice * lanes + lane. */
typedef struct hm_piece {
    size_t at, width; /* width 0 behind the end of the row */
} hm_piece_t;

static inline hm_piece_t layout_piece(size_t row_bytes, size_t width, int piece)
{
    size_t at = (size_t)piece * width;
    if (at >= row_bytes) return (hm_piece_t){row_bytes, 0};
    return (hm_piece_t){at, row_bytes - at < width ? row_bytes - at : width};
}

#define HM_ALIGN 16
static inline size_t layout_align(size_t bytes)
{
    return (bytes + HM_ALIGN - 1) / HM_ALIGN * HM_ALIGN;
}

/* depth in 1..topo->levels; lane below lanes, which is 1 or, at depth 2 and deeper, topo_lanes. The topology must
 * outlive the paths, and these the route. 0, -EINVAL, -ENOMEM. */
int paths_create(const hm_topo_t *topo, int depth, int lane, int lanes, hm_paths_t **paths);
void paths_destroy(hm_paths_t *paths);
int route_create(const hm_paths_t *paths, int me, hm_route_t **route);
void route_destroy(hm_route_t *route);

/* Whether this lane's messages carry the map of a source for a rank: every map goes once, in the lane in which it comes
 * straight from its source, so that it is there before the first row that needs it. */
static inline bool paths_map_here(const hm_paths_t *paths, int source, int rank)
{
    const hm_topo_t *topo = paths->topo;
    if (paths->lanes == 1) return true;
    if (topo->group[1][source] == topo->group[1][rank]) return paths->lane == 0;
    return paths->path[(size_t)source * (size_t)topo->ranks + (size_t)rank].prev == source;
}

/* Sets the sizes and offsets of all messages of a lane for one call, behind what *layout holds. width: of a piece. */
void layout_fill(hm_route_t *route, const hm_table_t *table, size_t width, hm_layout_t *layout);

/* Upper bound of the scratch any rank needs at this width of pieces, areas and row lists together: alike on all ranks.
 * paths: of all lanes; distinct: [ranks] distinct rows of each source; work: [ranks] memory to count in. O(ranks^2). */
size_t layout_need(hm_paths_t *const *paths, const hm_table_t *table, const uint32_t *distinct, size_t width,
                   size_t *work);

/* Bytes before the rows of one source in a message: masks where `count` ranks share its rows, maps for its raw rows. */
size_t layout_head_bytes(size_t rows, size_t raw, int count);

/* Raw rows of `source` for one group of a topology level. */
size_t layout_rows_raw(const hm_topo_t *topo, const hm_table_t *table, int source, int level, int group);

/* Distinct rows of `source` for the group of `rank` at a used level. */
static inline uint32_t route_rows(const hm_paths_t *paths, const hm_table_t *table, int source, int rank, int level)
{
    int l = paths->level[level];
    return table->distinct[l][(size_t)source * (size_t)paths->topo->groups[l] + (size_t)paths->topo->group[l][rank]];
}

#endif
