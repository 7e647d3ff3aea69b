#include "swap_bound.h"

#include "swap_vector.h"

#define TILE 16
#define LOG2_E 1.4426950408889634

/* Both floats of a line at once. */
static inline double line_load(const hm_swap_shape_t *shape, int cell)
{
    double both;
    memcpy(&both, &shape->line[cell], sizeof both);
    return both;
}

/* A lower bound of shape_change for four shares. */
static inline float4_t below4(const hm_swap_shape_t *shape, float4_t share)
{
    const float low = swap_shape_cell(0), high = swap_shape_cell(HM_SHAPE_CELLS - 1);
    const float4_t lowest = {low, low, low, low}, highest = {high, high, high, high};
    int4_t falls = share < 0, stays = share < -0.5f;
    float4_t x = select4(stays, 1 + share, (float4_t)((int4_t)share & INT32_MAX));
    int4_t cell = (int4_t)min4(max4(x, lowest), highest) >> (23 - HM_SHAPE_CELL_BITS);
    cell += (falls & HM_SHAPE_CELLS) + (stays & HM_SHAPE_CELLS) - ((HM_SHAPE_LOW + 127) << HM_SHAPE_CELL_BITS);
    double2_t ab = {line_load(shape, cell[0]), line_load(shape, cell[1])};
    double2_t cd = {line_load(shape, cell[2]), line_load(shape, cell[3])};
    float4_t one = (float4_t)ab, two = (float4_t)cd;
    float4_t start = HM_SHUFFLE4(one, two, 0, 2, 4, 6), slope = HM_SHUFFLE4(one, two, 1, 3, 5, 7);
    return start + x * slope;
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

/* Where four experts' counts are. */
typedef struct quad {
    const uint32_t *cnt, *hit, *alone;
    const int32_t *home;
} quad_t;

/* What change_row's entries share. */
typedef struct row {
    hm_swap_objective_t objective;
    int gamma, group;
    bool compute;
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
        memcpy(change + b, &four, sizeof four);
        at = (quad_t){at.cnt + 4, at.hit + 4, at.alone + 4, at.home + 4};
    }
    if (b == n) return;
    uint32_t padded[3][4] = {{0}};
    size_t left = (size_t)(n - b) * sizeof(uint32_t);
    memcpy(padded[0], at.cnt, left);
    memcpy(padded[1], at.hit, left);
    memcpy(padded[2], at.alone, left);
    float4_t four = change4(&row, (quad_t){padded[0], padded[1], padded[2], at.home});
    memcpy(change + b, &four, sizeof four);
}

static void change_fill(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats,
                        float *change)
{
    size_t stride = swap_pair_stride(stats->experts);
    for (int a = 0; a < stats->experts; a++, change += stride) {
        if (shape->objective == HM_SWAP_MAX) change_row(term, shape, stats, a, HM_SWAP_MAX, change);
        if (shape->objective == HM_SWAP_SMOOTH_MAX) change_row(term, shape, stats, a, HM_SWAP_SMOOTH_MAX, change);
        if (shape->objective == HM_SWAP_LOG_SUM_EXP) change_row(term, shape, stats, a, HM_SWAP_LOG_SUM_EXP, change);
    }
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
        block.fall = (float)(term->ms_per_row * (1 + HM_SWAP_SLACK));
        block.grow = (float)(term->ms_per_row * (1 - HM_SWAP_SLACK));
        block.second = (float)(swap_term_others(term, term->first[0], term->first[0]) - top);
        block.third = (float)(swap_term_others(term, term->first[0], term->first[1]) - top);
        return block;
    }
    double root = shape->objective == HM_SWAP_LOG_SUM_EXP ? 1 : swap_shape_exact(shape, term->base);
    block.factor = (float)(term->ms_per_row * term->top * root);
    block.share = term->base > 0 ? (float)(1 / term->base) : 0;
    return block;
}

/* Tiles of blocks, because one of the two changes is read across the rows. */
void swap_bound_add(const hm_swap_term_t *term, const hm_swap_shape_t *shape, const hm_swap_stats_t *stats,
                    float *change, float *pair)
{
    size_t n = swap_pair_stride(stats->experts);
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
