/* How much a dispatch that is kept takes, for all ranks from the table alone. */
#include "kept_parts.h"

/* One hop: the rows of a source for a group, from `from` to `to`. */
typedef struct hop {
    int source, from, to;
    bool first_lane;
    int several; /* the group has more than one rank */
    size_t rows; /* for the group */
    size_t own;  /* for `to` alone */
} hop_t;

static void hop_count(const hop_t *hop, hm_kept_count_t *kept)
{
    hm_kept_count_t *from = &kept[hop->from], *to = &kept[hop->to];
    from->rows += hop->rows;
    to->rows += hop->rows;
    from->areas++;
    to->areas++;
    from->words += hop->rows; /* which rows are sent */
    from->arrays++;
    if (hop->source != hop->from || hop->first_lane) from->children += hop->rows; /* sums at the root serve all lanes */
    if (!hop->several) return;
    to->words += hop->own; /* which rows are for `to` */
    to->arrays++;
    to->rows += hop->own; /* its own sums */
    to->areas++;
    to->sums += hop->rows;
    to->children += hop->own;
}

static void lane_count(const hm_paths_t *paths, const hm_table_t *table, hm_kept_count_t *kept)
{
    const hm_topo_t *topo = paths->topo;
    for (int s = 0; s < topo->ranks; s++)
        for (int r = 0; r < topo->ranks; r++) {
            const hm_path_t *path = &paths->path[(size_t)s * (size_t)topo->ranks + (size_t)r];
            if (path->step == 0) continue;
            int level = paths->level[path->level], group = topo->group[level][r];
            hop_t hop = {.source = s, .from = path->prev, .to = r, .first_lane = paths->lane == 0};
            hop.several = topo_group_size(topo, level, group) > 1;
            hop.rows = table_distinct(topo, table, s, level, group);
            hop.own = table_distinct(topo, table, s, topo->levels, topo->pos[r]);
            hop_count(&hop, kept);
        }
}

/* What a rank keeps of its own rows and of those that it got, whatever way they came. */
static void rank_count(const hm_load_t *load, int rank, int lanes, hm_kept_count_t *count)
{
    const hm_topo_t *topo = load->place->topo;
    size_t n = (size_t)topo->ranks, own = table_distinct(topo, load->table, rank, topo->levels, topo->pos[rank]);
    *count = (hm_kept_count_t){.rows = (size_t)lanes * own, .areas = (size_t)lanes, .arrays = n + 6};
    count->words = load->distinct[rank] + own + 1;  /* first, own, filler */
    count->sums = 2 * (size_t)load->distinct[rank]; /* at the root, in two ways */
    count->children = own;
    for (int r = 0; r < topo->ranks; r++) {
        size_t in = table_raw(topo, load->table, r, rank);
        size_t out = table_raw(topo, load->table, rank, r);
        count->words += out + in; /* ids, maps */
        count->sums += table_distinct(topo, load->table, r, topo->levels, topo->pos[rank]);
        count->children += out + in;
    }
}

void kept_count(const hm_carry_t *carry, const hm_load_t *load)
{
    int lanes = place_lanes(load->place, load->depth);
    for (int r = 0; r < load->place->topo->ranks; r++) rank_count(load, r, lanes, &carry->kept[r]);
    for (int lane = 0; lane < lanes; lane++)
        lane_count(carry->routes.depth[load->depth].paths[lane], load->table, carry->kept);
}

size_t kept_count_bytes(const hm_kept_count_t *count, const hm_channel_t *channel)
{
    size_t words = count->words + count->sums + 1 + count->children;
    return words * sizeof(uint32_t) + count->arrays * HM_ALIGN + channel->kernels->invert_bytes(count->sums);
}

size_t kept_need(const hm_carry_t *carry, const hm_channel_t *channel, const hm_load_t *load)
{
    size_t most = 0;
    kept_count(carry, load);
    for (int r = 0; r < load->place->topo->ranks; r++) {
        size_t bytes = kept_count_bytes(&carry->kept[r], channel);
        if (bytes > most) most = bytes;
    }
    return most;
}
