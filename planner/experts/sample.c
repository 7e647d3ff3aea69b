#define _GNU_SOURCE
#include "sample.h"

#include "gate.h"
#include "weight_tree.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_MAX_EXPERTS 65536
/* So many draws may hit experts already taken before the tree is asked. It is asked at once where less than SAMPLE_RARE
 * of the weight is left: most draws would be in vain, and the 32 bits of a draw are too coarse for so small a part. */
#define SAMPLE_TRIES 64
#define SAMPLE_RARE 0.0625

struct hm_sampler {
    hm_routing_t routing;
    int experts, top_k;
    uint64_t state;
    hm_weight_tree_t tree; /* ZIPF: weights of the experts */
    double *keep;          /* ZIPF: alias table, [experts] */
    uint16_t *alias;       /* ZIPF: [experts] */
    uint32_t *taken;       /* [experts] stamp of the token that chose it */
    uint32_t stamp;
    uint16_t *group; /* GROUP: [groups] a permutation, its start is redrawn for each token; GATE: scratch */
    uint32_t *score; /* GATE: [experts] of the token */
};

/* splitmix64: Steele, Lea and Flood's generator. */
static uint64_t sampler_bits(hm_sampler_t *sampler)
{
    uint64_t z = sampler->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number below n from the upper half of `bits`; n <= 2^16 makes the bias of the product negligible. */
static uint32_t bits_below(uint64_t bits, uint32_t n)
{
    return (uint32_t)(((bits >> 32) * n) >> 32);
}

static bool spec_whole(const char **at, int *value)
{
    char *end;
    if (**at < '0' || **at > '9') return false;
    long number = strtol(*at, &end, 10);
    if (number < 1 || number > SAMPLE_MAX_EXPERTS) return false;
    *at = end;
    *value = (int)number;
    return true;
}

static bool spec_exponent(const char *text, double *value)
{
    char *end;
    if (*text == '\0' || strspn(text, "0123456789.") != strlen(text)) return false;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) return false;
    *value = strtod_l(text, &end, plain);
    freelocale(plain);
    return *end == '\0' && *value >= 0 && *value <= 8;
}

static bool spec_groups(const char *at, hm_routing_t *routing)
{
    return spec_whole(&at, &routing->groups) && *at++ == ':' && spec_whole(&at, &routing->chosen) && *at == '\0' &&
           routing->chosen <= routing->groups;
}

int routing_parse(const char *spec, hm_routing_t *routing, const char **why)
{
    hm_routing_t result = {.kind = HM_ROUTING_UNIFORM};
    if (strncmp(spec, "zipf:", 5) == 0) {
        result.kind = HM_ROUTING_ZIPF;
        *why = "expected zipf:S with S from 0 to 8, such as zipf:1.2";
        if (!spec_exponent(spec + 5, &result.exponent)) return -EINVAL;
    } else if (strncmp(spec, "group:", 6) == 0) {
        result.kind = HM_ROUTING_GROUP;
        *why = "expected group:N:G, N groups of which a token uses G, 1 <= G <= N, such as group:8:4";
        if (!spec_groups(spec + 6, &result)) return -EINVAL;
    } else if (strncmp(spec, "gate:", 5) == 0) {
        result.kind = HM_ROUTING_GATE;
        *why = "expected gate:N:G, N groups of which a token uses the G best, 1 <= G <= N, such as gate:8:4";
        if (!spec_groups(spec + 5, &result)) return -EINVAL;
    } else if (strcmp(spec, "uniform") != 0) {
        *why = "expected uniform, zipf:S, group:N:G, gate:N:G or trace:FILE";
        return -EINVAL;
    }
    *routing = result;
    return 0;
}

