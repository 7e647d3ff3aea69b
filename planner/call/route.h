/* The way rows take from rank to rank at a given depth, and the messages that carry them.
 *
 * A row goes from its source to a destination through rail peers (2508.09591, 1.3). At the first used level where the
 * two are in different groups it is sent, once, to the rail peer in the destination's group, which forwards it at
 * deeper levels. A rank sends to all deeper levels in the same step, so that the GPUs of its own node are busy while
 * the wire is. Every rank receives the rows of one source by exactly one hop.
 *
 * Lanes: over TCP, one connection between two rail peers may carry less than the wire could. Then the bytes of every
 * row are cut into as many pieces as an outermost group has ranks, and piece `lane` goes by the rank `lane` places
 * behind the rail peer. So every rank of a group is the gateway of each source in one lane. Paths and routes are those
 * of one lane; otherwise lanes differ only in the maps that they carry. Immutable once made. */
#ifndef HM_ROUTE_H
#define HM_ROUTE_H

#include "message.h"
#include "topo.h"

#include <stdbool.h>

/* The hop by which rows of one source reach one rank: sent by `prev` in step 1..depth at used level 1..depth, together
 * with all rows for the rank's group at that level. For the source itself prev is -1, level and step are 0. */
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

/* All messages of one rank: outgoing ones by step and peer, then incoming ones by step and peer. */
typedef struct hm_route {
    const hm_paths_t *paths;
    int me, outs, ins, parts;
    hm_message_t *out, *in;
    hm_part_t *part;
    int *in_part; /* [ranks] source -> index of its incoming part, -1 for me */
} hm_route_t;

/* depth in 1..topo->levels; lane below lanes, which is 1 or, at depth 2 and deeper, topo_lanes. The topology must
 * outlive the paths, and these the route. 0, -EINVAL, -ENOMEM. */
int paths_create(const hm_topo_t *topo, int depth, int lane, int lanes, hm_paths_t **paths);
void paths_destroy(hm_paths_t *paths);
int route_create(const hm_paths_t *paths, int me, hm_route_t **route);
void route_destroy(hm_route_t *route);

/* Whether this lane's messages carry the map of a source for a rank. Every map goes in one lane only, the one in which
 * the rank receives straight from the source: so it arrives no later than the first row that needs it. */
static inline bool paths_map_here(const hm_paths_t *paths, int source, int rank)
{
    const hm_topo_t *topo = paths->topo;
    if (paths->lanes == 1) return true;
    if (topo->group[1][source] == topo->group[1][rank]) return paths->lane == 0;
    return paths->path[(size_t)source * (size_t)topo->ranks + (size_t)rank].prev == source;
}

#endif
