#define _GNU_SOURCE
#include "sample.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_MAX_EXPERTS 65536
#define SAMPLE_TRIES 64

struct hm_sampler {
    hm_routing_t routing;
    int experts, top_k;
    uint64_t state;
    double *weight;  /* ZIPF: [experts] */
    double *keep;    /* ZIPF: alias table, [experts] */
    uint16_t *alias; /* ZIPF: [experts] */
    uint32_t *taken; /* [experts] stamp of the token that chose it */
    uint32_t stamp;
    uint16_t *group; /* GROUP: [groups] a permutation, its start is redrawn for each token */
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

static int spec_whole(const char **at, int *value)
{
    char *end;
    if (**at < '0' || **at > '9') return 0;
    long number = strtol(*at, &end, 10);
    if (number < 1 || number > SAMPLE_MAX_EXPERTS) return 0;
    *at = end;
    *value = (int)number;
    return 1;
}

static int spec_exponent(const char *text, double *value)
{
    char *end;
    if (*text == '\0' || strspn(text, "0123456789.") != strlen(text)) return 0;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) return 0;
    *value = strtod_l(text, &end, plain);
    freelocale(plain);
    return *end == '\0' && *value >= 0 && *value <= 8;
}

int routing_parse(const char *spec, hm_routing_t *routing, const char **why)
{
    hm_routing_t result = {.kind = HM_ROUTING_UNIFORM};
    if (strncmp(spec, "zipf:", 5) == 0) {
        result.kind = HM_ROUTING_ZIPF;
        *why = "expected zipf:S with S from 0 to 8, such as zipf:1.2";
        if (!spec_exponent(spec + 5, &result.exponent)) return -EINVAL;
    } else if (strncmp(spec, "group:", 6) == 0) {
        const char *at = spec + 6;
        result.kind = HM_ROUTING_GROUP;
        *why = "expected group:N:G, N groups of which a token uses G, 1 <= G <= N, such as group:8:4";
        if (!spec_whole(&at, &result.groups) || *at++ != ':' || !spec_whole(&at, &result.chosen) || *at != '\0')
            return -EINVAL;
        if (result.chosen > result.groups) return -EINVAL;
    } else if (strcmp(spec, "uniform") != 0) {
        *why = "expected uniform, zipf:S, group:N:G or trace:FILE";
        return -EINVAL;
    }
    *routing = result;
    return 0;
}

/* Vose's alias method: two table look-ups for a draw, whatever the weights. work: [experts]. */
static void alias_build(hm_sampler_t *sampler, uint16_t *work)
{
    int n = sampler->experts, low = 0, high = n;
    double sum = 0;
    for (int e = 0; e < n; e++) sum += sampler->weight[e];
    for (int e = 0; e < n; e++) {
        sampler->keep[e] = sampler->weight[e] * n / sum;
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
    /* What is left is 1 up to rounding. */
    while (low > 0) sampler->keep[work[--low]] = 1;
}

static void weights_fill(hm_sampler_t *sampler, uint16_t *order)
{
    int n = sampler->experts;
    for (int e = 0; e < n; e++) order[e] = (uint16_t)e;
    for (int e = n - 1; e > 0; e--) {
        int other = (int)bits_below(sampler_bits(sampler), (uint32_t)e + 1);
        uint16_t swapped = order[e];
        order[e] = order[other];
        order[other] = swapped;
    }
    for (int e = 0; e < n; e++) sampler->weight[order[e]] = pow(e + 1.0, -sampler->routing.exponent);
    alias_build(sampler, order);
}

static const char *sampler_refuse(const hm_routing_t *routing, int experts, int top_k)
{
    if (experts < 1 || experts > SAMPLE_MAX_EXPERTS) return "expected 1 to 65536 experts";
    if (top_k < 1 || top_k > experts) return "expected top-k from 1 to the number of experts";
    if (routing->kind != HM_ROUTING_GROUP) return NULL;
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
    hm_sampler_t *sampler = calloc(1, sizeof(*sampler));
    if (sampler == NULL) return -ENOMEM;
    *sampler = (hm_sampler_t){.routing = *routing, .experts = experts, .top_k = top_k, .state = seed};
    sampler->weight = malloc(n * sizeof(*sampler->weight));
    sampler->keep = malloc(n * sizeof(*sampler->keep));
    sampler->alias = malloc(n * sizeof(*sampler->alias));
    sampler->taken = calloc(n, sizeof(*sampler->taken));
    sampler->group = malloc(n * sizeof(*sampler->group));
    if (!sampler->weight || !sampler->keep || !sampler->alias || !sampler->taken || !sampler->group) {
        sampler_destroy(sampler);
        return -ENOMEM;
    }
    if (routing->kind == HM_ROUTING_ZIPF) weights_fill(sampler, sampler->group);
    for (size_t g = 0; g < n; g++) sampler->group[g] = (uint16_t)g;
    *out = sampler;
    return 0;
}

void sampler_destroy(hm_sampler_t *sampler)
{
    if (sampler == NULL) return;
    free(sampler->weight);
    free(sampler->keep);
    free(sampler->alias);
    free(sampler->taken);
    free(sampler->group);
    free(sampler);
}

/* One more expert by weight among those not taken, by the weights themselves: for when draws keep hitting taken ones.
 */
static uint16_t zipf_scan(hm_sampler_t *sampler)
{
    double left = 0;
    uint16_t last = 0;
    for (int e = 0; e < sampler->experts; e++)
        if (sampler->taken[e] != sampler->stamp) left += sampler->weight[e];
    double at = (double)(sampler_bits(sampler) >> 11) * 0x1p-53 * left;
    for (int e = 0; e < sampler->experts; e++) {
        if (sampler->taken[e] == sampler->stamp) continue;
        last = (uint16_t)e;
        at -= sampler->weight[e];
        if (at < 0) break;
    }
    return last;
}

static uint16_t zipf_draw(hm_sampler_t *sampler)
{
    for (int i = 0; i < SAMPLE_TRIES; i++) {
        uint64_t bits = sampler_bits(sampler);
        uint32_t e = bits_below(bits, (uint32_t)sampler->experts);
        if ((double)(uint32_t)bits * 0x1p-32 >= sampler->keep[e]) e = sampler->alias[e];
        if (sampler->taken[e] != sampler->stamp) return (uint16_t)e;
    }
    return zipf_scan(sampler);
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

static void token_draw(hm_sampler_t *sampler, uint16_t *ids)
{
    uint32_t count = sampler->routing.kind == HM_ROUTING_ZIPF ? 0 : even_count(sampler);
    if (++sampler->stamp == 0) {
        memset(sampler->taken, 0, (size_t)sampler->experts * sizeof(*sampler->taken));
        sampler->stamp = 1;
    }
    for (int k = 0; k < sampler->top_k; k++) {
        uint16_t id;
        if (count == 0) {
            id = zipf_draw(sampler);
        } else {
            /* Floyd's sampling: each place once, no retries. */
            uint32_t top = count - (uint32_t)sampler->top_k + (uint32_t)k;
            id = even_expert(sampler, bits_below(sampler_bits(sampler), top + 1));
            if (sampler->taken[id] == sampler->stamp) id = even_expert(sampler, top);
        }
        sampler->taken[id] = sampler->stamp;
        ids[k] = id;
    }
}

void sampler_draw(hm_sampler_t *sampler, size_t tokens, uint16_t *ids)
{
    for (size_t t = 0; t < tokens; t++) token_draw(sampler, ids + t * (size_t)sampler->top_k);
}
