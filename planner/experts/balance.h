/* Placements that even out how many tokens ranks compute, and know nothing of which experts a token chooses together:
 * what others do, to compare with. Every rank keeps as many experts as it has. The same counts give the same answer on
 * every rank. */
#ifndef HM_BALANCE_H
#define HM_BALANCE_H

#include "placement.h"

#include <stdint.h>

/* As DeepSeek's EPLB without spare slots: experts, the heaviest first, go to the lightest outermost group that has
 * room, and in it, level by level, to the lightest group and rank. room[ranks]: experts of each rank, their sum
 * `experts`. count[experts]: tokens. Sets rank[experts]. 0, -ENOMEM. */
int balance_pack(const hm_topo_t *topo, const uint32_t *count, int experts, const int *room, int *rank);

/* As SmartMoE: exchanges an expert of the busiest rank with one of the idlest while that makes the busier of the two
 * less busy. Changes rank[experts]. Returns the number of exchanges, or -ENOMEM. */
int balance_swap(const hm_topo_t *topo, const uint32_t *count, int experts, int *rank);

#endif
