/* Whole steps: gradients into idle links, degrees, and the speedups of the FSMoE paper. */
#include "planner_test.h"

#include "../splitmix.h"

#include "overlap/overlap_text.h"
#include "overlap/step.h"

#include <errno.h>

#define LAYERS_MOST 12

static double uniform(uint64_t *random)
{
    return (double)(splitmix_next(random) >> 11) * 0x1p-53;
}

static double spread(uint64_t *random, double least, double most)
{
    return least * pow(most / least, uniform(random));
}

static hm_step_t step_draw(uint64_t *random)
{
    hm_step_t step = {.layers = 1 + (int)(splitmix_next(random) % LAYERS_MOST)};
    for (int p = 0; p < HM_OVERLAP_PARTS; p++)
        step.layer.part[p] = (hm_overlap_cost_t){spread(random, 0.01, 1), spread(random, 0.1, 10)};
    step.dense_ms[0] = spread(random, 0.1, 5);
    step.dense_ms[1] = 2 * step.dense_ms[0];
    step.gradient_bytes = spread(random, 1e5, 3e7);
    step.reduce_ms = spread(random, 0.01, 3);
    step.reduce_byte_ms = spread(random, 1e-8, 1e-6);
    return step;
}

/* Gradients of layers of one kind, or of several. */
static hm_gradient_t gradient_draw(uint64_t *random, bool equal, double layer_bytes[LAYERS_MOST])
{
    hm_gradient_t gradient = {.layers = 1 + (int)(splitmix_next(random) % LAYERS_MOST),
                              .layer_bytes = layer_bytes,
                              .alpha_ms = spread(random, 0.01, 3),
                              .byte_ms = spread(random, 1e-8, 1e-6)};
    gradient.free_ms[0] = spread(random, 0.01, 10);
    gradient.free_ms[1] = spread(random, 0.01, 10);
    for (int i = 0; i < LAYERS_MOST; i++) layer_bytes[i] = i > 0 && equal ? layer_bytes[0] : spread(random, 1e5, 3e7);
    return gradient;
}

/* What a plan adds to the step: what is longer than its place, and what is left. */
static double plan_cost(const hm_gradient_t *gradient, const double *slice, const int *pieces)
{
    double cost = 0;
    for (int i = 0; i <= 2 * gradient->layers; i++) {
        double free = i < 2 * gradient->layers ? gradient->free_ms[i % 2] : 0;
        double ms =
            slice[i] > 0 ? (pieces != NULL ? pieces[i] : 1) * gradient->alpha_ms + slice[i] * gradient->byte_ms : 0;
        if (ms > free) cost += ms - free;
    }
    return cost;
}

/* Nothing is reduced before it is there, and all is. */
static void plan_check(const hm_gradient_t *gradient, const double *slice)
{
    double done = 0, there = 0;
    for (int i = 0; i < 2 * gradient->layers; i++) {
        done += slice[i];
        assert_true(slice[i] >= 0 && done <= there * (1 + 1e-12));
        if (i % 2 == 1) there += gradient->layer_bytes[i / 2];
    }
    assert_float_equal(done + slice[2 * gradient->layers], there, 1e-3);
}

/* Any plan that reduces nothing before it is there. */
static void plan_draw(const hm_gradient_t *gradient, double *slice, uint64_t *random)
{
    double waiting = 0;
    for (int i = 0; i < 2 * gradient->layers; i++) {
        slice[i] = uniform(random) < 0.5 ? 0 : waiting * uniform(random);
        waiting -= slice[i];
        if (i % 2 == 1) waiting += gradient->layer_bytes[i / 2];
    }
    slice[2 * gradient->layers] = waiting;
}

/* The optimum against the paper's first step, its program's stack, and random plans. */
static void test_no_plan_beats_the_best(void **state)
{
    (void)state;
    uint64_t random = 1;
    int better[2] = {0, 0};
    for (int i = 0; i < 5000; i++) {
        double bytes[LAYERS_MOST], slice[2 * LAYERS_MOST + 1], stack[LAYERS_MOST];
        int pieces[2 * LAYERS_MOST + 1];
        hm_gradient_t gradient = gradient_draw(&random, i % 2 == 0, bytes);
        gradient_best(&gradient, slice);
        plan_check(&gradient, slice);
        double best = plan_cost(&gradient, slice, NULL);
        gradient_carry(&gradient, slice);
        plan_check(&gradient, slice);
        double carry = plan_cost(&gradient, slice, NULL);
        gradient_stack(&gradient, slice, pieces, stack);
        plan_check(&gradient, slice);
        double stacked = plan_cost(&gradient, slice, pieces);
        plan_draw(&gradient, slice, &random);
        assert_true(best <= carry * (1 + 1e-9) && best <= stacked * (1 + 1e-9));
        assert_true(best <= plan_cost(&gradient, slice, NULL) * (1 + 1e-9));
        if (i % 2 == 0) assert_float_equal(best, stacked, 1e-9 * best);
        better[0] += best < carry * (1 - 1e-6);
        better[1] += best < stacked * (1 - 1e-6);
    }
    print_message("better than carrying forward in %d, than the stack in %d of 5000\n", better[0], better[1]);
    assert_true(better[0] > 0 && better[1] > 0);
}

