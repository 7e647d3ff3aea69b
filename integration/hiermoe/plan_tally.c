#include "plan_tally.h"

#include "command.h"

#include <stdlib.h>
#include <string.h>

void plan_tally_free(hm_plan_tally_t *tally)
{
    free(tally->memory);
    free(tally->sums);
}

int plan_tally_create(const hm_topo_t *topo, hm_plan_tally_t *tally)
{
    size_t words = count_scratch(topo), ranks = (size_t)topo->ranks;
    *tally = (hm_plan_tally_t){.topo = topo};
    tally->memory = malloc((ranks + 2 * words) * sizeof(*tally->memory));
    tally->sums = calloc(ranks + words, sizeof(*tally->sums));
    if (tally->memory == NULL || tally->sums == NULL) {
        plan_tally_free(tally);
        return command_fail("out of memory");
    }
    tally->raw = tally->memory;
    tally->seen = tally->memory + ranks + words;
    tally->sum_raw = tally->sums;
    for (size_t l = 1, at = ranks; l <= (size_t)topo->levels; at += (size_t)topo->groups[l], l++) {
        tally->distinct[l] = tally->memory + at;
        tally->sum[l] = tally->sums + at;
    }
    return 0;
}

/* Rows of one source that leave its outermost group: [0] every copy, [1] one per GPU, [2] one per group. */
static void tally_out(const hm_plan_tally_t *tally, int source, double out[3])
{
    const hm_topo_t *topo = tally->topo;
    int own = topo->group[1][source];
    for (int r = 0; r < topo->ranks; r++) {
        if (topo->group[1][r] == own) continue;
        out[0] += tally->raw[r];
        out[1] += tally->distinct[topo->levels][topo->group[topo->levels][r]];
    }
    for (int g = 0; g < topo->groups[1]; g++)
        if (g != own) out[2] += tally->distinct[1][g];
}

void plan_tally_add(const hm_plan_tally_t *tally, int source, hm_plan_counts_t *counts)
{
    const hm_topo_t *topo = tally->topo;
    size_t ranks = (size_t)topo->ranks;
    tally_out(tally, source, counts->out);
    for (size_t r = 0; r < ranks; r++) tally->sum_raw[r] += tally->raw[r];
    for (int l = 1; l <= topo->levels; l++)
        for (int g = 0; g < topo->groups[l]; g++) tally->sum[l][g] += tally->distinct[l][g];
    if (counts->raw_table == NULL) return;
    memcpy(counts->raw_table + (size_t)source * ranks, tally->raw, ranks * sizeof(*tally->raw));
    for (int l = 1; l <= topo->levels; l++) {
        size_t groups = (size_t)topo->groups[l];
        memcpy(counts->table[l] + (size_t)source * groups, tally->distinct[l], groups * sizeof(uint32_t));
    }
}

static void sum_up(const uint64_t *sums, int count, double scale, double *total, double *most)
{
    *total = *most = 0;
    for (int i = 0; i < count; i++) {
        double rows = (double)sums[i] * scale;
        *total += rows;
        if (rows > *most) *most = rows;
    }
}

void plan_tally_finish(const hm_plan_tally_t *tally, double scale, hm_plan_counts_t *counts)
{
    const hm_topo_t *topo = tally->topo;
    sum_up(tally->sum_raw, topo->ranks, scale, &counts->raw, &counts->hits.raw);
    for (int l = 1; l <= topo->levels; l++)
        sum_up(tally->sum[l], topo->groups[l], scale, &counts->distinct[l], &counts->hits.level[l]);
    for (int i = 0; i < 3; i++) counts->out[i] *= scale / topo->ranks;
}
