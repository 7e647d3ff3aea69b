#include "fit.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Below this spread of sizes, relative to their mean square, a slope is noise. */
#define FIT_MIN_SPREAD 1e-6
#define FIT_ROUNDS 12
#define FIT_TURN 0.75 /* share of beta that a turn adds or takes at most: more is a stalled timing */
#define FIT_NEAR 0.01 /* relative error up to which all timings weigh the same */

static bool sample_valid(double bytes, double ms)
{
    return isfinite(bytes) && isfinite(ms) && bytes >= 0 && ms >= 0;
}

int fit_add(hm_fit_t *fit, double bytes, double ms, double weight)
{
    if (!sample_valid(bytes, ms) || !isfinite(weight) || !(weight > 0)) return -EINVAL;
    fit->weight += weight;
    double dx = bytes - fit->mean_bytes, dy = ms - fit->mean_ms;
    fit->mean_bytes += dx * weight / fit->weight;
    fit->mean_ms += dy * weight / fit->weight;
    fit->sxx += weight * dx * (bytes - fit->mean_bytes);
    fit->sxy += weight * dx * (ms - fit->mean_ms);
    fit->syy += weight * dy * (ms - fit->mean_ms);
    if (fit->samples < UINT32_MAX) fit->samples++;
    return 0;
}

static double fit_error(const hm_fit_t *fit, double alpha, double beta)
{
    double offset = fit->mean_ms - alpha - beta * fit->mean_bytes;
    return fit->syy - 2 * beta * fit->sxy + beta * beta * fit->sxx + fit->weight * offset * offset;
}

static bool fit_has_spread(const hm_fit_t *fit)
{
    return fit->weight > 0 && fit->sxx > FIT_MIN_SPREAD * fit->weight * fit->mean_bytes * fit->mean_bytes;
}

int fit_solve(const hm_fit_t *fit, hm_link_t *link)
{
    if (fit->samples < 2 || !fit_has_spread(fit)) return -ENODATA;
    double beta = fit->sxy / fit->sxx;
    double alpha = fit->mean_ms - beta * fit->mean_bytes;
    if (beta < 0) {
        beta = 0;
        alpha = fit->mean_ms;
    } else if (alpha < 0) {
        alpha = 0;
        beta = (fit->sxy + fit->weight * fit->mean_bytes * fit->mean_ms) /
               (fit->sxx + fit->weight * fit->mean_bytes * fit->mean_bytes);
    }
    double r2 = fit->syy > 0 ? 1 - fit_error(fit, alpha, beta) / fit->syy : 1;
    link->alpha_ms = alpha;
    link->beta_ms = beta;
    link->free_bytes = link->turn_bytes = link->turn_ms = 0;
    link->r2 = r2 < 0 ? 0 : r2 > 1 ? 1 : r2;
    link->samples = fit->samples;
    return 0;
}

static double timing_off(const hm_timing_t *timing, const hm_link_t *link)
{
    return link_ms(link, timing->bytes) / timing->ms - 1;
}

/* Which timings the parts of a link are fitted to: the first `flat` to the start-up time, those from `turn` on to the
 * second line, the rest to the first line. */
typedef struct bend {
    int flat, turn;
} bend_t;

/* Sums of each part. The further a timing is off `before`, the less it weighs. */
static int bend_sums(const hm_timing_t *timing, int count, bend_t bend, const hm_link_t *before, hm_fit_t sums[3])
{
    memset(sums, 0, 3 * sizeof *sums);
    for (int i = 0; i < count; i++) {
        double off = before != NULL ? fabs(timing_off(&timing[i], before)) : 1;
        double weight = timing[i].weight / (timing[i].ms * timing[i].ms) / (off > FIT_NEAR ? off : FIT_NEAR);
        hm_fit_t *sum = &sums[i < bend.flat ? 0 : i < bend.turn ? 1 : 2];
        int rc = fit_add(sum, timing[i].bytes, timing[i].ms, weight);
        if (rc != 0) return rc;
    }
    return 0;
}

