#include "gate.h"

/* The sum of a group's two best scores; a group of one expert counts that one alone. */
static uint64_t group_score(const uint32_t *score, int size)
{
    uint32_t best = 0, second = 0;
    for (int e = 0; e < size; e++) {
        if (score[e] > best) {
            second = best;
            best = score[e];
        } else if (score[e] > second) {
            second = score[e];
        }
    }
    return (uint64_t)best + second;
}

static void groups_choose(const uint32_t *score, int size, int groups, int chosen, uint16_t *taken)
{
    for (int g = 0; g < groups; g++) taken[g] = 0;
    for (int c = 0; c < chosen; c++) {
        int best = -1;
        uint64_t most = 0;
        for (int g = 0; g < groups; g++) {
            if (taken[g] != 0) continue;
            uint64_t sum = group_score(score + g * size, size);
            if (best >= 0 && sum <= most) continue;
            best = g;
            most = sum;
        }
        taken[best] = 1;
    }
}

/* Puts an expert into the list of the best so far, which is sorted. Returns how many there are now. */
static int best_insert(const uint32_t *score, int expert, int count, int top_k, uint16_t *ids)
{
    int at = count;
    while (at > 0 && score[ids[at - 1]] < score[expert]) at--;
    if (at == top_k) return count;
    if (count < top_k) count++;
    for (int k = count - 1; k > at; k--) ids[k] = ids[k - 1];
    ids[at] = (uint16_t)expert;
    return count;
}

void gate_choose(const uint32_t *score, int experts, int groups, int chosen, int top_k, uint16_t *taken, uint16_t *ids)
{
    int size = experts / groups, count = 0;
    groups_choose(score, size, groups, chosen, taken);
    for (int g = 0; g < groups; g++) {
        if (taken[g] == 0) continue;
        for (int e = g * size; e < (g + 1) * size; e++) count = best_insert(score, e, count, top_k, ids);
    }
}
