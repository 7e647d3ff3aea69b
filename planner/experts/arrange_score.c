#include "arrange_score.h"

#include "call/cost_padded.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct hm_score {
    const hm_topo_t *topo;
    int experts, terms;
    hm_cost_term_t term[HM_MAX_LEVELS];
    double scale, compute_ms;
    size_t tokens;                     /* that times are of */
    hm_link_t link[HM_MAX_LEVELS + 1]; /* that moves between groups of a level take */
    double peers[HM_MAX_LEVELS + 1], expert_bytes;
    uint32_t *hits, *seen; /* [ranks] */
    uint16_t *group;       /* [experts] of one level */
};

static void links_set(hm_score_t *score, const hm_profile_t *profile)
{
    hm_profile_t room;
    const hm_topo_t *topo = score->topo;
    profile = profile_adapt(profile, topo, false, &room);
    for (int l = 1; l <= topo->levels; l++) {
        score->link[l] = l < topo->levels ? profile->inter[l] : profile->intra[l - 1];
        score->peers[l] = (double)topo->groups[l] / topo->groups[l - 1];
    }
}

int score_create(const hm_topo_t *topo, const hm_profile_t *profile, const hm_arrange_options_t *options, int experts,
                 size_t tokens, hm_score_t **out)
{
    if (options->depth < 1 || options->depth > topo->levels || experts < 1 || topo->ranks > 65536) return -EINVAL;
    hm_score_t *score = calloc(1, sizeof *score);
    if (score == NULL) return -ENOMEM;
    score->topo = topo;
    score->experts = experts;
    score->tokens = tokens;
    score->terms = cost_terms(topo, profile, options->row_bytes, options->depth, score->term);
    score->scale = options->by.scale;
    score->compute_ms = options->by.compute_ms;
    score->expert_bytes = options->by.expert_bytes;
    links_set(score, profile);
    score->hits = malloc(2 * (size_t)topo->ranks * sizeof *score->hits);
    score->group = malloc((size_t)experts * sizeof *score->group);
    if (score->hits == NULL || score->group == NULL) {
        score_destroy(score);
        return -ENOMEM;
    }
    score->seen = score->hits + topo->ranks;
    *out = score;
    return 0;
}

void score_destroy(hm_score_t *score)
{
    if (score == NULL) return;
    free(score->hits);
    free(score->group);
    free(score);
}

int score_check(const hm_score_t *score, const hm_routes_t *routes)
{
    if (routes->tokens == 0 || routes->top_k < 1 || routes->tokens >= UINT32_MAX) return -EINVAL;
    for (size_t i = 0; i < routes->tokens * (size_t)routes->top_k; i++)
        if (routes->ids[i] >= score->experts) return -EINVAL;
    return 0;
}

/* Distinct rows, or all rows, of the group of a level that gets most. */
static double rows_most(hm_score_t *score, const hm_routes_t *routes, const int *rank, int level, bool copies)
{
    const hm_topo_t *topo = score->topo;
    int groups = topo->groups[level], top_k = routes->top_k;
    uint32_t most = 0;
    for (int e = 0; e < score->experts; e++) score->group[e] = (uint16_t)topo->group[level][rank[e]];
    memset(score->hits, 0, (size_t)groups * sizeof *score->hits);
    memset(score->seen, 0, (size_t)groups * sizeof *score->seen);
    for (size_t t = 0; t < routes->tokens; t++) {
        const uint16_t *ids = routes->ids + t * (size_t)top_k;
        for (int k = 0; k < top_k; k++) {
            int g = score->group[ids[k]];
            if (!copies && score->seen[g] == (uint32_t)t + 1) continue;
            score->seen[g] = (uint32_t)t + 1;
            score->hits[g]++;
        }
    }
    for (int g = 0; g < groups; g++)
        if (score->hits[g] > most) most = score->hits[g];
    return most;
}

double score_ms(hm_score_t *score, const hm_routes_t *routes, const int *rank)
{
    double ms = 0, rows = score->scale * (double)score->tokens / (double)routes->tokens;
    for (int i = 0; i < score->terms; i++)
        ms += score->term[i].alpha_ms +
              score->term[i].ms_per_row * rows * rows_most(score, routes, rank, score->term[i].level, false);
    if (score->compute_ms > 0)
        ms += score->compute_ms * rows * rows_most(score, routes, rank, score->topo->levels, true);
    return ms;
}

/* The outermost level at which two ranks are in different groups; 0 for one rank. */
static int level_parting(const hm_topo_t *topo, int a, int b)
{
    for (int l = 1; l <= topo->levels; l++)
        if (topo->group[l][a] != topo->group[l][b]) return l;
    return 0;
}

double score_move_ms(hm_score_t *score, const int *from, const int *to)
{
    double ms = 0;
    uint32_t *sent = score->hits, *received = score->seen;
    for (int l = 1; l <= score->topo->levels; l++) {
        uint32_t most = 0;
        memset(sent, 0, (size_t)score->topo->ranks * sizeof *sent);
        memset(received, 0, (size_t)score->topo->ranks * sizeof *received);
        for (int e = 0; e < score->experts; e++) {
            if (level_parting(score->topo, from[e], to[e]) != l) continue;
            if (++sent[from[e]] > most) most = sent[from[e]];
            if (++received[to[e]] > most) most = received[to[e]];
        }
        if (most > 0)
            ms += score->link[l].alpha_ms +
                  most * score->expert_bytes * link_leaving_beta(&score->link[l], score->peers[l]);
    }
    return ms;
}
