#include "swap_score.h"

#include "smooth.h"

#include <string.h>

#define TILE 16
/* Bounds are worked out in float, four at a time; a bound must stay below the exact value all the same. */
#define SLACK 4e-6f
typedef float float4_t __attribute__((vector_size(16)));
typedef int32_t int4_t __attribute__((vector_size(16)));

static double shape_exact(const hm_swap_shape_t *shape, double sum)
{
    if (shape->objective == HM_SWAP_LOG_SUM_EXP) return sum > 0 ? 1 + smooth_log(sum) / shape->gamma : 0;
    return smooth_root(sum, shape->gamma);
}

static double shape_weigh(const hm_swap_shape_t *shape, double ratio)
{
    if (shape->objective == HM_SWAP_LOG_SUM_EXP) return smooth_exp(shape->gamma * (ratio - 1));
    return smooth_power(ratio, shape->gamma);
}

/* The sum at which a cell starts: SHAPE_CELL_BITS leading bits behind a float's exponent. */
static inline float cell_start(int cell)
{
    uint32_t bits = ((uint32_t)(SHAPE_LOW + 127) << 23) + ((uint32_t)cell << (23 - SHAPE_CELL_BITS));
    float start;
    memcpy(&start, &bits, sizeof(start));
    return start;
}

void shape_fill(hm_swap_shape_t *shape, hm_swap_objective_t objective, int gamma)
{
    shape->objective = objective;
    shape->gamma = gamma;
    double low = shape_exact(shape, cell_start(0));
    for (int i = 0; i < SHAPE_CELLS; i++) {
        double start = cell_start(i), end = cell_start(i + 1), high = shape_exact(shape, end);
        shape->value[i] = (float)low;
        shape->slope[i] = (float)((high - low) / (end - start));
        low = high;
    }
}

static inline float shape_below(const hm_swap_shape_t *shape, float sum)
{
    const float low = cell_start(0), high = cell_start(SHAPE_CELLS - 1);
    uint32_t bits;
    float start;
    if (!(sum >= low)) return 0;
    if (sum > high) sum = high;
    memcpy(&bits, &sum, sizeof(bits));
    uint32_t leading = bits >> (23 - SHAPE_CELL_BITS);
    uint32_t cell = leading - ((uint32_t)(SHAPE_LOW + 127) << SHAPE_CELL_BITS);
    bits = leading << (23 - SHAPE_CELL_BITS);
    memcpy(&start, &bits, sizeof(start));
    float below = shape->value[cell] + (sum - start) * shape->slope[cell];
    return below > 0 ? below : 0;
}

static void term_order(hm_swap_term_t *term, int groups)
{
    for (int i = 0; i < 3; i++) {
        int best = -1;
        for (int g = 0; g < groups; g++) {
            if ((i > 0 && g == term->first[0]) || (i > 1 && g == term->first[1])) continue;
            if (best < 0 || term->load[g] > term->load[best]) best = g;
        }
        term->first[i] = best;
    }
}

void term_prepare(hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats)
{
    int groups = stats->groups[term->level];
    for (int e = 0; e < stats->experts; e++) term->home[e] = stats->group[term->level][e];
    for (int g = 0; g < groups; g++) term->load[g] = term->compute ? 0 : stats->p[term->level][g];
    if (term->compute)
        for (int e = 0; e < stats->experts; e++) term->load[stats->group[term->level][e]] += stats->cnt[e];
    term_order(term, groups);
    term->top = term->load[term->first[0]] > 0 ? term->load[term->first[0]] : 1;
    term->base = 0;
    if (shape->objective == HM_SWAP_MAX) return;
    for (int g = 0; g < groups; g++) {
        term->weight[g] = shape_weigh(shape, term->load[g] / term->top);
        term->base += term->weight[g];
    }
}

static double rows_after(const hm_swap_term_t *term, const hm_swap_stats_t *stats, int a, int b)
{
    if (!term->compute) return (double)swap_stats_hits(stats, term->level, a, b);
    return term->load[stats->group[term->level][a]] - stats->cnt[a] + stats->cnt[b];
}

/* The largest load outside two groups. */
static double load_others(const hm_swap_term_t *term, int ga, int gb)
{
    for (int i = 0; i < 3 && term->first[i] >= 0; i++)
        if (term->first[i] != ga && term->first[i] != gb) return term->load[term->first[i]];
    return 0;
}

static double max3(double x, double y, double z)
{
    double most = x > y ? x : y;
    return most > z ? most : z;
}

double term_maximum(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats, int a,
                    int b)
{
    int ga = stats->group[term->level][a], gb = stats->group[term->level][b];
    if (shape->objective == HM_SWAP_MAX) {
        if (ga == gb) return term->load[term->first[0]];
        return max3(load_others(term, ga, gb), rows_after(term, stats, a, b), rows_after(term, stats, b, a));
    }
    if (ga == gb) return term->top * shape_exact(shape, term->base);
    /* Summed anew rather than base less two weights: nothing cancels. */
    double sum = 0;
    for (int g = 0; g < stats->groups[term->level]; g++) {
        double rows = g == ga ? rows_after(term, stats, a, b) : rows_after(term, stats, b, a);
        sum += g == ga || g == gb ? shape_weigh(shape, rows / term->top) : term->weight[g];
    }
    return term->top * shape_exact(shape, sum);
}