/* By hand: 0.5 ms to start a slice, 0.25 ms a byte, gradients of 10, then 4, then none. */
static void test_the_stack_pays_for_each_piece(void **state)
{
    (void)state;
    const double bytes[4] = {10, 4, 0, 1};
    hm_gradient_t gradient = {4, bytes, 0.5, 0.25, {1.25, 0}}; /* 3 bytes fit */
    double slice[9], stack[4];
    int pieces[9];
    gradient_stack(&gradient, slice, pieces, stack);
    assert_float_equal(slice[2], 3, 1e-12); /* of the 10 */
    assert_float_equal(slice[4], 3, 1e-12); /* of the 4, which are on top */
    assert_float_equal(slice[6], 1, 1e-12); /* their last; what is free then does not even start another */
    assert_int_equal(pieces[6], 1);
    assert_float_equal(slice[8], 15 - 7, 1e-12);
    gradient.free_ms[0] = 2.25; /* 7 bytes fit, or the 4 in 1.5 ms and, with another start, 1 in 0.75 */
    gradient_stack(&gradient, slice, pieces, stack);
    assert_float_equal(slice[2], 7, 1e-12);
    assert_float_equal(slice[4], 5, 1e-12);
    assert_int_equal(pieces[4], 2);
    gradient_best(&gradient, slice);
    assert_float_equal(slice[4], 7, 1e-12);
}

/* The simulated step is the sum of its layers and of what a plan adds. */
static void test_a_step_is_its_layers_and_the_plan(void **state)
{
    (void)state;
    uint64_t random = 2;
    for (int i = 0; i < 500; i++) {
        hm_step_t step = step_draw(&random);
        hm_step_how_t how = {.degree = {overlap_degree(i % 4), overlap_degree(i / 4 % 4)}, .one_link = i % 5 == 0};
        hm_overlap_layer_t back = overlap_backward(&step.layer);
        double bytes[LAYERS_MOST], slice[2 * LAYERS_MOST + 1], ms;
        for (int l = 0; l < LAYERS_MOST; l++) bytes[l] = step.gradient_bytes;
        assert_int_equal(step_simulate(&step, &how, slice, &ms), 0);
        hm_gradient_t gradient = {
            step.layers,
            bytes,
            step.reduce_ms,
            step.reduce_byte_ms,
            {overlap_free_ms(&back, (hm_overlap_how_t){how.degree[1], how.one_link}), step.dense_ms[1]}};
        plan_check(&gradient, slice);
        double want = step.layers * (step.dense_ms[0] + step.dense_ms[1] +
                                     overlap_layer_ms(&step.layer, (hm_overlap_how_t){how.degree[0], how.one_link}, 0) +
                                     overlap_layer_ms(&back, (hm_overlap_how_t){how.degree[1], how.one_link}, 0));
        assert_float_equal(ms, want + plan_cost(&gradient, slice, NULL), 1e-9 * ms);
    }
}

static void test_the_chosen_degrees_are_the_best(void **state)
{
    (void)state;
    uint64_t random = 3;
    int seen[9] = {0};
    for (int i = 0; i < 400; i++) {
        hm_step_t step = step_draw(&random);
        hm_step_how_t chosen = {.reduction = (hm_reduction_t)(i % 4), .chunk_bytes = 5e6}, how = chosen;
        double least, ms;
        assert_int_equal(step_choose(&step, false, &chosen, NULL, &least), 0);
        for (how.degree[0] = 1; how.degree[0] <= 8; how.degree[0] *= 2)
            for (how.degree[1] = 1; how.degree[1] <= 8; how.degree[1] *= 2) {
                assert_int_equal(step_simulate(&step, &how, NULL, &ms), 0);
                assert_true(least <= ms);
                if (how.degree[0] == chosen.degree[0] && how.degree[1] == chosen.degree[1])
                    assert_float_equal(ms, least, 0);
            }
        seen[chosen.degree[1]]++;
        assert_int_equal(step_choose(&step, true, &how, NULL, &ms), 0);
        assert_int_equal(how.degree[0], how.degree[1]);
    }
    assert_true(seen[1] > 0 && seen[2] > 0 && seen[4] > 0 && seen[8] > 0);
}

