#include "profile.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sizes that calls have: 256 KB to 256 MB a rank, two for each doubling, so that a link's bends lie between enough. */
#define SIZES 21
#define SIZE_FIRST 262144.0

static int double_compare(const void *left, const void *right)
{
    const double *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), double_compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* The link at offset `at` of a profile. */
static const hm_link_t *link_at(const hm_profile_t *profile, size_t at)
{
    return (const hm_link_t *)(const void *)((const char *)profile + at);
}

/* Fits medians over all starts, size by size: what one start was unlucky with does not bend the link. */
static int link_middle(const hm_profile_t *start, int count, size_t at, double *values, hm_link_t *middle)
{
    hm_timing_t timing[SIZES];
    uint32_t samples = 0;
    for (int s = 0; s < count; s++) samples += link_at(&start[s], at)->samples;
    for (int i = 0; i < SIZES; i++) {
        double bytes = SIZE_FIRST * exp2(i / 2.0);
        for (int s = 0; s < count; s++) values[s] = link_ms(link_at(&start[s], at), bytes);
        timing[i] = (hm_timing_t){bytes, median(values, count), 1};
    }
    int rc = fit_bend(timing, SIZES, middle);
    if (rc != 0) return rc;
    middle->samples = samples;
    if (samples == 0) middle->r2 = NAN;
    return 0;
}

static double number_middle(const hm_profile_t *start, int count, size_t at, double *values)
{
    for (int s = 0; s < count; s++) memcpy(&values[s], (const char *)&start[s] + at, sizeof(values[s]));
    return median(values, count);
}

/* What a few ranks pay of a level's beta; 1 where a start does not say. */
static double share_middle(const hm_profile_t *start, int count, size_t at, int level, double *values)
{
    for (int s = 0; s < count; s++) {
        double beta, all = start[s].inter[level].beta_ms;
        memcpy(&beta, (const char *)&start[s] + at, sizeof(beta));
        values[s] = beta > 0 && beta < all ? beta / all : 1;
    }
    return median(values, count);
}

static int level_middle(const hm_profile_t *start, int count, int level, double *values, hm_profile_t *middle)
{
    size_t l = (size_t)level, beta_at = l * sizeof(double);
    int rc =
        link_middle(start, count, offsetof(hm_profile_t, intra) + l * sizeof(hm_link_t), values, &middle->intra[level]);
    if (rc != 0 || level == 0) return rc;
    rc =
        link_middle(start, count, offsetof(hm_profile_t, inter) + l * sizeof(hm_link_t), values, &middle->inter[level]);
    double beta = middle->inter[level].beta_ms;
    middle->alone_ms[level] =
        beta * share_middle(start, count, offsetof(hm_profile_t, alone_ms) + beta_at, level, values);
    middle->few_ms[level] = beta * share_middle(start, count, offsetof(hm_profile_t, few_ms) + beta_at, level, values);
    return rc;
}

int profile_middle(const hm_profile_t *start, int count, hm_profile_t *middle)
{
    static const size_t numbers[] = {offsetof(hm_profile_t, agree_ms), offsetof(hm_profile_t, identify_ms),
                                     offsetof(hm_profile_t, pack_ms)};
    int rc = 0;
    if (count < 1) return -EINVAL;
    for (int s = 1; s < count; s++)
        if (!profile_same_cluster(&start[s], &start[0])) return -EINVAL;
    double *values = malloc((size_t)count * sizeof(*values));
    if (values == NULL) return -ENOMEM;
    hm_profile_t made = start[0];
    for (int l = 0; l < made.levels && rc == 0; l++) rc = level_middle(start, count, l, values, &made);
    for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
        double number = number_middle(start, count, numbers[n], values);
        memcpy((char *)&made + numbers[n], &number, sizeof(number));
    }
    free(values);
    if (rc == 0) *middle = made;
    return rc;
}
