#include "refine.h"

#define RATIO_MOST 256 /* larger errors, up or down, have other causes than the model */
#define SIZE_FIRST 1e6

int refine_size(double bytes)
{
    int size = 0;
    for (double bound = SIZE_FIRST; size < HM_REFINE_SIZES - 1 && bytes >= bound; bound *= 4) size++;
    return size;
}

static bool known(const hm_ratios_t *ratios)
{
    return ratios->count > HM_REFINE_LEAST;
}

void refine_add(hm_refine_t *refine, int size, int depth, double predicted_ms, double measured_ms)
{
    hm_ratios_t *ratios = &refine->depth[size][depth];
    if (!(predicted_ms > 0) || !(measured_ms > 0)) return;
    double ratio = measured_ms / predicted_ms;
    if (ratio > RATIO_MOST) ratio = RATIO_MOST;
    if (ratio < 1.0 / RATIO_MOST) ratio = 1.0 / RATIO_MOST;
    if (ratios->count > 0) ratios->ratio[(ratios->count - 1) % HM_REFINE_KEPT] = ratio;
    ratios->count = ratios->count < UINT32_MAX - HM_REFINE_KEPT ? ratios->count + 1 : HM_REFINE_KEPT + 1;
}

bool refine_take(hm_refine_t *refine, int size, int depth)
{
    bool counts = known(&refine->depth[size][depth]);
    if (counts || !known(&refine->depth[size][refine->latest[size]])) refine->latest[size] = depth;
    if (!counts) return false;
    bool alone = known(&refine->depth[size][0]);
    uint32_t *since = &refine->since[size][depth > 0];
    if (++*since < (depth > 0 && alone ? HM_REFINE_CHECK : HM_REFINE_TRIAL)) return false;
    *since = 0;
    for (int d = 1; alone && d <= HM_MAX_LEVELS; d++)
        if (d != depth) refine->depth[size][d].count = 0;
    return depth > 0;
}

static double median(const hm_ratios_t *ratios)
{
    double sorted[HM_REFINE_KEPT];
    uint32_t count = ratios->count - 1 < HM_REFINE_KEPT ? ratios->count - 1 : HM_REFINE_KEPT;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] > ratios->ratio[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = ratios->ratio[i];
    }
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double refine_factor(const hm_refine_t *refine, int size, int depth)
{
    const hm_ratios_t *ratios = &refine->depth[size][depth];
    if (!known(ratios)) ratios = &refine->depth[size][refine->latest[size]];
    return known(ratios) ? median(ratios) : 1;
}
