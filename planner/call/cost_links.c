#include "cost_links.h"

#include "message.h"
#include "traffic.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* Doubles that the counts of any depth fit in; the flat exchange takes 4 for each rank. */
static size_t links_bytes(const hm_topo_t *topo)
{
    size_t depth = (size_t)topo->levels, kinds = 2 * depth * depth;
    return (kinds > 4 ? kinds : 4) * (size_t)topo->ranks;
}

size_t cost_links_memory(const hm_topo_t *topo)
{
    return links_bytes(topo) + (size_t)topo->ranks + traffic_scratch(topo, topo->levels); /* see cost_links_predict */
}

/* The bytes of one rank that take the fitted time of a wire between the groups of a level. The fit had all ranks
 * equally busy. Where the ranks of a group share a wire, a busier rank pays for `alone` of its bytes, or for the mean
 * of its group if that is more; as far as groups share one (`shared`), for the mean of all. bytes: [2 * ranks] sent,
 * received. */
static double busiest(const hm_topo_t *topo, int level, const double *bytes, double alone, double shared)
{
    double most = 0, all = 0;
    for (int way = 0; way < 2; way++, bytes += topo->ranks) {
        for (int g = 0; g < topo->groups[level]; g++) {
            double sum = 0;
            for (int p = topo->start[level][g]; p < topo->start[level][g + 1]; p++) {
                double one = bytes[topo->order[p]];
                sum += one;
                if (one * alone > most) most = one * alone;
            }
            all += sum / (2 * topo->ranks);
            sum /= topo_group_size(topo, level, g);
            if (sum > most) most = sum;
        }
    }
    return all < most ? most + shared * (all - most) : most;
}

/* Time of so many bytes that leave a rank among `peers` groups. The fit's bytes include the share that stays. */
static double wire_ms(const hm_link_t *link, double bytes, double peers)
{
    return link_ms(link, peers > 1 ? bytes * peers / (peers - 1) : 0);
}

/* Time of all steps. Within a step all kinds of link work at once, and steps of different slices overlap: the first
 * slice goes through all steps, then the longest step sets the pace. */
static double depth_time(const hm_topo_t *topo, const hm_profile_t *profile, const double *bytes, int depth, int slices)
{
    double sum = 0, longest = 0;
    for (int step = 0; step < depth; step++) {
        double slowest = 0;
        for (int used = 0; used < depth; used++) {
            const double *kind = bytes + (size_t)(step * depth + used) * 2 * (size_t)topo->ranks;
            int last = used == depth - 1, level = last ? topo->levels : used + 1;
            double most = busiest(topo, level, kind, last ? 1 : profile_alone(profile, level),
                                  last ? 0 : profile_shared(profile, level));
            if (most <= 0) continue;
            const hm_link_t *link = last ? &profile->intra[used] : &profile->inter[used + 1];
            double ms = wire_ms(link, most, (double)topo->groups[level] / topo->groups[used]) / slices;
            /* Links between groups were timed in slices, so that their alpha is that of all slices. */
            if (last) ms += link->alpha_ms - link->alpha_ms / slices;
            if (ms > slowest) slowest = ms;
        }
        sum += slowest;
        if (slowest > longest) longest = slowest;
    }
    return sum + (slices - 1) * longest;
}

/* Time of the flat exchange counted in `bytes`: what leaves the outermost group goes at the measured flat speed, the
 * rest at that of the inside. */
static double flat_time(const hm_topo_t *topo, const hm_profile_t *profile, const double *bytes)
{
    size_t ranks = (size_t)topo->ranks;
    const hm_link_t *flat = &profile->intra[0];
    double alone = profile_alone(profile, 1), in = 0;
    double shared = profile_shared(profile, 1);
    double out = wire_ms(flat, busiest(topo, 1, bytes, alone, shared), topo->groups[1]);
    if (topo->levels > 1)
        in = wire_ms(&profile->intra[1], busiest(topo, topo->levels, bytes + 2 * ranks, 1, 0),
                     (double)topo->ranks / topo->groups[1]);
    return out > in ? out : in;
}

/* From the flat exchange of plain rows counted in `bytes`: bytes that the busiest rank looks at, the most bytes that
 * any rank moves beside the transfers, and received[rank], bytes that each rank writes to its receive buffers
 * otherwise. */
static void raw_count(const hm_topo_t *topo, const hm_table_t *table, const double *bytes, bool own_beside,
                      double *looked, double *kept, double *received)
{
    size_t ranks = (size_t)topo->ranks;
    *looked = *kept = 0;
    for (size_t r = 0; r < ranks; r++) {
        double own = (double)table->raw[r * ranks + r] * (double)table->row_bytes;
        double sent = bytes[r] + bytes[2 * ranks + r] + own;
        received[r] = bytes[ranks + r] + bytes[3 * ranks + r] + (own_beside ? 0 : own);
        if (sent > *looked) *looked = sent;
        if (own_beside && own > *kept) *kept = own;
    }
}

/* Share of the rows of the flat exchange that their outermost group gets more than once. */
static double copies_count(const hm_topo_t *topo, const hm_table_t *table, const double *bytes)
{
    size_t ranks = (size_t)topo->ranks, groups = (size_t)topo->groups[1];
    double all = 0;
    uint64_t distinct = 0;
    for (size_t r = 0; r < ranks; r++) {
        all += bytes[r] + bytes[2 * ranks + r] + (double)table->raw[r * ranks + r] * (double)table->row_bytes;
        for (size_t g = 0; g < groups; g++) distinct += table->distinct[1][r * groups + g];
    }
    return table_duplication((double)distinct * (double)table->row_bytes, all);
}

