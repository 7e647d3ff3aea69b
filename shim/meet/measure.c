#define _GNU_SOURCE
#include "measure.h"

#include "base/log.h"
#include "base/settings.h"
#include "measure_flavour.h"

#include "planner/wires/fit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET_MS 8000.0
#define ROUNDS 5
#define VISIT 3 /* repeats of a size in a round: what others leave in caches and on wires slows the first */
#define SERIES_MAX (3 + 4 * HM_MAX_LEVELS)

static const char *const flavour_names[] = {"identify", "pack", "agree", "intra", "alone", "inter", "few"};

/* Timings of one flavour at one level. */
typedef struct series {
    hm_flavour_t flavour;
    int level;
    double weight; /* of its claim on the budget */
    int count;
    size_t bytes[HM_MEASURE_SIZES];
    double ms[HM_MEASURE_SIZES][ROUNDS * VISIT];
    int repeats[HM_MEASURE_SIZES];
} series_t;

/* All series. Their sizes and repeats follow from times that all ranks know, so all ranks do the same. */
typedef struct course {
    hm_measure_t measure;
    double left_ms; /* of the budget */
    int count;
    series_t series[SERIES_MAX];
} course_t;

int measure_sizes_parse(const char *text, hm_measure_sizes_t *sizes)
{
    size_t list[HM_FIT_SIZES_MOST];
    int count = fit_sizes_parse(text, list);
    if (count == 0) return -EINVAL;
    *sizes = (hm_measure_sizes_t){.count = (uint32_t)count};
    for (int i = 0; i < count; i++) sizes->bytes[i] = list[i];
    return 0;
}

void measure_sizes_default(size_t most, hm_measure_sizes_t *sizes)
{
    *sizes = (hm_measure_sizes_t){.count = 7,
                                  .bytes = {most / 64, most / 32, most / 16, most / 8, most / 4, most / 2, most}};
}

static int series_time(course_t *course, series_t *series, size_t bytes, double *ms)
{
    course->measure.flavour = series->flavour;
    course->measure.level = series->level;
    return measure_flavour_time(&course->measure, bytes, ms);
}

static void series_add(course_t *course, hm_flavour_t flavour, int level, double weight)
{
    course->series[course->count++] = (series_t){.flavour = flavour, .level = level, .weight = weight};
}

/* The links of inner levels come first: what fast ones leave of the budget, slow ones get. */
static void series_list(course_t *course)
{
    series_add(course, FLAVOUR_IDENTIFY, 0, 0.5);
    series_add(course, FLAVOUR_PACK, 0, 0.5);
    series_add(course, FLAVOUR_AGREE, 0, 0.1);
    for (int l = course->measure.parts->place.topo->levels - 1; l > 0; l--) {
        series_add(course, FLAVOUR_INTRA, l, 1);
        series_add(course, FLAVOUR_ALONE, l, 0.5);
        series_add(course, FLAVOUR_INTER, l, 1);
        series_add(course, FLAVOUR_FEW, l, 0.5);
    }
    series_add(course, FLAVOUR_INTRA, 0, 1);
}

/* A few repeats of one size. */
static int size_visit(course_t *course, series_t *series, int size)
{
    for (int i = 0; i < VISIT; i++) {
        double *ms = &series->ms[size][series->repeats[size]];
        int status = series_time(course, series, series->bytes[size], ms);
        if (status != 0) return status;
        course->left_ms -= *ms + MEASURE_PAUSE_MS;
        series->repeats[size]++;
    }
    return 0;
}

static double least(const double *ms, int count)
{
    double best = ms[0];
    for (int i = 1; i < count; i++)
        if (ms[i] < best) best = ms[i];
    return best;
}

/* The first round, which says how large the sizes get: at least two, as far as the series' part of the budget goes. */
static int series_begin(course_t *course, series_t *series, size_t most, const hm_measure_sizes_t *sizes,
                        double budget_ms)
{
    double ms = 0, end = course->left_ms - budget_ms;
    int status = series_time(course, series, sizes->bytes[0], &ms); /* connections are made on first use */
    course->left_ms -= ms;
    for (int i = 0; status == 0 && i < (int)sizes->count && sizes->bytes[i] <= most; i++) {
        double next = i == 0 ? 0 : ms * (double)sizes->bytes[i] / (double)sizes->bytes[i - 1];
        if (i >= 2 && VISIT * (next + MEASURE_PAUSE_MS) > course->left_ms - end) break;
        series->bytes[series->count++] = sizes->bytes[i];
        status = size_visit(course, series, i);
        ms = least(series->ms[i], series->repeats[i]);
    }
    return status;
}

static int course_begin(course_t *course, const hm_measure_sizes_t *sizes)
{
    static const hm_measure_sizes_t none = {.count = 1};
    double weights = 0;
    size_t most = course->measure.bytes;
    int status = 0;
    for (int s = 0; s < course->count; s++) weights += course->series[s].weight;
    for (int s = 0; s < course->count && status == 0; s++) {
        series_t *series = &course->series[s];
        /* Rows are packed by what identify found. */
        const series_t *identified = &course->series[0];
        if (series->flavour == FLAVOUR_PACK) most = identified->bytes[identified->count - 1];
        status = series_begin(course, series, most, series->flavour == FLAVOUR_AGREE ? &none : sizes,
                              course->left_ms * series->weight / weights);
        weights -= series->weight;
        most = course->measure.bytes;
    }
    return status;
}

