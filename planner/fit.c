#include "fit.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Below this spread of sizes (relative to their mean square) a slope is noise. */
#define FIT_MIN_SPREAD 1e-6

static int sample_valid(double bytes, double ms)
{
    return isfinite(bytes) && isfinite(ms) && bytes >= 0 && ms >= 0;
}

int fit_add(hm_fit_t *fit, double bytes, double ms, double keep)
{
    if (!sample_valid(bytes, ms) || !(keep > 0 && keep <= 1)) return -EINVAL;
    fit->sxx *= keep;
    fit->sxy *= keep;
    fit->syy *= keep;
    fit->weight *= keep;
    return fit_add_weighted(fit, bytes, ms, 1);
}

int fit_add_weighted(hm_fit_t *fit, double bytes, double ms, double weight)
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

static int fit_has_spread(const hm_fit_t *fit)
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
    link->r2 = r2 < 0 ? 0 : r2 > 1 ? 1 : r2;
    link->samples = fit->samples;
    return 0;
}

int fit_seed(hm_fit_t *fit, const hm_link_t *link, double low, double high, double weight)
{
    hm_fit_t seed = {0};
    if (!isfinite(weight) || weight <= 0 || !(low < high)) return -EINVAL;
    int rc = fit_add(&seed, low, link->alpha_ms + low * link->beta_ms, 1);
    if (rc == 0) rc = fit_add(&seed, high, link->alpha_ms + high * link->beta_ms, 1);
    if (rc != 0) return rc;
    double scale = weight / seed.weight;
    seed.weight *= scale;
    seed.sxx *= scale;
    seed.sxy *= scale;
    seed.syy *= scale;
    *fit = seed;
    return 0;
}

int fit_refine(hm_fit_t *fit, double bytes, double ms, double keep, hm_link_t *link)
{
    double expected = link->alpha_ms + bytes * link->beta_ms;
    if (isfinite(expected) && expected > 0) {
        if (ms > expected * HM_FIT_OUTLIER) ms = expected * HM_FIT_OUTLIER;
        if (ms >= 0 && ms < expected / HM_FIT_OUTLIER) ms = expected / HM_FIT_OUTLIER;
    }
    int rc = fit_add(fit, bytes, ms, keep);
    if (rc != 0) return rc;
    if (fit_solve(fit, link) == 0) return 0;
    double alpha = fit->mean_ms - link->beta_ms * fit->mean_bytes;
    link->alpha_ms = alpha > 0 ? alpha : 0;
    link->samples = fit->samples;
    return 0;
}
