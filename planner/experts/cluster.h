/* Placements made anew from which experts a token chooses together: whole blocks of experts come to lie in one group.
 */
#ifndef HM_CLUSTER_H
#define HM_CLUSTER_H

#include "placement.h"
#include "routes.h"

typedef struct hm_cluster hm_cluster_t;

/* Counts how often two experts are chosen together, 4 * experts^2 bytes. 0, -EINVAL (an id out of range), -ENOMEM. */
int cluster_create(const hm_routes_t *routes, int experts, hm_cluster_t **cluster);
void cluster_destroy(hm_cluster_t *cluster);

/* How often each expert is chosen: [experts]. */
const uint32_t *cluster_counts(const hm_cluster_t *cluster);

/* Deals experts out level by level, the heaviest first: each goes to the group where it is chosen most often together
 * with those that are there already, on their average, less `balance` times its own count for each mean load that the
 * group has; among the ranks of an innermost group to the lightest. Groups are then matched with those of `now`, level
 * by level, so that few experts move. Every rank has as many experts as in `now`, provided that groups of one level
 * inside the same group hold equally many. Sets rank[experts], which may not be now->rank. 0, -EINVAL (groups hold
 * unequally many), -ENOMEM. O(levels * experts^2). */
int cluster_place(const hm_cluster_t *cluster, const hm_topo_t *topo, const hm_placement_t *now, double balance,
                  int *rank);

#endif
