/* Loads: how many tokens chose each expert of a layer. */
#ifndef HM_LOADS_H
#define HM_LOADS_H

#include <stddef.h>
#include <stdint.h>

/* Adds the choices of some tokens, ids: [tokens][top_k] below the number of experts, to loads: [experts]. */
void loads_add(const uint16_t *ids, size_t tokens, int top_k, uint64_t *loads);

uint64_t loads_sum(const uint64_t *loads, int experts);

/* order: [experts] ids by load, the largest first; equal ones by id. work: [experts] scratch. At most 2^30 experts. */
void loads_order(const uint64_t *loads, int experts, int *order, int *work);

#endif
