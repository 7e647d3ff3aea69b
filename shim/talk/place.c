#include "place.h"

#include <errno.h>
#include <stdlib.h>

int place_set(hm_place_t *place, hm_topo_t *topo, bool spread)
{
    int count = 0;
    place->topo = topo;
    place->lanes = spread ? topo_lanes(topo) : 1;
    for (int l = 1; l <= topo->levels; l++) count += topo->groups[l];
    place->groups = malloc((size_t)count * sizeof *place->groups);
    place->bit = malloc((size_t)topo->ranks * sizeof *place->bit);
    if (place->groups == NULL || place->bit == NULL) return -ENOMEM;
    place->group_count = 0;
    for (int l = 1; l <= topo->levels; l++)
        for (int g = 0; g < topo->groups[l]; g++)
            place->groups[place->group_count++] =
                (hm_bits_t){(uint32_t)topo->start[l][g], (uint32_t)topo_group_size(topo, l, g)};
    for (int r = 0; r < topo->ranks; r++) place->bit[r] = (uint32_t)topo->pos[r];
    return 0;
}

void place_free(hm_place_t *place)
{
    topo_destroy(place->topo);
    free(place->groups);
    free(place->bit);
    *place = (hm_place_t){.topo = NULL};
}
