/* Row counts of one all-to-all, the same on all ranks.
 *
 * Raw rows of a source for a rank are what plain NCCL would send, copies included. Distinct rows for a group of a level
 * are those without copies: each row once. */
#ifndef HM_TABLE_H
#define HM_TABLE_H

#include "topo.h"

typedef struct hm_table {
    size_t row_bytes;
    const uint32_t *raw;                         /* [source * ranks + rank] rows of the source for the rank */
    const uint32_t *distinct[HM_MAX_LEVELS + 1]; /* [level 1..levels][source * groups[level] + group] distinct rows */
} hm_table_t;

static inline uint32_t table_raw(const hm_topo_t *topo, const hm_table_t *table, int source, int rank)
{
    return table->raw[(size_t)source * (size_t)topo->ranks + (size_t)rank];
}

/* Raw rows of a source for all ranks of a group. */
static inline size_t table_raw_group(const hm_topo_t *topo, const hm_table_t *table, int source, int level, int group)
{
    size_t rows = 0;
    for (int p = topo->start[level][group]; p < topo->start[level][group + 1]; p++)
        rows += table_raw(topo, table, source, topo->order[p]);
    return rows;
}

static inline uint32_t table_distinct(const hm_topo_t *topo, const hm_table_t *table, int source, int level, int group)
{
    return table->distinct[level][(size_t)source * (size_t)topo->groups[level] + (size_t)group];
}

/* Share of a call's rows that are copies when each row need go once to each group (2508.09591, Table II): 0..1, 0
 * without rows. `distinct` and `raw`: rows summed over sources and groups. */
static inline double table_duplication(double distinct, double raw)
{
    return raw > 0 ? 1 - distinct / raw : 0;
}

#endif
