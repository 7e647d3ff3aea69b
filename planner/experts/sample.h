/* Routings to plan with where there is no trace: expert ids drawn from a named distribution.
 *
 * Deterministic: the same spec, seed and order of calls give the same ids. Not for decisions that ranks must share (the
 * popularity of experts uses pow()). One thread at a time per sampler. */
#ifndef HM_SAMPLE_H
#define HM_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

typedef enum hm_routing_kind {
    HM_ROUTING_UNIFORM,
    HM_ROUTING_ZIPF,
    HM_ROUTING_GROUP, /* groups are chosen evenly */
    HM_ROUTING_GATE /* groups are chosen by their best scores, as DeepSeek-V3's router does (2412.19437, section 2.1.2)
                     */
} hm_routing_kind_t;

typedef struct hm_routing {
    hm_routing_kind_t kind;
    double exponent;    /* ZIPF: the n-th most popular expert has weight n^-exponent; which one it is, the seed says */
    int groups, chosen; /* GROUP, GATE: experts lie in `groups` equal runs of ids, a token uses `chosen` of them */
} hm_routing_t;

/* Reads "uniform", "zipf:S" (0 <= S <= 8), "group:N:G" or "gate:N:G" (1 <= G <= N). -EINVAL with *why naming what was
 * expected. */
int routing_parse(const char *spec, hm_routing_t *routing, const char **why);

typedef struct hm_sampler hm_sampler_t;

/* 1 <= top_k <= experts <= 65536; for GROUP and GATE groups must divide experts and chosen groups hold top_k. -EINVAL
 * with *why, -ENOMEM. */
int sampler_create(const hm_routing_t *routing, int experts, int top_k, uint64_t seed, hm_sampler_t **sampler,
                   const char **why);
void sampler_destroy(hm_sampler_t *sampler);

/* Draws `tokens` tokens of top_k different ids each into ids[tokens * top_k]. */
void sampler_draw(hm_sampler_t *sampler, size_t tokens, uint16_t *ids);

#endif
