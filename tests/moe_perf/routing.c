#include "routing.h"

#include "say.h"
#include "trace_file.h"

#include "../splitmix.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A bijection on 64 bits with good avalanche: numbers by position, so any rank can draw any rank's routing. */
static uint64_t mix(uint64_t x)
{
    return splitmix_next(&x);
}

/* In (0, 1). */
static double uniform(uint64_t key)
{
    return ((double)(mix(key) >> 11) + 0.5) * 0x1p-53;
}

typedef struct draw {
    const mp_options_t *options;
    double *rate;    /* [experts] popularity, not normalised */
    double *arrival; /* [experts] a token's draw: the k smallest win */
    double *group;   /* [groups] score of each group, smaller is better */
    double *best;    /* [topk] the winners' arrivals so far, ascending */
} draw_t;

/* The k smallest of arrival among all experts. With arrival = exponential(rate) this is sampling k experts without
 * replacement by popularity, the same as Gumbel top-k over log popularity. */
static void draw_smallest(const draw_t *draw, uint16_t *expert)
{
    int have = 0, topk = draw->options->topk;
    for (int e = 0; e < draw->options->experts; e++) {
        double arrival = draw->arrival[e];
        if (have == topk && arrival >= draw->best[topk - 1]) continue;
        int at = have < topk ? have++ : topk - 1;
        for (; at > 0 && draw->best[at - 1] > arrival; at--) {
            draw->best[at] = draw->best[at - 1];
            expert[at] = expert[at - 1];
        }
        draw->best[at] = arrival;
        expert[at] = (uint16_t)e;
    }
}

/* Leaves only the group_topk best groups in the race. As in group-limited routing, a group is as good as its two best
 * experts together. */
static void draw_limit_groups(const draw_t *draw)
{
    int groups = draw->options->groups, size = draw->options->experts / groups;
    for (int g = 0; g < groups; g++) {
        double first = INFINITY, second = INFINITY;
        for (int e = g * size; e < (g + 1) * size; e++) {
            double arrival = draw->arrival[e];
            if (arrival < first) {
                second = first;
                first = arrival;
            } else if (arrival < second) {
                second = arrival;
            }
        }
        draw->group[g] = size > 1 ? first + second : first;
    }
    for (int g = 0; g < groups; g++) {
        int better = 0;
        for (int h = 0; h < groups; h++)
            better += draw->group[h] < draw->group[g] || (draw->group[h] == draw->group[g] && h < g);
        if (better < draw->options->group_topk) continue;
        for (int e = g * size; e < (g + 1) * size; e++) draw->arrival[e] = INFINITY;
    }
}

static void draw_token(const draw_t *draw, uint64_t key, uint16_t *expert)
{
    for (int e = 0; e < draw->options->experts; e++) {
        double rate = draw->rate[e], u = uniform(key + (uint64_t)e);
        draw->arrival[e] = rate > 0 ? -log(u) / rate : INFINITY;
    }
    if (draw->options->route == MP_GROUP) draw_limit_groups(draw);
    draw_smallest(draw, expert);
}

/* Popularity of each expert in one layer; the order of the popular ones differs from layer to layer. */
static void draw_rates(draw_t *draw, int layer)
{
    const mp_options_t *options = draw->options;
    int per_rank = options->experts / options->ranks;
    for (int e = 0; e < options->experts; e++) {
        draw->rate[e] = 1;
        if (options->route == MP_ZIPF) draw->rate[e] = pow(e + 1, -options->zipf);
        if (options->route == MP_ONE) draw->rate[e] = e / per_rank == options->one_rank;
    }
    if (options->route != MP_ZIPF) return;
    for (int e = options->experts - 1; e > 0; e--) {
        uint64_t key = mix(options->seed) + mix((uint64_t)layer << 32) + (uint64_t)e;
        int other = (int)(mix(key) % (uint64_t)(e + 1));
        double rate = draw->rate[e];
        draw->rate[e] = draw->rate[other];
        draw->rate[other] = rate;
    }
}

static int routing_draw(const mp_options_t *options, mp_routing_t *routing)
{
    size_t experts = (size_t)options->experts;
    double *memory = calloc(3 * experts + (size_t)options->groups, sizeof(double));
    if (!memory) return -ENOMEM;
    draw_t draw = {options, memory, memory + experts, memory + 3 * experts, memory + 2 * experts};
    for (int l = 0; l < routing->layers; l++) {
        draw_rates(&draw, l);
        for (int r = 0; r < routing->ranks; r++) {
            uint64_t base = mix(mix(options->seed ^ (uint64_t)l << 48) ^ (uint64_t)r << 24);
            for (size_t t = 0; t < routing->tokens_of[r]; t++)
                draw_token(&draw, mix(base + t), (uint16_t *)routing_token(routing, l, r, t));
        }
    }
    free(memory);
    return 0;
}

