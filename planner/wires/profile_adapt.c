/* A profile for a topology that it was not measured on. */
#include "profile.h"

#include <string.h>

static int group_size(const hm_profile_t *profile, int level)
{
    int ranks = profile->groups[profile->levels];
    return (ranks + profile->groups[level] - 1) / profile->groups[level];
}

static int topo_size(const hm_topo_t *topo, int level)
{
    int largest = 0;
    for (int g = 0; g < topo->groups[level]; g++) {
        int size = topo_group_size(topo, level, g);
        if (size > largest) largest = size;
    }
    return largest;
}

/* The deepest profile level from `least` on whose groups hold that many ranks; `least` if none does. */
static int level_holding(const hm_profile_t *profile, int least, int ranks)
{
    int level = least;
    for (int p = least + 1; p <= profile->levels; p++)
        if (group_size(profile, p) >= ranks) level = p;
    return level;
}

void profile_map(const hm_profile_t *profile, const hm_topo_t *topo, bool inside, int map[HM_MAX_LEVELS + 1])
{
    int outermost = profile->levels > 1 ? 1 : 0;
    map[0] = inside ? level_holding(profile, outermost, topo->ranks) : 0;
    for (int l = 1; l <= topo->levels; l++) {
        int least = map[l - 1] < outermost ? outermost : map[l - 1];
        map[l] = !inside && profile->levels == topo->levels ? l : level_holding(profile, least, topo_size(topo, l));
    }
}

/* Share of a buffer that leaves, where it goes to so many peers in equal parts, the own one included. */
static double leaving(double peers)
{
    return (peers - 1) / peers;
}

/* A link's betas are per byte of a whole buffer. The same wire where share `to` of the buffer leaves, not `from`. */
static hm_link_t link_share(hm_link_t link, double from, double to)
{
    if (from == to || !(from > 0) || !(to > 0)) return link; /* unchanged to the last digit */
    link.beta_ms *= to / from;
    link.turn_ms *= to / from;
    link.free_bytes *= from / to;
    link.turn_bytes *= from / to;
    return link;
}

/* The flat exchange takes as long as what leaves the outermost groups; one inside a group, as what leaves a rank. */
static hm_link_t intra_adapt(const hm_profile_t *profile, const hm_topo_t *topo, const int *map, int level)
{
    int from = map[level] < profile->levels ? map[level] : profile->levels - 1;
    if (level == 0 && from == 0)
        return link_share(profile->intra[0], leaving(profile->groups[1]), leaving(topo->groups[1]));
    return link_share(profile->intra[from], leaving(group_size(profile, from)), leaving(topo_size(topo, level)));
}

/* 1 over the share of a level's groups that are idle when every other one sends; 0: none is. */
static double idle_inverse(const int *groups, int level)
{
    int count = groups[level] / groups[level - 1], idle = count / 2;
    return idle == 0 ? 0 : (double)count / idle;
}

double profile_alone(const hm_profile_t *profile, int level)
{
    if (level >= profile->levels) return 1;
    double alone = profile->alone_ms[level], beta = profile->inter[level].beta_ms;
    return alone > 0 && alone < beta ? alone / beta : 1;
}

double profile_shared(const hm_profile_t *profile, int level)
{
    if (level >= profile->levels) return 0;
    double few = profile->few_ms[level], beta = profile->inter[level].beta_ms;
    if (!(few > 0 && few < beta)) return 0;
    double shared = (1 - few / beta) * idle_inverse(profile->groups, level);
    return shared < 1 ? shared : 1;
}

/* Between the groups of a level of `to`, whose groups are set already. */
static void inter_adapt(const hm_profile_t *profile, const int *map, int level, hm_profile_t *to)
{
    int outer = map[level - 1] + 1; /* the outermost step between the two levels is the slow one */
    double peers = (double)to->groups[level] / to->groups[level - 1];
    if (outer >= profile->levels) {
        int last = profile->levels - 1;
        to->inter[level] = link_share(profile->intra[last], leaving(group_size(profile, last)), leaving(peers));
        return;
    }
    double measured = (double)profile->groups[outer] / profile->groups[outer - 1];
    to->inter[level] = link_share(profile->inter[outer], leaving(measured), leaving(peers));
    double beta = to->inter[level].beta_ms, alone = profile_alone(profile, outer);
    double shared = profile_shared(profile, outer), inverse = idle_inverse(to->groups, level);
    if (alone < 1) to->alone_ms[level] = alone * beta;
    if (shared > 0 && inverse > 0) to->few_ms[level] = beta * (shared < inverse ? 1 - shared / inverse : 0);
}

static bool groups_equal(const hm_profile_t *profile, const hm_topo_t *topo)
{
    bool equal = profile->levels == topo->levels;
    for (int l = 1; equal && l <= topo->levels; l++) equal = profile->groups[l] == topo->groups[l];
    return equal;
}

const hm_profile_t *profile_adapt(const hm_profile_t *profile, const hm_topo_t *topo, bool inside, hm_profile_t *room)
{
    int map[HM_MAX_LEVELS + 1];
    if (groups_equal(profile, topo)) return profile;
    hm_profile_t to = *profile;
    to.levels = topo->levels;
    memset(to.groups, 0, sizeof to.groups);
    memcpy(to.groups, topo->groups, ((size_t)topo->levels + 1) * sizeof to.groups[0]);
    memset(to.intra, 0, sizeof to.intra);
    memset(to.inter, 0, sizeof to.inter);
    memset(to.alone_ms, 0, sizeof to.alone_ms);
    memset(to.few_ms, 0, sizeof to.few_ms);
    profile_map(profile, topo, inside, map);
    for (int l = 0; l < topo->levels; l++) {
        to.intra[l] = intra_adapt(profile, topo, map, l);
        if (l > 0) inter_adapt(profile, map, l, &to);
    }
    *room = to;
    return room;
}
