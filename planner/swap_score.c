#include "swap_score.h"

#include "smooth.h"

#include <string.h>

#define TILE 16
/* Bounds are worked out in float, four at a time; a bound must stay below the exact value all the same, by this share
 * of the change. */
#define SLACK 2e-6
#define LOG2_E 1.4426950408889634
typedef float float4_t __attribute__((vector_size(16)));
typedef double double2_t __attribute__((vector_size(16)));
typedef int32_t int4_t __attribute__((vector_size(16)));
typedef uint32_t uint4_t __attribute__((vector_size(16)));
/* Four of the eight of x and y. */
#ifdef __clang__
#define SHUFFLE4(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define SHUFFLE4(x, y, ...) __builtin_shuffle(x, y, (int4_t){__VA_ARGS__})
#endif

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

/* Where a cell starts: SHAPE_CELL_BITS leading bits behind a float's exponent. */
static inline float cell_start(int cell)
{
    uint32_t bits = ((uint32_t)(SHAPE_LOW + 127) << 23) + ((uint32_t)cell << (23 - SHAPE_CELL_BITS));
    float start;
    memcpy(&start, &bits, sizeof(start));
    return start;
}

/* exact(sum * (1 + share)) less exact(sum), for the sum of which exact is 1. */
static double shape_change(const hm_swap_shape_t *shape, double share)
{
    double power = shape->objective == HM_SWAP_LOG_SUM_EXP ? 0 : 1.0 / shape->gamma, sum = 1;
    if (share > 0.125 || share < -0.125) return shape_exact(shape, 1 + share) - 1;
    for (int k = 20; k > 0; k--) sum = 1 + sum * share * (power - k) / (k + 1); /* small ones to the last bits too */
    return share * sum / shape->gamma;
}

static double shape_part(const hm_swap_shape_t *shape, int part, double x)
{
    if (part == SHAPE_STAYS) return shape_change(shape, x - 1);
    return shape_change(shape, part == SHAPE_FALLS ? -x : x);
}

/* The first cell starts at 0. What stays of a sum cannot bring a term below 0, nor exp below exp(-gamma). */
static void part_fill(hm_swap_shape_t *shape, int part)
{
    double from = 0, low = part == SHAPE_STAYS ? -1 : 0, slack = part == SHAPE_GROWS ? -SLACK : SLACK;
    for (int i = 0; i < SHAPE_CELLS && (part == SHAPE_GROWS || from <= 0.5); i++) {
        double to = cell_start(i + 1), high = shape_part(shape, part, to), slope = (high - low) / (to - from);
        if (i == 0 && part == SHAPE_STAYS) slope = 0;
        if (i == SHAPE_CELLS - 1) slope = 0;
        shape->line[part * SHAPE_CELLS + i] =
            (hm_swap_line_t){(float)((low - slope * from) * (1 + slack)), (float)(slope * (1 + slack))};
        from = to;
        low = high;
    }
}

void shape_fill(hm_swap_shape_t *shape, hm_swap_objective_t objective, int gamma)
{
    shape->objective = objective;
    shape->gamma = gamma;
    shape->slack = (float)(gamma + 6) * 6e-7f;
    if (objective == HM_SWAP_MAX) return;
    for (int part = 0; part < SHAPE_PARTS; part++) part_fill(shape, part);
}

static inline float4_t select4(int4_t mask, float4_t yes, float4_t no)
{
    return (float4_t)(((int4_t)yes & mask) | ((int4_t)no & ~mask));
}

static inline float4_t max4(float4_t x, float4_t y)
{
    return select4(x > y, x, y);
}

static inline float4_t min4(float4_t x, float4_t y)
{
    return select4(x < y, x, y);
}

/* Both floats of a line at once. */
static inline double line_load(const hm_swap_shape_t *shape, int cell)
{
    double both;
    memcpy(&both, &shape->line[cell], sizeof(both));
    return both;
}

