/* What the planner's tests share: cmocka, topologies, tables counted from drawn tokens. */
#ifndef HM_PLANNER_TEST_H
#define HM_PLANNER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experts/count.h"
#include "experts/sample.h"
#include "table.h"
#include "wires/profile.h"

static inline hm_topo_t *test_topo(const char *spec, int ranks)
{
    hm_topo_t *topo = NULL;
    const char *why = "";
    if (topo_parse(spec, ranks, &topo, &why) != 0) fail_msg("topology %s: %s", spec, why);
    return topo;
}

/* Ranks dealt to `nodes` nodes at random, so that groups are unequal and interleaved, and to two halves of each node.
 */
static inline hm_topo_t *test_topo_scattered(int ranks, int nodes, unsigned seed)
{
    uint64_t *keys = malloc(2 * (size_t)ranks * sizeof(*keys));
    hm_topo_t *topo = NULL;
    assert_non_null(keys);
    srand(seed);
    for (int r = 0; r < ranks; r++) {
        keys[r] = (uint64_t)(rand() % nodes);
        keys[ranks + r] = (uint64_t)(rand() % 2);
    }
    const uint64_t *key[2] = {keys, keys + ranks};
    assert_int_equal(topo_create(ranks, 2, key, &topo), 0);
    free(keys);
    return topo;
}

/* Tokens of all ranks (one layer) with the table that they make. */
typedef struct test_batch {
    hm_trace_t trace;
    uint16_t *ids;
    int *place;
    hm_placement_t placement;
    uint32_t *raw, *distinct[HM_MAX_LEVELS + 1];
    hm_table_t table;
} test_batch_t;

static inline void test_batch_count(test_batch_t *batch, const hm_topo_t *topo)
{
    assert_int_equal(count_trace(topo, &batch->placement, &batch->trace, 0, batch->raw, batch->distinct), 0);
}

/* The rest of a batch whose trace and ids are there. */
static inline void test_batch_finish(test_batch_t *batch, const hm_topo_t *topo)
{
    size_t ranks = (size_t)topo->ranks;
    int experts = batch->trace.experts;
    batch->place = malloc((size_t)experts * sizeof(*batch->place));
    assert_non_null(batch->place);
    placement_contiguous(experts, topo->ranks, batch->place);
    batch->placement = (hm_placement_t){experts, batch->place};
    batch->raw = malloc(ranks * ranks * sizeof(*batch->raw));
    assert_non_null(batch->raw);
    for (int l = 1; l <= topo->levels; l++) {
        batch->distinct[l] = malloc(ranks * (size_t)topo->groups[l] * sizeof(uint32_t));
        assert_non_null(batch->distinct[l]);
        batch->table.distinct[l] = batch->distinct[l];
    }
    batch->table.raw = batch->raw;
    batch->table.row_bytes = 4096;
    test_batch_count(batch, topo);
}

static inline void test_batch_create(test_batch_t *batch, const hm_topo_t *topo, const char *routing, int experts,
                                     int top_k, size_t tokens, uint64_t seed)
{
    hm_routing_t how;
    hm_sampler_t *sampler = NULL;
    const char *why = "";
    size_t ranks = (size_t)topo->ranks;
    assert_int_equal(routing_parse(routing, &how, &why), 0);
    assert_int_equal(sampler_create(&how, experts, top_k, seed, &sampler, &why), 0);
    memset(batch, 0, sizeof(*batch));
    batch->ids = malloc(ranks * tokens * (size_t)top_k * sizeof(*batch->ids));
    assert_non_null(batch->ids);
    sampler_draw(sampler, ranks * tokens, batch->ids);
    sampler_destroy(sampler);
    batch->trace = (hm_trace_t){topo->ranks, 1, top_k, experts, tokens, batch->ids};
    test_batch_finish(batch, topo);
}

/* A recorded trace of 8 ranks with 1024 tokens each. */
static inline hm_trace_t test_trace_named(const char *name)
{
    char path[512];
    size_t most = 1 << 20, length;
    char *data = malloc(most);
    hm_parse_error_t error;
    hm_trace_t trace;
    snprintf(path, sizeof(path), "%s/%s.hmtrace", HM_TRACES, name);
    FILE *file = fopen(path, "rb");
    assert_true(data != NULL && file != NULL);
    length = fread(data, 1, most, file);
    fclose(file);
    if (trace_parse(data, length, &trace, &error) != 0) fail_msg("%s: %s", path, error.text);
    free(data);
    return trace;
}

/* The one recorded with an auxiliary loss: 2 layers, top-8 of 128 experts. */
static inline hm_trace_t test_trace_read(void)
{
    return test_trace_named("moe_lm");
}

/* A layer of it: each rank's tokens from `first` on. */
static inline void test_batch_read(test_batch_t *batch, const hm_topo_t *topo, int layer, size_t first, size_t tokens)
{
    hm_trace_t trace = test_trace_read();
    size_t words = tokens * (size_t)trace.top_k;
    assert_int_equal(topo->ranks, trace.ranks);
    memset(batch, 0, sizeof(*batch));
    batch->ids = malloc((size_t)trace.ranks * words * sizeof(*batch->ids));
    assert_non_null(batch->ids);
    for (int r = 0; r < trace.ranks; r++)
        memcpy(batch->ids + (size_t)r * words, trace_source(&trace, r, layer) + first * (size_t)trace.top_k,
               words * sizeof(*batch->ids));
    batch->trace = (hm_trace_t){trace.ranks, 1, trace.top_k, trace.experts, tokens, batch->ids};
    trace_free(&trace);
    test_batch_finish(batch, topo);
}

static inline void test_batch_destroy(test_batch_t *batch)
{
    for (int l = 0; l <= HM_MAX_LEVELS; l++) free(batch->distinct[l]);
    free(batch->raw);
    free(batch->place);
    free(batch->ids);
}

#endif
