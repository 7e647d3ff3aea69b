/* The choice of a router that first limits a token to some groups of experts. */
#ifndef HM_GATE_H
#define HM_GATE_H

#include <stdint.h>

/* Group-limited top-k (DeepSeek-V3, 2412.19437, section 2.1.2): experts lie in `groups` equal runs of ids; the `chosen`
 * groups whose two best scores have the largest sums remain, and of their experts the top_k best are ids[top_k], best
 * first. Equal scores: the lower id first. score[experts] is left as it is; taken[groups] is scratch. The caller has
 * checked that groups divides experts and that the chosen groups hold top_k. */
void gate_choose(const uint32_t *score, int experts, int groups, int chosen, int top_k, uint16_t *taken, uint16_t *ids);

#endif