/* Chunks by hand: one layer whose reduction of 10 ms begins when its gradient is there, at 4 + 8 + 2 * 3. */
static void test_chunks_wait_for_their_gradient(void **state)
{
    (void)state;
    hm_step_t step = {.layers = 1, .dense_ms = {3, 3}, .gradient_bytes = 8, .reduce_ms = 2, .reduce_byte_ms = 1};
    for (int p = 0; p < HM_OVERLAP_PARTS; p++) step.layer.part[p] = (hm_overlap_cost_t){1, 0};
    hm_step_how_t how = {.degree = {1, 1}, .reduction = HM_REDUCTION_CHUNKS};
    double ms;
    assert_int_equal(step_simulate(&step, &how, NULL, &ms), 0);
    assert_float_equal(ms, 5 + 6 + 6 + 10, 0);
    how.chunk_bytes = 3;
    assert_int_equal(step_simulate(&step, &how, NULL, &ms), 0);
    assert_float_equal(ms, 5 + 6 + 6 + 14, 0);
    /* Of two layers, the first gradient goes behind the second layer's dispatch, and its combine waits until 11 + 1. */
    step.layers = 2;
    how.chunk_bytes = 0;
    assert_int_equal(step_simulate(&step, &how, NULL, &ms), 0);
    assert_float_equal(ms, 2 * (3 + 5) + (6 + 3) + (12 + 3) + 10, 0);
}

static void test_impossible_steps_are_refused(void **state)
{
    (void)state;
    uint64_t random = 5;
    hm_step_t step = step_draw(&random);
    hm_step_how_t how = {.degree = {1, 3}};
    double ms = 7;
    assert_int_equal(step_simulate(&step, &how, NULL, &ms), -EINVAL);
    how.degree[1] = 16;
    assert_int_equal(step_simulate(&step, &how, NULL, &ms), -EINVAL);
    how = (hm_step_how_t){.degree = {1, 1}, .reduction = HM_REDUCTION_CHUNKS, .chunk_bytes = 1};
    assert_int_equal(step_simulate(&step, &how, NULL, &ms), -EINVAL);
    how.chunk_bytes = 0;
    step.layers = 0;
    assert_int_equal(step_simulate(&step, &how, NULL, &ms), -EINVAL);
    step.layers = HM_STEP_LAYERS + 1;
    assert_int_equal(step_choose(&step, false, &how, NULL, &ms), -EINVAL);
    assert_float_equal(ms, 7, 0);
}

typedef struct bed {
    const char *name;
    int gpus; /* of a node: experts and attention are sharded over them */
    double gemm_alpha, gemm_beta, length[3];
} bed_t;

typedef struct model {
    const char *name;
    double hidden, inner, attention; /* attention: weights in hidden^2 */
    int products, layers;
} model_t;

/* One layer of a model on a test bed as overlap_builtin.c works out its two examples. */
static void paper_step(const bed_t *bed, const model_t *model, double length, hm_step_t *step)
{
    const hm_profile_t *profile = profile_builtin(bed->name);
    hm_overlap_text_t text = *overlap_builtin(bed->name);
    double gpus = bed->gpus, hidden = model->hidden, rows = 2.4 * length;
    text.layers = model->layers;
    text.dispatch_bytes = text.gather.units = text.scatter.units = rows * hidden / gpus * 2;
    text.experts.alpha_ms = model->products * bed->gemm_alpha;
    text.experts.units = model->products * rows * hidden * model->inner / gpus;
    text.reduction.units = model->attention * hidden * hidden / gpus * 2;
    double share = length * hidden / gpus * 2;
    double moved = text.gather.alpha_ms + text.scatter.alpha_ms + share * (text.gather.unit_ms + text.scatter.unit_ms);
    double weights = model->attention * hidden * hidden + 2 * length * hidden;
    double computed = 4 * bed->gemm_alpha + bed->gemm_beta * length * weights / gpus;
    text.dense_ms[0] = computed + moved;
    text.dense_ms[1] = 2 * computed + moved;
    overlap_step(&text, profile, step);
}

/* The paper's models: FSMoE over one link for all traffic (its No-IIO, 1.07x), and over PipeMoE with Lina's chunks of
 * 30 MB (one degree and one link, 1.14x). A layer's gradient is smaller than 30 MB on both test beds, so these are no
 * slices at all. Simulated streams do not slow each other down, as links inside a node and network cards that share a
 * PCIe switch do: that the simulated speedups are somewhat larger is expected. */