/* Another visit to every size that its part of the time left allows. Rounds, because a machine that is slow for a
 * second should slow a little of everything and not all of one size. */
static int course_round(course_t *course)
{
    int ahead = 0, status = 0;
    for (int s = 0; s < course->count; s++) ahead += course->series[s].count;
    for (int s = 0; s < course->count; s++) {
        series_t *series = &course->series[s];
        for (int i = 0; i < series->count && status == 0; i++, ahead--)
            if (ahead * VISIT * (least(series->ms[i], series->repeats[i]) + MEASURE_PAUSE_MS) <= course->left_ms)
                status = size_visit(course, series, i);
    }
    return status;
}

static int double_compare(const void *left, const void *right)
{
    const double *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* Medians of a series; says them. */
static int series_timings(const course_t *course, series_t *series, hm_timing_t *timing)
{
    int count = 0;
    for (int i = 0; i < series->count; i++) {
        int repeats = series->repeats[i];
        double *ms = series->ms[i];
        qsort(ms, (size_t)repeats, sizeof *ms, double_compare);
        timing[count] = (hm_timing_t){(double)series->bytes[i], (ms[(repeats - 1) / 2] + ms[repeats / 2]) / 2, repeats};
        if (course->measure.parts->channel.comm->rank == 0)
            comm_say(HM_LOG_TRACE, course->measure.parts->channel.comm,
                     "measured %s %d: %zu bytes in %.4f ms, %d times", flavour_names[series->flavour], series->level,
                     series->bytes[i], timing[count].ms, repeats);
        count += timing[count].ms > 0;
    }
    return count;
}

/* What part of the time with all groups it takes with a few, at the two largest sizes of both: smaller ones are mostly
 * start-up. */
static double few_share(const hm_timing_t *few, int count, const hm_timing_t *all, int most)
{
    double sum = 0, whole = 0;
    if (count > most) count = most;
    for (int i = count > 2 ? count - 2 : 0; i < count; i++) sum += few[i].ms, whole += all[i].ms;
    return whole > 0 && sum < whole ? sum / whole : 1;
}

/* Puts what the series came to where it belongs in the profile. */
static void profile_fit(course_t *course, hm_profile_t *profile)
{
    hm_link_t identify = {.beta_ms = profile->identify_ms}, pack = {.beta_ms = profile->pack_ms};
    double agree_ms = 0;
    hm_timing_t all[HM_MEASURE_SIZES]; /* of the last inter */
    int most = 0;
    for (int s = 0; s < course->count; s++) {
        series_t *series = &course->series[s];
        hm_timing_t timing[HM_MEASURE_SIZES];
        hm_link_t alone = {.beta_ms = 0};
        int count = series_timings(course, series, timing), l = series->level;
        switch (series->flavour) {
        case FLAVOUR_IDENTIFY:
            fit_straight(timing, count, &identify);
            break;
        case FLAVOUR_PACK:
            fit_straight(timing, count, &pack);
            break;
        case FLAVOUR_AGREE:
            agree_ms = count > 0 ? timing[0].ms : 0;
            break;
        case FLAVOUR_INTRA:
            fit_bend(timing, count, &profile->intra[l]);
            break;
        case FLAVOUR_ALONE:
            fit_bend(timing, count, &alone);
            profile->alone_ms[l] = alone.beta_ms;
            break;
        case FLAVOUR_INTER:
            fit_bend(timing, count, &profile->inter[l]);
            memcpy(all, timing, (size_t)count * sizeof *all);
            most = count;
            break;
        case FLAVOUR_FEW:
            profile->few_ms[l] = profile->inter[l].beta_ms * few_share(timing, count, all, most);
            break;
        }
    }
    /* What was timed with an agreement behind it starts with that; noise may have hidden it. */
    double start = identify.alpha_ms > agree_ms ? identify.alpha_ms : agree_ms;
    profile->agree_ms = start + pack.alpha_ms;
    profile->identify_ms = identify.beta_ms;
    profile->pack_ms = pack.beta_ms;
}

static int course_run(course_t *course, const hm_measure_sizes_t *sizes, hm_profile_t *profile)
{
    int status = measure_near_open(&course->measure);
    course->left_ms = sizes->budget_ms > 0 ? sizes->budget_ms : BUDGET_MS;
    series_list(course);
    if (status == 0) status = course_begin(course, sizes);
    for (int round = 1; round < ROUNDS && status == 0; round++) status = course_round(course);
    if (status == 0) profile_fit(course, profile);
    return status;
}

int measure_run(hm_parts_t *parts, const hm_measure_sizes_t *sizes, hm_profile_t *profile, bool *done)
{
    size_t bytes = sizes->bytes[sizes->count - 1], most = settings_get()->max_scratch / 4;
    if (bytes > most) bytes = most;
    *done = false;
    if (bytes < sizes->bytes[1]) return 0; /* a setting that is equal on all ranks */
    hm_profile_t fitted = *profile;
    course_t *course = calloc(1, sizeof *course);
    hm_measure_t lost = {.parts = parts};
    hm_measure_t *measure = course != NULL ? &course->measure : &lost;
    *measure = (hm_measure_t){.parts = parts, .bytes = bytes};
    int mine = course != NULL ? measure_memory_make(measure) : -ENOMEM;
    int status = board_vote(&parts->agree.board, &parts->channel, mine == 0, done);
    if (status == 0 && *done) status = course_run(course, sizes, &fitted);
    measure_memory_free(measure);
    if (status == 0 && *done) *profile = fitted;
    free(course);
    return status;
}
