/* Where ranks sit: nested levels of groups, from the whole communicator down to single GPUs.
 *
 * Level 0 is the whole communicator (one group). Level `levels` has one group per rank. Levels between are what the
 * cluster has: nodes, then maybe CPU packages or NVLink domains (HierMoE 2508.09591, section 1.3: U[i] groups at level
 * i). Groups may be interleaved and of unequal size. `order` sorts the ranks so that every group of every level is an
 * interval of positions. Immutable after creation, so any thread may read it. */
#ifndef HM_TOPO_H
#define HM_TOPO_H

#include <stddef.h>
#include <stdint.h>

#define HM_MAX_LEVELS 6

typedef struct hm_topo {
    int ranks;
    int levels;                    /* >= 1; 1: no groups are known or useful */
    int groups[HM_MAX_LEVELS + 1]; /* U[i]; groups[0] = 1, groups[levels] = ranks */
    int *order;                    /* [ranks] position -> rank */
    int *pos;                      /* [ranks] rank -> position */
    int *group[HM_MAX_LEVELS + 1]; /* [level][rank] -> group, numbered by position */
    int *start[HM_MAX_LEVELS + 1]; /* [level][group] -> first position; start[level][groups[level]] = ranks */
} hm_topo_t;

/* Builds a topology from domain keys: key[l][rank] for l < key_levels, outermost first. Ranks with equal keys at level
 * l and at all levels before it are in one group. Levels that add nothing (the groups of the level above, or one rank
 * in each) are dropped. 0, -EINVAL (no ranks), -ENOMEM. */
int topo_create(int ranks, int key_levels, const uint64_t *const *key, hm_topo_t **topo);

/* Builds the topology that a spec like "4,2,2" names: 4 groups of 2 groups of 2 ranks, in rank order. The product must
 * be `ranks`. 0; -EINVAL or -ENOMEM with *why set to a sentence that says what was expected. */
int topo_parse(const char *spec, int ranks, hm_topo_t **topo, const char **why);

void topo_destroy(hm_topo_t *topo);

static inline int topo_group_size(const hm_topo_t *topo, int level, int group)
{
    return topo->start[level][group + 1] - topo->start[level][group];
}

/* The rail peer of `rank` in `group` of a level: the rank with the same place in that group as `rank` has in its own,
 * modulo the group's size. */
int topo_rail_peer(const hm_topo_t *topo, int level, int group, int rank);

/* The rank `lane` places behind the rail peer, modulo the group's size. */
int topo_lane_peer(const hm_topo_t *topo, int level, int group, int rank, int lane);

/* How many lanes (route.h) a topology can have: as many as an outermost group has ranks, where all these groups are of
 * one size up to HM_MAX_LANES and levels lie below them. Else 1; so too beyond HM_MAX_LANE_RANKS ranks, where routes of
 * all lanes would take long to make. */
#define HM_MAX_LANES 8
#define HM_MAX_LANE_RANKS 256
int topo_lanes(const hm_topo_t *topo);

#endif