static void test_speedups_are_in_the_papers_range(void **state)
{
    (void)state;
    static const bed_t beds[] = {{"fsmoe-a", 8, 4.26e-2, 2.29e-11, {512, 1024, 2048}},
                                 {"fsmoe-b", 4, 9.24e-2, 4.42e-11, {256, 512, 1024}}};
    static const model_t models[2][3] = {{{"GPT2-XL", 1600, 6400, 4, 2, 24},
                                          {"Mixtral-8x7B", 4096, 14336, 2.5, 3, 32},
                                          {"Mixtral-8x22B", 6144, 16384, 7 / 3.0, 3, 33}},
                                         {{"GPT2-XL", 1600, 6400, 4, 2, 24}, {"Mixtral-8x7B", 4096, 14336, 2.5, 3, 7}}};
    double sum[3] = {0, 0, 0};
    int count = 0;
    for (int b = 0; b < 2; b++)
        for (int m = 0; m < 3 && models[b][m].name != NULL; m++)
            for (int l = 0; l < 3; l++, count++) {
                hm_step_t step;
                hm_step_how_t how = {.degree = {0, 0}}, link = {.one_link = true};
                hm_step_how_t chunks = {.one_link = true, .reduction = HM_REDUCTION_CHUNKS, .chunk_bytes = 30e6};
                hm_step_how_t whole = {.one_link = true, .reduction = HM_REDUCTION_CHUNKS};
                double ms[4];
                paper_step(&beds[b], &models[b][m], beds[b].length[l], &step);
                assert_int_equal(step_choose(&step, false, &how, NULL, &ms[0]), 0);
                assert_int_equal(step_choose(&step, false, &link, NULL, &ms[1]), 0);
                assert_int_equal(step_choose(&step, true, &chunks, NULL, &ms[2]), 0);
                assert_int_equal(step_choose(&step, true, &whole, NULL, &ms[3]), 0);
                for (int i = 0; i < 3; i++) sum[i] += ms[i + 1] / ms[0];
                print_message(
                    "%s %-13s L %4.0f: %6.1f ms at %d and %d, over one link %.3fx, 30 MB %.3fx, whole %.3fx\n",
                    beds[b].name, models[b][m].name, beds[b].length[l], ms[0], how.degree[0], how.degree[1],
                    ms[1] / ms[0], ms[2] / ms[0], ms[3] / ms[0]);
                assert_true(ms[0] < ms[1] && ms[1] < ms[2]);
            }
    print_message("on average over one link %.3fx, 30 MB %.3fx, whole %.3fx\n", sum[0] / count, sum[1] / count,
                  sum[2] / count);
    assert_float_equal(sum[0] / count, 1.07, 0.05);
    assert_float_equal(sum[1] / count, 1.14, 0.08);
}

/* The two built-in examples are two of these. */
static void test_the_built_in_examples_are_the_papers(void **state)
{
    (void)state;
    static const bed_t beds[] = {{"fsmoe-a", 8, 4.26e-2, 2.29e-11, {0}}, {"fsmoe-b", 4, 9.24e-2, 4.42e-11, {0}}};
    static const model_t models[] = {{"", 6144, 16384, 7 / 3.0, 3, 33}, {"", 4096, 14336, 2.5, 3, 7}};
    for (int b = 0; b < 2; b++) {
        hm_step_t want, step;
        paper_step(&beds[b], &models[b], 1024, &want);
        overlap_step(overlap_builtin(beds[b].name), profile_builtin(beds[b].name), &step);
        assert_int_equal(step.layers, want.layers);
        for (int p = 0; p < HM_OVERLAP_PARTS; p++) {
            assert_float_equal(step.layer.part[p].alpha_ms, want.layer.part[p].alpha_ms, 1e-9);
            assert_float_equal(step.layer.part[p].ms, want.layer.part[p].ms, 1e-4 * want.layer.part[p].ms);
        }
        for (int pass = 0; pass < 2; pass++)
            assert_float_equal(step.dense_ms[pass], want.dense_ms[pass], 1e-3 * want.dense_ms[pass]);
        assert_float_equal(step.gradient_bytes, want.gradient_bytes, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_plan_beats_the_best),
        cmocka_unit_test(test_the_stack_pays_for_each_piece),
        cmocka_unit_test(test_a_step_is_its_layers_and_the_plan),
        cmocka_unit_test(test_the_chosen_degrees_are_the_best),
        cmocka_unit_test(test_chunks_wait_for_their_gradient),
        cmocka_unit_test(test_impossible_steps_are_refused),
        cmocka_unit_test(test_speedups_are_in_the_papers_range),
        cmocka_unit_test(test_the_built_in_examples_are_the_papers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