/* A lower bound of shape_change for four shares. */
static inline float4_t below4(const hm_swap_shape_t *shape, float4_t share)
{
    const float low = cell_start(0), high = cell_start(SHAPE_CELLS - 1);
    const float4_t lowest = {low, low, low, low}, highest = {high, high, high, high};
    int4_t falls = share < 0, stays = share < -0.5f;
    float4_t x = select4(stays, 1 + share, (float4_t)((int4_t)share & INT32_MAX));
    int4_t cell = (int4_t)min4(max4(x, lowest), highest) >> (23 - SHAPE_CELL_BITS);
    cell += (falls & SHAPE_CELLS) + (stays & SHAPE_CELLS) - ((SHAPE_LOW + 127) << SHAPE_CELL_BITS);
    double2_t ab = {line_load(shape, cell[0]), line_load(shape, cell[1])};
    double2_t cd = {line_load(shape, cell[2]), line_load(shape, cell[3])};
    float4_t one = (float4_t)ab, two = (float4_t)cd;
    float4_t start = SHUFFLE4(one, two, 0, 2, 4, 6), slope = SHUFFLE4(one, two, 1, 3, 5, 7);
    return start + x * slope;
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

/* 2^x for |x| <= 120: Taylor of degree 5 between whole powers, to 3e-6 of the value. */
static inline float4_t exp4(float4_t x)
{
    const float whole = 0x1.8p23f, l = 0.693147181f; /* added, whole leaves no room for a fraction */
    float4_t near = x + whole, rest = x - (near - whole), square = rest * rest;
    float4_t high =
        l * l / 2 + rest * (l * l * l / 6) + square * (l * l * l * l / 24 + rest * (l * l * l * l * l / 120));
    return (float4_t)((uint4_t)(1 + rest * l + square * high) + ((uint4_t)near << 23));
}

/* What rows are scaled by to be weighed: to a share of the largest load, in powers of 2 for an exponential. */
static double rows_scale(const hm_swap_term_t *term, const hm_swap_shape_t *shape)
{
    return (shape->objective == HM_SWAP_LOG_SUM_EXP ? shape->gamma * LOG2_E : 1) / term->top;
}

/* Weights of scaled rows. Inlined with a constant objective, so that the loops around it have no branches. */
static inline __attribute__((always_inline)) float4_t weigh4(hm_swap_objective_t objective, int gamma, float4_t x)
{
    float4_t power = {1, 1, 1, 1};
    if (objective == HM_SWAP_LOG_SUM_EXP) return exp4(x - (float)(gamma * LOG2_E));
    if (gamma == 10) { /* the usual one */
        float4_t x2 = x * x, x4 = x2 * x2;
        return x4 * x4 * x2;
    }
    for (int left = gamma; left > 0; left >>= 1, x *= x)
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

/* What change_row's entries share. */
typedef struct row {
    hm_swap_objective_t objective;
    int gamma, compute, group;
    int32_t now, top, rest; /* rows of the group, of the largest; what b's counts come on top of */
    float scale, less;      /* of rows to be weighed; what keeps a weight below the exact one */
    float4_t weight;        /* of `now`, rounded up */
} row_t;

/* Four entries of change_row: 0 where the rows do not change, and in the group itself. */
static inline __attribute__((always_inline)) float4_t change4(const row_t *row, quad_t at)
{
    int4_t rows = load4(at.cnt) + row->rest, away = load4((const uint32_t *)at.home) != row->group;
    if (!row->compute) rows += load4(at.alone) - load4(at.hit);
    if (row->objective == HM_SWAP_MAX) return __builtin_convertvector((rows - row->top) & away, float4_t);
    float4_t x = __builtin_convertvector(rows, float4_t) * row->scale;
    float4_t weight = weigh4(row->objective, row->gamma, x) * row->less;
    return (float4_t)((int4_t)(weight - row->weight) & away & (rows != row->now));
}

/* change[b]: rows of g(a) above the present maximum once b came for a, or, for the smooth objectives, what that adds to
 * the sum of weights, at least. Counts of tokens stay below 2^31, so unsigned sums read as signed are right for pairs
 * within a group too. */
static inline __attribute__((always_inline)) void change_row(const hm_swap_term_t *term, const hm_swap_shape_t *shape,
                                                             const hm_swap_stats_t *stats, int a,
                                                             hm_swap_objective_t objective, float *change)
{
    int n = stats->experts, ga = term->home[a], b = 0;
    quad_t at = {stats->cnt, stats->H[term->level] + (size_t)ga * (size_t)n,
                 stats->S[term->level] + (size_t)a * (size_t)n, term->home};
    row_t row = {.objective = objective, .gamma = shape->gamma, .compute = term->compute, .group = ga};
    row.now = (int32_t)term->load[ga];
    row.top = (int32_t)term->load[term->first[0]];
    row.scale = (float)rows_scale(term, shape);
    row.less = 1 - shape->slack;
    row.rest = row.now - (int32_t)(term->compute ? stats->cnt[a] : at.alone[a]);
    float x = (float)row.now * row.scale;
    row.weight = weigh4(objective, shape->gamma, (float4_t){x, x, x, x}) * (1 + shape->slack);
    for (; b + 4 <= n; b += 4) {
        float4_t four = change4(&row, at);
        memcpy(change + b, &four, sizeof(four));
        at = (quad_t){at.cnt + 4, at.hit + 4, at.alone + 4, at.home + 4};
    }
    if (b == n) return;
    uint32_t padded[3][4] = {{0}};
    size_t left = (size_t)(n - b) * sizeof(uint32_t);
    memcpy(padded[0], at.cnt, left);
    memcpy(padded[1], at.hit, left);
    memcpy(padded[2], at.alone, left);
    float4_t four = change4(&row, (quad_t){padded[0], padded[1], padded[2], at.home});
    memcpy(change + b, &four, sizeof(four));
}

static void change_fill(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats,
                        float *change)
{
    size_t stride = pair_stride(stats->experts);
    for (int a = 0; a < stats->experts; a++, change += stride) {
        if (shape->objective == HM_SWAP_MAX) change_row(term, shape, stats, a, HM_SWAP_MAX, change);
        if (shape->objective == HM_SWAP_SMOOTH_MAX) change_row(term, shape, stats, a, HM_SWAP_SMOOTH_MAX, change);
        if (shape->objective == HM_SWAP_LOG_SUM_EXP) change_row(term, shape, stats, a, HM_SWAP_LOG_SUM_EXP, change);
    }
}

static inline float4_t float4_load(const float *from)
{
    float4_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}

static inline void float4_add(float *to, float4_t value)
{
    value += float4_load(to);
    memcpy(to, &value, sizeof(value));
}

/* Four rows of four, read as columns. */
static inline void block_turn(const float *from, size_t stride, float4_t column[4])
{
    float4_t a = float4_load(from), b = float4_load(from + stride);
    float4_t c = float4_load(from + 2 * stride), d = float4_load(from + 3 * stride);
    float4_t ab = SHUFFLE4(a, b, 0, 4, 1, 5), cd = SHUFFLE4(c, d, 0, 4, 1, 5);
    column[0] = SHUFFLE4(ab, cd, 0, 1, 4, 5);
    column[1] = SHUFFLE4(ab, cd, 2, 3, 6, 7);
    ab = SHUFFLE4(a, b, 2, 6, 3, 7);
    cd = SHUFFLE4(c, d, 2, 6, 3, 7);
    column[2] = SHUFFLE4(ab, cd, 0, 1, 4, 5);
    column[3] = SHUFFLE4(ab, cd, 2, 3, 6, 7);
}

/* What blocks of one term share. */
typedef struct block {
    const hm_swap_term_t *term;
    const hm_swap_shape_t *shape;
    const float *change;
    size_t stride;
    float factor, share;             /* smooth objectives: ms per change of shape, 1 / base */
    float fall, grow, second, third; /* HM_SWAP_MAX: ms per row; rows that the next largest loads are above the first */
} block_t;

static void block_bound(const block_t *block, size_t a, size_t b, float *pair)
{
    float4_t back[4];
    block_turn(block->change + b * block->stride + a, block->stride, back);
    for (size_t i = 0; i < 4; i++) {
        size_t at = (a + i) * block->stride + b;
        float4_t share = (float4_load(block->change + at) + back[i]) * block->share;
        float4_add(pair + at, below4(block->shape, share) * block->factor);
    }
}

/* The largest load outside the two groups, above the largest of all. */
static inline float4_t others4(const block_t *block, int32_t home, int4_t homes)
{
    const int32_t top = block->term->first[0], next = block->term->first[1];
    const float4_t zero = {0}, second = zero + block->second, third = zero + block->third;
    if (home == top) return select4(homes == next, third, second);
    return select4(homes == top, home == next ? third : second, zero);
}

static void block_maximum(const block_t *block, size_t a, size_t b, float *pair)
{
    int4_t homes = load4((const uint32_t *)block->term->home + b);
    float4_t back[4];
    block_turn(block->change + b * block->stride + a, block->stride, back);
    for (size_t i = 0; i < 4; i++) {
        size_t at = (a + i) * block->stride + b;
        float4_t most = max4(others4(block, block->term->home[a + i], homes), back[i]);
        most = max4(most, float4_load(block->change + at));
        float4_add(pair + at, min4(most * block->fall, most * block->grow));
    }
}

static block_t block_of(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const float *change, size_t stride)
{
    block_t block = {.term = term, .shape = shape, .change = change, .stride = stride};
    if (shape->objective == HM_SWAP_MAX) {
        double top = term->load[term->first[0]];
        block.fall = (float)(term->ms_per_row * (1 + SLACK));
        block.grow = (float)(term->ms_per_row * (1 - SLACK));
        block.second = (float)(load_others(term, term->first[0], term->first[0]) - top);
        block.third = (float)(load_others(term, term->first[0], term->first[1]) - top);
        return block;
    }
    double root = shape->objective == HM_SWAP_LOG_SUM_EXP ? 1 : shape_exact(shape, term->base);
    block.factor = (float)(term->ms_per_row * term->top * root);
    block.share = term->base > 0 ? (float)(1 / term->base) : 0;
    return block;
}

/* Tiles of blocks, because one of the two changes is read across the rows. */
void term_bound(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats, float *change,
                float *pair)
{
    size_t n = pair_stride(stats->experts);
    change_fill(term, shape, stats, change);
    block_t block = block_of(term, shape, change, n);
    for (size_t tile_a = 0; tile_a < n; tile_a += TILE)
        for (size_t tile_b = tile_a; tile_b < n; tile_b += TILE)
            for (size_t a = tile_a; a < n && a < tile_a + TILE; a += 4)
                for (size_t b = tile_b > a ? tile_b : a; b < n && b < tile_b + TILE; b += 4) {
                    if (shape->objective == HM_SWAP_MAX)
                        block_maximum(&block, a, b, pair);
                    else
                        block_bound(&block, a, b, pair);
                }
}
