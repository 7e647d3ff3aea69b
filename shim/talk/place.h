/* Where the ranks of a communicator sit: the agreed topology and what follows from it. Set once, in the first meeting;
 * read by every call. */
#ifndef HM_PLACE_H
#define HM_PLACE_H

#include "kernels/kernels.h"
#include "planner/topo.h"

#include <stdbool.h>

/* Levels of a topology that is found out, above single ranks: host, NUMA node, PCIe root, NVLink domain. */
#define HM_SEAT_LEVELS 4

typedef struct hm_place {
    hm_topo_t *topo;   /* owned; NULL until the ranks have met */
    int lanes;         /* of calls deeper than 1 (route.h) */
    int node_level;    /* of the topology, whose groups are nodes: 1; 0 where all ranks sit on one */
    hm_bits_t *groups; /* [group_count] all groups of levels 1..levels, in this order, as intervals of positions */
    int group_count;
    uint32_t *bit; /* [ranks] position of each rank: its bit in a row's mask */
} hm_place_t;

/* Takes over the topology. spread: deep calls go in lanes where it has them. 0 or -ENOMEM; place_free frees what was
 * made either way. */
int place_set(hm_place_t *place, hm_topo_t *topo, bool spread);
void place_free(hm_place_t *place);

/* Lanes of a call (route.h). */
static inline int place_lanes(const hm_place_t *place, int depth)
{
    return depth > 1 ? place->lanes : 1;
}

/* Whether two ranks are different ones of one innermost group: of a node, or what a node is parted into. */
static inline bool place_near(const hm_place_t *place, int one, int other)
{
    const int *group = place->topo->group[place->topo->levels - 1];
    return one != other && group[one] == group[other];
}

/* Nodes, and the one of a rank, from 0. */
static inline int place_nodes(const hm_place_t *place)
{
    return place->topo->groups[place->node_level];
}

static inline int place_node(const hm_place_t *place, int rank)
{
    return place->topo->group[place->node_level][rank];
}

#endif
