#include "cost.h"

#include <errno.h>

size_t cost_memory(const hm_topo_t *topo, hm_cost_model_t model)
{
    return model == HM_COST_LINKS || model == HM_COST_LINKS_SLICED ? cost_links_memory(topo) : 0;
}

int cost_predict(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table,
                 const hm_cost_options_t *options, hm_cost_t *cost)
{
    hm_cost_t result;
    hm_hits_t hits;
    bool sliced = options->model == HM_COST_PADDED_SLICED || options->model == HM_COST_LINKS_SLICED;
    int slices = sliced ? options->slices : 1;
    if ((unsigned)options->model >= HM_COST_MODELS || slices < 1) return -EINVAL;
    if (options->lanes != 0 && options->lanes != 1 && options->lanes != topo_lanes(topo)) return -EINVAL;
    bool links = options->model >= HM_COST_LINKS;
    int rc = 0;
    result = (hm_cost_t){.levels = topo->levels};
    if (!links) {
        cost_hits(topo, table, &hits);
        rc = cost_predict_hits(topo, profile, &hits, slices, &result);
    }
    int each[HM_MAX_LEVELS + 1];
    for (int d = 0; d <= topo->levels; d++)
        each[d] = !sliced || d < 2 ? 1 : options->slices_at != NULL ? options->slices_at[d] : slices;
    if (links) rc = cost_links_predict(topo, profile, table, each, options, &result);
    if (rc == 0) *cost = result;
    return rc;
}

int cost_depth_best(const hm_cost_t *cost)
{
    int best = cost->levels > 1 ? 2 : 1;
    for (int d = best + 1; d <= cost->levels; d++)
        if (cost->ms[d] < cost->ms[best]) best = d;
    return cost->ms[1] < cost->ms[best] ? 1 : best;
}

int cost_depth_choose(const hm_cost_t *cost)
{
    double believed = cost->copies < HM_COST_COPIES ? cost->copies / HM_COST_COPIES : 1;
    double margin = HM_COST_MARGIN_NO_COPIES - (HM_COST_MARGIN_NO_COPIES - HM_COST_MARGIN) * believed;
    int best = 1;
    for (int d = 2; d <= cost->levels; d++)
        if (cost->ms[d] + cost->extra_ms[d] < cost->ms[best] + cost->extra_ms[best]) best = d;
    return cost->ms[best] + cost->extra_ms[best] < (1 - margin) * cost->ms[0] ? best : 0;
}

/* Lower bound of a buffer's time without start-up: by the smaller of the link's two slopes. */
static double link_floor(const hm_link_t *link, double bytes)
{
    double held = bytes - link->free_bytes, beta = link->beta_ms + (link->turn_ms < 0 ? link->turn_ms : 0);
    return held > 0 ? held * beta : 0;
}

double cost_floor(const hm_topo_t *topo, const hm_profile_t *profile, size_t row_bytes, double rows_out)
{
    hm_profile_t room;
    double peers = topo->groups[1], bytes = peers > 1 ? rows_out * (double)row_bytes * peers / (peers - 1) : 0;
    profile = profile_adapt(profile, topo, false, &room);
    double flat = link_floor(&profile->intra[0], bytes);
    double inter = topo->levels > 1 ? link_floor(&profile->inter[1], bytes) : flat;
    return flat < inter ? flat : inter;
}
