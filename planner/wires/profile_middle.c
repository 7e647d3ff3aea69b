#include "profile.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sizes for which starts are compared: those of calls, 64 KB to 1 GB for each rank. */
#define SIZES 15
#define SIZE_FIRST 65536.0

static int double_compare(const void *left, const void *right)
{
    const double *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, double_compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* The number or link at offset `at` of a profile. */
static double number_at(const hm_profile_t *profile, size_t at)
{
    double number;
    memcpy(&number, (const char *)profile + at, sizeof number);
    return number;
}

static const hm_link_t *link_at(const hm_profile_t *profile, size_t at)
{
    return (const hm_link_t *)(const void *)((const char *)profile + at);
}

/* The start whose link is nearest to the medians of all starts, size by size. The result is one start's link, not a
 * mix. off, values: count doubles of scratch each. */
static int link_nearest(const hm_profile_t *start, int count, size_t at, double *off, double *values)
{
    int nearest = 0;
    memset(off, 0, (size_t)count * sizeof *off);
    for (int i = 0; i < SIZES; i++) {
        double bytes = ldexp(SIZE_FIRST, i);
        for (int s = 0; s < count; s++) values[s] = link_ms(link_at(&start[s], at), bytes);
        double middle = median(values, count);
        for (int s = 0; s < count; s++) {
            double ms = link_ms(link_at(&start[s], at), bytes);
            off[s] += fabs(ms - middle) / (middle > 0 ? middle : 1);
        }
    }
    for (int s = 1; s < count; s++)
        if (off[s] < off[nearest]) nearest = s;
    return nearest;
}

int profile_middle(const hm_profile_t *start, int count, hm_profile_t *middle)
{
    static const size_t numbers[] = {offsetof(hm_profile_t, agree_ms), offsetof(hm_profile_t, identify_ms),
                                     offsetof(hm_profile_t, pack_ms)};
    if (count < 1) return -EINVAL;
    for (int s = 1; s < count; s++)
        if (!profile_same_cluster(&start[s], &start[0])) return -EINVAL;
    double *values = malloc(2 * (size_t)count * sizeof *values), *off = values + count;
    if (values == NULL) return -ENOMEM;
    hm_profile_t made = start[0];
    for (int l = 0; l < made.levels; l++) {
        size_t at = (size_t)l * sizeof(hm_link_t);
        made.intra[l] = start[link_nearest(start, count, offsetof(hm_profile_t, intra) + at, off, values)].intra[l];
        if (l == 0) continue;
        /* Times of few senders belong with those of all. */
        const hm_profile_t *from = &start[link_nearest(start, count, offsetof(hm_profile_t, inter) + at, off, values)];
        made.inter[l] = from->inter[l];
        made.alone_ms[l] = from->alone_ms[l];
        made.few_ms[l] = from->few_ms[l];
    }
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
        for (int s = 0; s < count; s++) values[s] = number_at(&start[s], numbers[n]);
        double number = median(values, count);
        memcpy((char *)&made + numbers[n], &number, sizeof number);
    }
    free(values);
    *middle = made;
    return 0;
}
