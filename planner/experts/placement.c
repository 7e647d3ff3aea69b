#include "placement.h"

#include <string.h>

void placement_contiguous(int experts, int ranks, int *rank)
{
    for (int e = 0; e < experts; e++) rank[e] = (int)((long long)e * ranks / experts);
}

void placement_count(const hm_topo_t *topo, const hm_placement_t *placement, int level, int *local)
{
    memset(local, 0, (size_t)topo->groups[level] * sizeof *local);
    for (int e = 0; e < placement->experts; e++) local[topo->group[level][placement->rank[e]]]++;
}