/* Vose's alias method: two table look-ups for a draw, whatever the weights. work: [experts]. */
static void alias_build(hm_sampler_t *sampler, uint16_t *work)
{
    const double *weight = weight_tree_weights(&sampler->tree);
    int n = sampler->experts, low = 0, high = n;
    double sum = 0;
    for (int e = 0; e < n; e++) sum += weight[e];
    for (int e = 0; e < n; e++) {
        sampler->keep[e] = weight[e] * n / sum;
        sampler->alias[e] = (uint16_t)e;
        if (sampler->keep[e] < 1) work[low++] = (uint16_t)e;
        if (sampler->keep[e] >= 1) work[--high] = (uint16_t)e;
    }
    while (low > 0 && high < n) {
        uint16_t small = work[--low], large = work[high];
        sampler->alias[small] = large;
        sampler->keep[large] -= 1 - sampler->keep[small];
        if (sampler->keep[large] < 1) {
            high++;
            work[low++] = large;
        }
    }
    /* What is left differs from 1 by rounding only. */
    while (low > 0) sampler->keep[work[--low]] = 1;
}

static void weights_fill(hm_sampler_t *sampler, uint16_t *order)
{
    double *weight = weight_tree_weights(&sampler->tree);
    int n = sampler->experts;
    for (int e = 0; e < n; e++) order[e] = (uint16_t)e;
    for (int e = n - 1; e > 0; e--) {
        int other = (int)bits_below(sampler_bits(sampler), (uint32_t)e + 1);
        uint16_t swapped = order[e];
        order[e] = order[other];
        order[other] = swapped;
    }
    for (int e = 0; e < n; e++) weight[order[e]] = pow(e + 1.0, -sampler->routing.exponent);
    weight_tree_sum(&sampler->tree);
    alias_build(sampler, order);
}

static const char *sampler_refuse(const hm_routing_t *routing, int experts, int top_k)
{
    if (experts < 1 || experts > SAMPLE_MAX_EXPERTS) return "expected 1 to 65536 experts";
    if (top_k < 1 || top_k > experts) return "expected top-k from 1 to the number of experts";
    if (routing->kind != HM_ROUTING_GROUP && routing->kind != HM_ROUTING_GATE) return NULL;
    if (experts % routing->groups != 0) return "expected a number of routing groups that divides the experts";
    if (experts / routing->groups * routing->chosen < top_k) return "expected the chosen groups to hold top-k experts";
    return NULL;
}

int sampler_create(const hm_routing_t *routing, int experts, int top_k, uint64_t seed, hm_sampler_t **out,
                   const char **why)
{
    *why = sampler_refuse(routing, experts, top_k);
    if (*why != NULL) return -EINVAL;
    *why = "out of memory";
    size_t n = (size_t)experts;
    hm_sampler_t *sampler = calloc(1, sizeof *sampler);
    if (sampler == NULL) return -ENOMEM;
    *sampler = (hm_sampler_t){.routing = *routing, .experts = experts, .top_k = top_k, .state = seed};
    int status = weight_tree_create(n, &sampler->tree);
    sampler->keep = malloc(n * sizeof *sampler->keep);
    sampler->alias = malloc(n * sizeof *sampler->alias);
    sampler->taken = calloc(n, sizeof *sampler->taken);
    sampler->group = malloc(n * sizeof *sampler->group);
    sampler->score = malloc(n * sizeof *sampler->score);
    if (sampler->keep == NULL || sampler->alias == NULL || sampler->taken == NULL || sampler->group == NULL ||
        sampler->score == NULL)
        status = -ENOMEM;
    if (status != 0) {
        sampler_destroy(sampler);
        return status;
    }
    if (routing->kind == HM_ROUTING_ZIPF) weights_fill(sampler, sampler->group);
    for (size_t g = 0; g < n; g++) sampler->group[g] = (uint16_t)g;
    *out = sampler;
    return 0;
}

void sampler_destroy(hm_sampler_t *sampler)
{
    if (sampler == NULL) return;
    weight_tree_destroy(&sampler->tree);
    free(sampler->keep);
    free(sampler->alias);
    free(sampler->taken);
    free(sampler->group);
    free(sampler->score);
    free(sampler);
}