static int options_fit(const mp_options_t *options, int experts, int topk)
{
    int per_rank = experts / options->ranks;
    if (experts % options->ranks)
        say("expected experts to be a multiple of the ranks, got %d experts on %d ranks", experts, options->ranks);
    else if (topk > experts)
        say("expected top-k to be at most the experts, got top-%d of %d", topk, experts);
    else if (options->route == MP_ONE && options->one_rank >= options->ranks)
        say("--routing one:RANK: expected a rank below %d, got %d", options->ranks, options->one_rank);
    else if (options->route == MP_ONE && topk > per_rank)
        say("--routing one:RANK: expected top-k to be at most the %d experts of a rank, got %d", per_rank, topk);
    else if (options->route == MP_GROUP && experts % options->groups)
        say("--routing group:N:G: expected experts to be a multiple of N, got %d and %d", experts, options->groups);
    else if (options->route == MP_GROUP && topk > options->group_topk * (experts / options->groups))
        say("--routing group:N:G: expected top-k to be at most the %d experts of G groups, got %d",
            options->group_topk * (experts / options->groups), topk);
    else
        return 0;
    return -EINVAL;
}

static int routing_from_trace(const mp_options_t *options, mp_routing_t *routing)
{
    hm_trace_t trace;
    char why[512];
    int status = trace_file_read(options->trace, &trace, why, sizeof(why));
    if (status) {
        say("%s", why);
        return status;
    }
    if (trace.ranks != options->ranks) {
        say("%s: expected a trace of %d ranks, as WORLD_SIZE says, got one of %d", options->trace, options->ranks,
            trace.ranks);
        trace_free(&trace);
        return -EINVAL;
    }
    *routing = (mp_routing_t){.ranks = trace.ranks,
                              .layers = trace.layers,
                              .topk = trace.top_k,
                              .experts = trace.experts,
                              .tokens = trace.tokens,
                              .expert = trace.ids};
    routing->layer_stride = trace.tokens * (size_t)trace.top_k;
    routing->rank_stride = routing->layer_stride * (size_t)trace.layers;
    return 0;
}

static int routing_room(const mp_options_t *options, mp_routing_t *routing)
{
    size_t tokens = (size_t)options->tokens;
    for (int r = 0; r < options->ranks; r++)
        if (options->tokens_of[r] > (int64_t)tokens) tokens = (size_t)options->tokens_of[r];
    *routing = (mp_routing_t){.ranks = options->ranks,
                              .layers = options->layers,
                              .topk = options->topk,
                              .experts = options->experts,
                              .tokens = tokens};
    routing->layer_stride = tokens * (size_t)options->topk;
    routing->rank_stride = routing->layer_stride * (size_t)options->layers;
    routing->expert = calloc((size_t)options->ranks * routing->rank_stride + 1, sizeof(uint16_t));
    return routing->expert ? 0 : -ENOMEM;
}

int routing_create(const mp_options_t *options, mp_routing_t *routing)
{
    bool recorded = options->route == MP_TRACE;
    *routing = (mp_routing_t){0};
    int status =
        recorded ? routing_from_trace(options, routing) : options_fit(options, options->experts, options->topk);
    if (status) return status;
    if (recorded)
        status = options_fit(options, routing->experts, routing->topk);
    else
        status = routing_room(options, routing);
    if (!status) routing->tokens_of = calloc((size_t)options->ranks, sizeof(size_t));
    if (!status && !routing->tokens_of) status = -ENOMEM;
    for (int r = 0; !status && r < options->ranks; r++) {
        int64_t given = options->tokens_of[r];
        routing->tokens_of[r] = given >= 0 ? (size_t)given : recorded ? routing->tokens : (size_t)options->tokens;
        if (routing->tokens_of[r] <= routing->tokens) continue;
        say("--tokens-of: expected at most the trace's %zu tokens, got %zu", routing->tokens, routing->tokens_of[r]);
        status = -EINVAL;
    }
    if (!status && !recorded) status = routing_draw(options, routing);
    if (status == -ENOMEM) say("out of memory for the routing of %d ranks", options->ranks);
    if (status) routing_free(routing);
    return status;
}

void routing_free(mp_routing_t *routing)
{
    free(routing->expert);
    free(routing->tokens_of);
    *routing = (mp_routing_t){0};
}
