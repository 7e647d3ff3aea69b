#include "cost_padded.h"

#include <errno.h>

enum { COLUMNS = 64 }; /* summed together, row by row as they lie in memory */

static double column_max(const hm_topo_t *topo, const uint32_t *rows, int columns)
{
    uint64_t most = 0;
    for (int first = 0; first < columns; first += COLUMNS) {
        uint64_t sum[COLUMNS] = {0};
        int count = columns - first < COLUMNS ? columns - first : COLUMNS;
        for (int s = 0; s < topo->ranks; s++)
            for (int i = 0; i < count; i++) sum[i] += rows[(size_t)s * (size_t)columns + (size_t)(first + i)];
        for (int i = 0; i < count; i++)
            if (sum[i] > most) most = sum[i];
    }
    return (double)most;
}

static double rows_sum(const uint32_t *rows, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += rows[i];
    return (double)sum;
}

void cost_hits(const hm_topo_t *topo, const hm_table_t *table, hm_hits_t *hits)
{
    *hits = (hm_hits_t){.row_bytes = table->row_bytes, .raw = column_max(topo, table->raw, topo->ranks)};
    for (int l = 1; l <= topo->levels; l++) hits->level[l] = column_max(topo, table->distinct[l], topo->groups[l]);
    size_t ranks = (size_t)topo->ranks;
    hits->copies = table_duplication(rows_sum(table->distinct[1], ranks * (size_t)topo->groups[1]),
                                     rows_sum(table->raw, ranks * ranks));
}

/* Share of the heaviest group's rows that one rank's buffer holds at a level: counts are summed over all senders, so
 * U[i] / G. */
static double term_share(const hm_topo_t *topo, int level)
{
    return (double)topo->groups[level] / topo->ranks;
}

int cost_terms(const hm_topo_t *topo, const hm_profile_t *profile, size_t row_bytes, int depth,
               hm_cost_term_t term[HM_MAX_LEVELS])
{
    hm_profile_t room;
    profile = profile_adapt(profile, topo, false, &room);
    for (int i = 0; i < depth; i++) {
        bool last = i == depth - 1;
        int level = last ? topo->levels : i + 1;
        const hm_link_t *link = last ? &profile->intra[i] : &profile->inter[i + 1];
        term[i] = (hm_cost_term_t){level, term_share(topo, level) * (double)row_bytes * link->beta_ms, link->alpha_ms};
    }
    return depth;
}

/* A stage's time without its start-up, as a term has it, but with the link's bends. */
static double stage_ms(const hm_topo_t *topo, const hm_link_t *link, const hm_hits_t *hits, int level)
{
    return link_wire_ms(link, hits->level[level] * term_share(topo, level) * (double)hits->row_bytes);
}

/* Stages of `ms` (start-up in alpha) in slices: the first slice passes through all, the longest stage paces the rest.
 */
static double stages_time(const double *alpha, const double *ms, int stages, int slices)
{
    double sum = 0, longest = 0;
    for (int i = 0; i < stages; i++) {
        double slice = alpha[i] + ms[i] / slices;
        sum += slice;
        if (slice > longest) longest = slice;
    }
    return sum + (slices - 1) * longest;
}

int cost_predict_hits(const hm_topo_t *topo, const hm_profile_t *profile, const hm_hits_t *hits, int slices,
                      hm_cost_t *cost)
{
    hm_profile_t room;
    if (slices < 1) return -EINVAL;
    *cost = (hm_cost_t){.levels = topo->levels};
    cost->copies = hits->copies;
    profile = profile_adapt(profile, topo, false, &room);
    double raw_bytes = hits->raw * (double)hits->row_bytes;
    cost->ms[0] = link_ms(&profile->intra[0], raw_bytes);
    for (int d = 1; d <= topo->levels; d++) {
        double alpha[HM_MAX_LEVELS], ms[HM_MAX_LEVELS], rows = hits->level[topo->levels];
        for (int i = 0; i < d; i++) {
            const hm_link_t *link = i < d - 1 ? &profile->inter[i + 1] : &profile->intra[i];
            alpha[i] = link->alpha_ms;
            ms[i] = stage_ms(topo, link, hits, i < d - 1 ? i + 1 : topo->levels);
            if (i < d - 1) rows += hits->level[i + 1] * topo->groups[i + 1] / topo->ranks;
        }
        cost->ms[d] = stages_time(alpha, ms, d, d > 1 ? slices : 1);
        cost->extra_ms[d] = profile->agree_ms + profile->identify_ms * raw_bytes +
                            profile->pack_ms * (raw_bytes + rows * (double)hits->row_bytes);
    }
    return 0;
}