static bool zipf_alias(hm_sampler_t *sampler, uint16_t *id)
{
    for (int i = 0; i < SAMPLE_TRIES; i++) {
        uint64_t bits = sampler_bits(sampler);
        uint32_t e = bits_below(bits, (uint32_t)sampler->experts);
        if ((double)(uint32_t)bits * 0x1p-32 >= sampler->keep[e]) e = sampler->alias[e];
        *id = (uint16_t)e;
        if (sampler->taken[e] != sampler->stamp) return true;
    }
    return false;
}

static void zipf_token(hm_sampler_t *sampler, uint16_t *ids)
{
    double spent = 0, most = weight_tree_total(&sampler->tree) * (1 - SAMPLE_RARE);
    int out = 0; /* ids taken out of the tree so far */
    for (int k = 0; k < sampler->top_k; k++) {
        if (spent > most || !zipf_alias(sampler, &ids[k])) {
            while (out < k) weight_tree_take(&sampler->tree, ids[out++]);
            double share = (double)(sampler_bits(sampler) >> 11) * 0x1p-53;
            ids[k] = (uint16_t)weight_tree_find(&sampler->tree, share);
        }
        sampler->taken[ids[k]] = sampler->stamp;
        spent += weight_tree_weights(&sampler->tree)[ids[k]];
    }
    while (out > 0) weight_tree_restore(&sampler->tree, ids[--out]);
}

/* The place-th of the experts that the token may use: for GROUP those of its chosen groups, else all. */
static uint16_t even_expert(const hm_sampler_t *sampler, uint32_t place)
{
    if (sampler->routing.kind != HM_ROUTING_GROUP) return (uint16_t)place;
    uint32_t size = (uint32_t)(sampler->experts / sampler->routing.groups);
    return (uint16_t)(sampler->group[place / size] * size + place % size);
}

static uint32_t even_count(hm_sampler_t *sampler)
{
    if (sampler->routing.kind != HM_ROUTING_GROUP) return (uint32_t)sampler->experts;
    for (int g = 0; g < sampler->routing.chosen; g++) {
        int other = g + (int)bits_below(sampler_bits(sampler), (uint32_t)(sampler->routing.groups - g));
        uint16_t swapped = sampler->group[g];
        sampler->group[g] = sampler->group[other];
        sampler->group[other] = swapped;
    }
    return (uint32_t)(sampler->experts / sampler->routing.groups * sampler->routing.chosen);
}

static void even_token(hm_sampler_t *sampler, uint16_t *ids)
{
    uint32_t count = even_count(sampler);
    for (int k = 0; k < sampler->top_k; k++) {
        /* Floyd's sampling: each place once, no retries. */
        uint32_t top = count - (uint32_t)sampler->top_k + (uint32_t)k;
        uint16_t id = even_expert(sampler, bits_below(sampler_bits(sampler), top + 1));
        if (sampler->taken[id] == sampler->stamp) id = even_expert(sampler, top);
        sampler->taken[id] = sampler->stamp;
        ids[k] = id;
    }
}

/* Scores are drawn evenly: only their order and the sums of two matter to the choice. */
static void gate_token(hm_sampler_t *sampler, uint16_t *ids)
{
    for (int e = 0; e < sampler->experts; e++) sampler->score[e] = (uint32_t)(sampler_bits(sampler) >> 32);
    gate_choose(sampler->score, sampler->experts, sampler->routing.groups, sampler->routing.chosen, sampler->top_k,
                sampler->group, ids);
}

static void token_draw(hm_sampler_t *sampler, uint16_t *ids)
{
    if (++sampler->stamp == 0) {
        memset(sampler->taken, 0, (size_t)sampler->experts * sizeof *sampler->taken);
        sampler->stamp = 1;
    }
    switch (sampler->routing.kind) {
    case HM_ROUTING_ZIPF:
        zipf_token(sampler, ids);
        break;
    case HM_ROUTING_GATE:
        gate_token(sampler, ids);
        break;
    case HM_ROUTING_UNIFORM:
    case HM_ROUTING_GROUP:
        even_token(sampler, ids);
        break;
    }
}

void sampler_draw(hm_sampler_t *sampler, size_t tokens, uint16_t *ids)
{
    for (size_t t = 0; t < tokens; t++) token_draw(sampler, ids + t * (size_t)sampler->top_k);
}