/* Bytes that the busiest rank writes to messages and receive buffers. kinds: blocks of 2 * ranks counts as in
 * traffic_deep. */
static double written_most(const hm_topo_t *topo, const double *bytes, size_t kinds, const double *received)
{
    size_t ranks = (size_t)topo->ranks;
    double most = 0;
    for (size_t r = 0; r < ranks; r++) {
        double sum = received[r];
        for (size_t k = 0; k < kinds; k++) sum += bytes[k * 2 * ranks + r];
        if (sum > most) most = sum;
    }
    return most;
}

/* What replacing a call adds to an exchange of `ms`. Where ranks share a wire, some pack later slices while others keep
 * it busy, in the time that one rank alone would not need. */
static double depth_extra(const hm_profile_t *profile, double looked, double written, double ms, double alone,
                          int slices)
{
    double pack = profile->pack_ms * written, later = pack - pack / slices;
    double room = (1 - alone) * (ms - ms / slices);
    return profile->agree_ms + profile->identify_ms * looked + pack - (later < room ? later : room);
}

int cost_links_predict(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table, const int *slices,
                       const hm_cost_options_t *options, hm_cost_t *cost)
{
    hm_profile_t room;
    double looked, kept, *memory = options->memory;
    int lanes = options->lanes > 1 ? options->lanes : 1;
    double *bytes = memory != NULL ? memory : malloc(cost_links_memory(topo) * sizeof *bytes);
    if (bytes == NULL) return -ENOMEM;
    double *received = bytes + links_bytes(topo), *scratch = received + topo->ranks;
    profile = profile_adapt(profile, topo, false, &room);
    double alone = profile_alone(profile, 1);
    traffic_flat(topo, table, false, bytes);
    cost->ms[0] = flat_time(topo, profile, bytes);
    cost->copies = copies_count(topo, table, bytes);
    raw_count(topo, table, bytes, options->own_beside, &looked, &kept, received);
    for (int d = 1; d <= topo->levels; d++) {
        if (d == 1) {
            traffic_flat(topo, table, true, bytes);
            cost->ms[d] = flat_time(topo, profile, bytes);
        } else {
            size_t width = message_width(table->row_bytes, (size_t)lanes * (size_t)slices[d]);
            traffic_deep(topo, table, d, lanes, width, bytes, scratch);
            cost->ms[d] = depth_time(topo, profile, bytes, d, slices[d]);
        }
        if (cost->ms[d] < profile->pack_ms * kept) cost->ms[d] = profile->pack_ms * kept;
        double written = written_most(topo, bytes, d == 1 ? 2 : (size_t)(d * d), received);
        cost->extra_ms[d] = depth_extra(profile, looked, written, cost->ms[d], alone, slices[d]);
    }
    if (memory == NULL) free(bytes);
    return 0;
}

/* Bytes that the busiest rank reads to add them, or moves, in a call along a kept way: the rows that it sends and what
 * comes in. */
static double kept_read_most(const hm_topo_t *topo, const hm_table_t *table, bool back, const double *bytes,
                             size_t kinds)
{
    size_t ranks = (size_t)topo->ranks;
    double most = 0;
    for (size_t r = 0; r < ranks; r++) {
        double sum = 0;
        for (size_t p = 0; p < ranks; p++) sum += (double)table->raw[back ? p * ranks + r : r * ranks + p];
        sum *= (double)table->row_bytes;
        for (size_t k = 0; k < kinds; k++) sum += bytes[(2 * k + 1) * ranks + r];
        if (sum > most) most = sum;
    }
    return most;
}

int cost_links_kept(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table, const int *slices,
                    const hm_cost_options_t *options, bool back, hm_cost_t *cost)
{
    hm_profile_t room;
    double *memory = options->memory;
    int lanes = options->lanes > 1 ? options->lanes : 1;
    double *bytes = memory != NULL ? memory : malloc(cost_links_memory(topo) * sizeof *bytes);
    if (bytes == NULL) return -ENOMEM;
    profile = profile_adapt(profile, topo, false, &room);
    *cost = (hm_cost_t){.levels = topo->levels};
    traffic_flat_kept(topo, table, false, back, bytes);
    cost->ms[0] = flat_time(topo, profile, bytes);
    for (int d = 1; d <= topo->levels; d++) {
        if (d == 1) {
            traffic_flat_kept(topo, table, true, back, bytes);
            cost->ms[d] = flat_time(topo, profile, bytes);
        } else {
            size_t width = message_width(table->row_bytes, (size_t)lanes * (size_t)slices[d]);
            traffic_deep_kept(topo, table, d, lanes, width, back, bytes,
                              bytes + links_bytes(topo) + (size_t)topo->ranks);
            cost->ms[d] = depth_time(topo, profile, bytes, d, slices[d]);
        }
        double read = kept_read_most(topo, table, back, bytes, d == 1 ? 2 : (size_t)(d * d));
        cost->extra_ms[d] = profile->pack_ms * (back ? HM_COST_SUM : 1) * read;
    }
    if (memory == NULL) free(bytes);
    return 0;
}

void cost_links_add(hm_cost_t *cost, const hm_cost_t *more, double times)
{
    for (int d = 0; d <= cost->levels; d++) {
        cost->ms[d] += times * more->ms[d];
        cost->extra_ms[d] += times * more->extra_ms[d];
    }
}