static inline float4_t weigh4(const hm_swap_term_t *term, const hm_swap_shape_t *shape, float4_t rows)
{
    float4_t x = rows * (float)(1 / term->top), power = {1, 1, 1, 1};
    if (shape->objective == HM_SWAP_LOG_SUM_EXP) {
        for (int i = 0; i < 4; i++) power[i] = (float)shape_weigh(shape, x[i]);
        return power;
    }
    if (shape->gamma == 10) { /* the usual one, without branches */
        float4_t x2 = x * x, x4 = x2 * x2;
        return x4 * x4 * x2;
    }
    for (int left = shape->gamma; left > 0; left >>= 1, x *= x)
        if (left & 1) power *= x;
    return power;
}

static inline int4_t load4(const uint32_t *from)
{
    int4_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}

/* Where four experts' counts are. */
typedef struct quad {
    const uint32_t *cnt, *hit, *alone;
    const int32_t *home;
} quad_t;

/* Four entries of change_fill for an expert of group ga. rest: what does not depend on b; now: the group's weight. */
static inline float4_t change4(const hm_swap_term_t *term, const hm_swap_shape_t *shape, quad_t at, int ga,
                               int32_t rest, float now)
{
    int4_t whole = load4(at.cnt) + rest;
    if (!term->compute) whole += load4(at.alone) - load4(at.hit);
    float4_t rows = __builtin_convertvector(whole, float4_t);
    if (shape->objective == HM_SWAP_MAX) return rows;
    int4_t away = load4((const uint32_t *)at.home) != ga;
    return (float4_t)((int4_t)(weigh4(term, shape, rows) - now) & away);
}

/* change[b]: rows of g(a) once b came for a, or, for the smooth objectives, what that adds to the sum of weights.
 * Counts of tokens stay below 2^31, so unsigned sums read as signed are right for pairs within a group too. */
static void change_fill(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats, int a,
                        float *change)
{
    int n = stats->experts, ga = term->home[a], b = 0;
    quad_t at = {stats->cnt, stats->H[term->level] + (size_t)ga * (size_t)n,
                 stats->S[term->level] + (size_t)a * (size_t)n, term->home};
    int32_t rest = term->compute ? (int32_t)term->load[ga] - (int32_t)stats->cnt[a]
                                 : (int32_t)(stats->p[term->level][ga] - at.alone[a]);
    float now = shape->objective == HM_SWAP_MAX ? 0 : (float)term->weight[ga];
    for (; b + 4 <= n; b += 4) {
        float4_t four = change4(term, shape, at, ga, rest, now);
        memcpy(change + b, &four, sizeof(four));
        at = (quad_t){at.cnt + 4, at.hit + 4, at.alone + 4, at.home + 4};
    }
    if (b < n) {
        uint32_t padded[3][4] = {{0}};
        int32_t home[4] = {0};
        size_t left = (size_t)(n - b) * sizeof(uint32_t);
        memcpy(padded[0], at.cnt, left);
        memcpy(padded[1], at.hit, left);
        memcpy(padded[2], at.alone, left);
        memcpy(home, at.home, left);
        float4_t four = change4(term, shape, (quad_t){padded[0], padded[1], padded[2], home}, ga, rest, now);
        memcpy(change + b, &four, left);
    }
}

/* Tiles, because one of the two changes is read across the rows. */
static void tile_bound(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const float *change, int n, int a0,
                       int b0, float *pair)
{
    float alpha = (float)term->alpha_ms, base = (float)term->base - SLACK * (float)term->base;
    float factor = (float)(term->ms_per_row * term->top) * (1 - SLACK);
    for (int a = a0; a < n && a < a0 + TILE; a++)
        for (int b = b0 > a ? b0 : a + 1; b < n && b < b0 + TILE; b++) {
            float there = change[(size_t)a * (size_t)n + (size_t)b], back = change[(size_t)b * (size_t)n + (size_t)a];
            pair[(size_t)a * (size_t)n + (size_t)b] += alpha + factor * shape_below(shape, base + there + back);
        }
}

static void tile_maximum(const hm_swap_term_t *term, const uint16_t *group, const float *change, int n, int a0, int b0,
                         float *pair)
{
    float alpha = (float)term->alpha_ms, factor = (float)term->ms_per_row * (1 - SLACK);
    for (int a = a0; a < n && a < a0 + TILE; a++)
        for (int b = b0 > a ? b0 : a + 1; b < n && b < b0 + TILE; b++) {
            float there = change[(size_t)a * (size_t)n + (size_t)b], back = change[(size_t)b * (size_t)n + (size_t)a];
            double most = group[a] == group[b] ? term->load[term->first[0]]
                                               : max3(load_others(term, group[a], group[b]), there, back);
            pair[(size_t)a * (size_t)n + (size_t)b] += alpha + factor * (float)most;
        }
}

void term_bound(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats, float *change,
                float *pair)
{
    int n = stats->experts;
    for (int a = 0; a < n; a++) change_fill(term, shape, stats, a, change + (size_t)a * (size_t)n);
    for (int a = 0; a < n; a += TILE)
        for (int b = a; b < n; b += TILE) {
            if (shape->objective == HM_SWAP_MAX)
                tile_maximum(term, stats->group[term->level], change, n, a, b, pair);
            else
                tile_bound(term, shape, change, n, a, b, pair);
        }
}