static bool line_exists(const hm_fit_t *fit)
{
    return fit->samples >= 2 && fit_has_spread(fit) && fit->sxy > 0;
}

/* -ENODATA where the parts do not meet at ascending sizes above 0: there is no such link. */
static int bend_solve(const hm_timing_t *timing, int count, bend_t bend, const hm_link_t *before, hm_link_t *link)
{
    hm_fit_t sums[3], *start = &sums[0], *line = &sums[1], *turned = &sums[2];
    int rc = bend_sums(timing, count, bend, before, sums);
    if (rc != 0) return rc;
    if (bend.flat == 0) return fit_solve(line, link);
    if (!line_exists(line)) return -ENODATA;
    double beta = line->sxy / line->sxx;
    double crossing = line->mean_bytes - (line->mean_ms - start->mean_ms) / beta;
    if (crossing <= 0) return -ENODATA;
    *link = (hm_link_t){.alpha_ms = start->mean_ms, .beta_ms = beta, .free_bytes = crossing};
    link->samples = (uint32_t)count;
    if (bend.turn == count) return 0;
    if (!line_exists(turned)) return -ENODATA;
    double more = turned->sxy / turned->sxx - beta;
    double above = turned->mean_ms - link_ms(link, turned->mean_bytes);
    if (fabs(more) > FIT_TURN * beta || above / more <= 0 || !(turned->mean_bytes - above / more > crossing))
        return -ENODATA;
    link->turn_bytes = turned->mean_bytes - above / more;
    link->turn_ms = more;
    return 0;
}

/* Least sum of relative errors: least squares in rounds, with weights from the errors of the round before. So one
 * stalled timing does not bend the link. *error: that sum. */
static int bend_settle(const hm_timing_t *timing, int count, bend_t bend, hm_link_t *link, double *error)
{
    hm_link_t before;
    int rc = bend_solve(timing, count, bend, NULL, link);
    for (int round = 0; round < FIT_ROUNDS && rc == 0; round++) {
        before = *link;
        rc = bend_solve(timing, count, bend, &before, link);
    }
    *error = 0;
    for (int i = 0; i < count && rc == 0; i++) *error += timing[i].weight * fabs(timing_off(&timing[i], link));
    return rc;
}

/* The r2 of a link: share of the timings' relative spread that it explains. */
static double bend_quality(const hm_timing_t *timing, int count, const hm_link_t *link)
{
    hm_fit_t all = {0};
    double error = 0;
    for (int i = 0; i < count; i++) {
        double off = timing_off(&timing[i], link);
        error += timing[i].weight * off * off;
        fit_add(&all, timing[i].bytes, timing[i].ms, timing[i].weight / (timing[i].ms * timing[i].ms));
    }
    double r2 = all.syy > 0 ? 1 - error / all.syy : 1;
    return r2 < 0 ? 0 : r2;
}

int fit_straight(const hm_timing_t *timing, int count, hm_link_t *link)
{
    hm_link_t line;
    double error;
    for (int i = 0; i < count; i++)
        if (!sample_valid(timing[i].bytes, timing[i].ms) || timing[i].ms <= 0) return -EINVAL;
    int rc = bend_settle(timing, count, (bend_t){0, count}, &line, &error);
    if (rc != 0) return rc;
    line.r2 = bend_quality(timing, count, &line);
    *link = line;
    return 0;
}

int fit_bend(const hm_timing_t *timing, int count, hm_link_t *link)
{
    hm_link_t best, next;
    double error, with;
    int rc = fit_straight(timing, count, &best);
    if (rc != 0) return rc;
    bend_settle(timing, count, (bend_t){0, count}, &next, &error);
    for (bend_t bend = {.flat = 1}; bend.flat <= count - 2; bend.flat++)
        for (bend.turn = bend.flat + 2; bend.turn <= count; bend.turn++) {
            if (bend_settle(timing, count, bend, &next, &with) != 0) continue;
            if (with < error) best = next, error = with;
        }
    best.r2 = bend_quality(timing, count, &best);
    *link = best;
    return 0;
}
