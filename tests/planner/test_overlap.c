/* Streams side by side, a layer in chunks, and the paper's closed forms held against the simulation. */
#include "planner_test.h"

#include "../splitmix.h"

#include "overlap/overlap.h"

/* By hand: compute 2 ms, then a transfer of 3 that waits for it, then compute of 1 that waits for the transfer. The
 * background transfer of 4 begins at once, and the other waits for it. */
static void test_streams_by_hand(void **state)
{
    (void)state;
    hm_task_t task[4] = {
        {.stream = HM_STREAM_COMPUTE, .ms = 2, .after = {-1, -1}},
        {.stream = HM_STREAM_INTER, .ms = 3, .after = {0, -1}},
        {.stream = HM_STREAM_COMPUTE, .ms = 1, .after = {0, 1}},
        {.stream = HM_STREAM_INTER, .ms = 4, .after = {-1, -1}, .background = true},
    };
    assert_float_equal(streams_run(task, 3), 6, 0);
    assert_float_equal(streams_run(task, 4), 8, 0);
    assert_float_equal(task[1].end_ms, 7, 0);
    assert_float_equal(task[3].end_ms, 4, 0);
    /* One that comes later fits in between. */
    task[3].after[0] = 2;
    assert_float_equal(streams_run(task, 4), 10, 0);
    assert_float_equal(streams_run(task, 0), 0, 0);
}

/* The stream's next task is waited for, though a later one could run. */
static void test_a_stream_keeps_its_order(void **state)
{
    (void)state;
    hm_task_t task[3] = {
        {.stream = HM_STREAM_COMPUTE, .ms = 5, .after = {-1, -1}},
        {.stream = HM_STREAM_INTRA, .ms = 1, .after = {0, -1}},
        {.stream = HM_STREAM_INTRA, .ms = 1, .after = {-1, -1}},
    };
    assert_float_equal(streams_run(task, 3), 7, 0);
    /* What waits for itself, or for one behind it on its stream, never ends. */
    task[1].after[0] = 2;
    assert_true(isnan(streams_run(task, 3)));
}

static double uniform(uint64_t *random)
{
    return (double)(splitmix_next(random) >> 11) * 0x1p-53;
}

static double spread(uint64_t *random, double least, double most)
{
    return least * pow(most / least, uniform(random));
}

static hm_overlap_layer_t layer_draw(uint64_t *random)
{
    hm_overlap_layer_t layer;
    for (int p = 0; p < HM_OVERLAP_PARTS; p++)
        layer.part[p] = (hm_overlap_cost_t){spread(random, 0.01, 1), spread(random, 0.1, 30)};
    /* Links inside a node are mostly alike, and experts often either much or little. */
    layer.part[HM_OVERLAP_SCATTER].ms = layer.part[HM_OVERLAP_GATHER].ms * spread(random, 0.5, 2);
    if (uniform(random) < 0.5) layer.part[HM_OVERLAP_SCATTER] = layer.part[HM_OVERLAP_GATHER];
    if (uniform(random) < 0.3) layer.part[HM_OVERLAP_EXPERTS].ms *= 10;
    layer.part[HM_OVERLAP_COMBINE] = layer.part[HM_OVERLAP_DISPATCH];
    return layer;
}

/* 10,000 costs where the closed form holds: it is the simulated time. Elsewhere it only estimates. */
static void test_closed_cases_are_the_simulated_time(void **state)
{
    (void)state;
    uint64_t random = 1;
    int held[5] = {0}, beside = 0;
    double worst = 0;
    for (int drawn = 0; held[1] + held[2] + held[3] + held[4] < 10000; drawn++) {
        hm_overlap_layer_t layer = layer_draw(&random);
        int degree = overlap_degree((int)(splitmix_next(&random) % HM_OVERLAP_DEGREES));
        double slice = uniform(&random) < 0.3 ? 0 : spread(&random, 0.1, 60), ms;
        bool exact;
        int which = overlap_case(&layer, degree, slice, &ms, &exact);
        double simulated = overlap_layer_ms(&layer, (hm_overlap_how_t){degree, false}, slice);
        if (exact) {
            held[which]++;
            if (!(fabs(ms - simulated) <= 1e-9 * simulated))
                fail_msg("case %d, degree %d: formula %.17g, simulated %.17g", which, degree, ms, simulated);
        } else if (fabs(ms - simulated) > 1e-9 * simulated) {
            beside++;
            if (fabs(ms / simulated - 1) > worst) worst = fabs(ms / simulated - 1);
        }
        assert_true(drawn < 100000);
    }
    print_message(
        "cases 1 to 4 held %d, %d, %d, %d times; beside them the formula was off %d times, by %.0f %% at most\n",
        held[1], held[2], held[3], held[4], beside, 100 * worst);
    for (int which = 1; which <= 4; which++) assert_true(held[which] >= 500);
    assert_true(beside > 0);
}

/* A slice costs nothing up to the free time, and itself beyond. */
static void test_free_time_is_free(void **state)
{
    (void)state;
    uint64_t random = 2;
    for (int i = 0; i < 5000; i++) {
        hm_overlap_layer_t layer = layer_draw(&random);
        hm_overlap_how_t how = {overlap_degree(i % HM_OVERLAP_DEGREES), i % 3 == 0};
        double alone = overlap_layer_ms(&layer, how, 0), free = overlap_free_ms(&layer, how);
        for (int k = 0; k < 4; k++) {
            double slice = k == 3 ? free * 1.5 + 3 : free * k / 2, beyond = slice > free ? slice - free : 0;
            assert_float_equal(overlap_layer_ms(&layer, how, slice), alone + beyond, 1e-9 * (alone + slice));
        }
    }
}

/* One chunk is one part after the other; links that take turns are never faster. */
static void test_chunks_and_links(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (int i = 0; i < 2000; i++) {
        hm_overlap_layer_t layer = layer_draw(&random);
        double sum = 0;
        for (int p = 0; p < HM_OVERLAP_PARTS; p++) sum += overlap_chunk_ms(&layer.part[p], 1);
        assert_float_equal(overlap_layer_ms(&layer, (hm_overlap_how_t){1, false}, 0), sum, 1e-9 * sum);
        for (int d = 0; d < HM_OVERLAP_DEGREES; d++) {
            double apart = overlap_layer_ms(&layer, (hm_overlap_how_t){overlap_degree(d), false}, 0);
            double one = overlap_layer_ms(&layer, (hm_overlap_how_t){overlap_degree(d), true}, 0);
            assert_true(apart <= one * (1 + 1e-12));
        }
    }
}

static void test_backward_computes_twice(void **state)
{
    (void)state;
    uint64_t random = 4;
    hm_overlap_layer_t forward = layer_draw(&random), backward = overlap_backward(&forward);
    for (int p = 0; p < HM_OVERLAP_PARTS; p++) {
        double times = p == HM_OVERLAP_EXPERTS ? 2 : 1;
        assert_float_equal(backward.part[p].alpha_ms, times * forward.part[p].alpha_ms, 0);
        assert_float_equal(backward.part[p].ms, times * forward.part[p].ms, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_by_hand),
        cmocka_unit_test(test_a_stream_keeps_its_order),
        cmocka_unit_test(test_closed_cases_are_the_simulated_time),
        cmocka_unit_test(test_free_time_is_free),
        cmocka_unit_test(test_chunks_and_links),
        cmocka_unit_test(test_backward_computes_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
