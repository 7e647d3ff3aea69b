/* Statistics of a routing from which the de-duplicated traffic after any exchange of two experts follows.
 *
 * For every level with group map g(.), over tokens t with chosen experts S_t:
 *   cnt[e]    tokens that chose e (one array for all levels)
 *   p[g]      tokens that hit group g
 *   H[g][e]   tokens that chose e and hit group g
 *   S[a][b]   tokens that chose a and b, a being the only choice within g(a); S[a][a]: all tokens with a alone in g(a)
 * All are sums over tokens, so one all-reduce of `data` (`words` uint32_t) makes those of all ranks. One owner at a
 * time. */
#ifndef HM_SWAP_STATS_H
#define HM_SWAP_STATS_H

#include "placement.h"

typedef struct hm_swap_stats {
    int experts, levels;
    int groups[HM_MAX_LEVELS + 1];
    size_t words;
    uint32_t *data;
    uint32_t *cnt;                      /* [experts] */
    uint32_t *p[HM_MAX_LEVELS + 1];     /* [level][groups] */
    uint32_t *H[HM_MAX_LEVELS + 1];     /* [level][group * experts + expert] */
    uint32_t *S[HM_MAX_LEVELS + 1];     /* [level][a * experts + b] */
    uint16_t *group[HM_MAX_LEVELS + 1]; /* [level][expert]: where experts are now; not part of data */
} hm_swap_stats_t;

/* Words of `data`: E + sum over levels of (U + U * E + E * E). */
size_t swap_stats_words(const hm_topo_t *topo, int experts);

/* Empty statistics for the given places of experts. -EINVAL (no experts, more than 65536), -ENOMEM. */
int swap_stats_create(const hm_topo_t *topo, const hm_placement_t *placement, hm_swap_stats_t **stats);
void swap_stats_destroy(hm_swap_stats_t *stats);

/* Adds tokens (sign 1) or takes them out again (sign -1). ids as in count.h, different within a token.
 * -EINVAL (an id out of range, or more than HM_SWAP_MAX_TOPK choices) with the statistics unchanged. */
#define HM_SWAP_MAX_TOPK 64
int swap_stats_add(hm_swap_stats_t *stats, const uint16_t *ids, size_t tokens, int top_k, int sign);

/* Experts a and b trade places in the group maps only. The sums stay those of the old places. */
void swap_stats_place(hm_swap_stats_t *stats, int a, int b);

/* The same, and the sums follow exactly. ids: the tokens that were added before; only those with either of the two cost
 * time. Each rank does this with its own tokens, and the sums over ranks are taken anew. Returns as swap_stats_add. */
int swap_stats_swap(hm_swap_stats_t *stats, const uint16_t *ids, size_t tokens, int top_k, int a, int b);

/* Tokens that would hit g(a) if a and b traded places (closed form; g(a) != g(b) at this level). */
static inline int64_t swap_stats_hits(const hm_swap_stats_t *stats, int level, int a, int b)
{
    size_t n = (size_t)stats->experts, ga = stats->group[level][a];
    const uint32_t *alone = stats->S[level] + (size_t)a * n;
    return (int64_t)stats->p[level][ga] + stats->cnt[b] - stats->H[level][ga * n + (size_t)b] - alone[a] + alone[b];
}

#endif
