/* Drawn routings: distinct experts, the same on every rank, and of the distribution that was asked for. */
#include "../layout.h"
#include "../routing.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int64_t any_tokens[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
static int nodes_of_two[8] = {0, 0, 1, 1, 2, 2, 3, 3};

static mp_options_t options_make(mp_route_t route)
{
    return (mp_options_t){.route = route,
                          .tokens = 500,
                          .experts = 64,
                          .topk = 6,
                          .layers = 2,
                          .seed = 3,
                          .ranks = 8,
                          .zipf = 1,
                          .groups = 8,
                          .group_topk = 2,
                          .one_rank = 5,
                          .tokens_of = any_tokens,
                          .node_of = nodes_of_two,
                          .nodes = 4};
}

static void tokens_choose_different_experts(void **state)
{
    (void)state;
    for (int route = MP_UNIFORM; route <= MP_ONE; route++) {
        mp_options_t options = options_make((mp_route_t)route);
        mp_routing_t routing;
        assert_int_equal(routing_create(&options, &routing), 0);
        for (int l = 0; l < 2; l++)
            for (int r = 0; r < 8; r++)
                for (size_t t = 0; t < 500; t++) {
                    const uint16_t *expert = routing_token(&routing, l, r, t);
                    uint64_t seen = 0;
                    for (int k = 0; k < 6; k++) {
                        assert_true(expert[k] < 64);
                        seen |= 1ull << expert[k];
                        if (route == MP_ONE) assert_int_equal(expert[k] / 8, 5);
                    }
                    assert_int_equal(__builtin_popcountll(seen), 6);
                    int groups = 0;
                    for (int g = 0; g < 8; g++) groups += (seen >> 8 * g & 255) != 0;
                    if (route == MP_GROUP) assert_true(groups <= 2);
                }
        routing_free(&routing);
    }
}

static void the_seed_decides_everything(void **state)
{
    (void)state;
    mp_options_t options = options_make(MP_ZIPF);
    mp_routing_t one, same, other;
    assert_int_equal(routing_create(&options, &one), 0);
    assert_int_equal(routing_create(&options, &same), 0);
    options.seed = 4;
    assert_int_equal(routing_create(&options, &other), 0);
    size_t bytes = 8 * one.rank_stride * sizeof(uint16_t);
    assert_memory_equal(one.expert, same.expert, bytes);
    assert_memory_not_equal(one.expert, other.expert, bytes);
    assert_memory_not_equal(routing_token(&one, 0, 0, 0), routing_token(&one, 1, 0, 0), 500 * 6 * 2);
    assert_memory_not_equal(routing_token(&one, 0, 0, 0), routing_token(&one, 0, 1, 0), 500 * 6 * 2);
    routing_free(&one);
    routing_free(&same);
    routing_free(&other);
}

/* The share of rows that de-duplication per node saves on 4 groups of 16 experts under uniform top-6 routing. */
static void uniform_routing_repeats_rows_as_combinatorics_says(void **state)
{
    (void)state;
    mp_options_t options = options_make(MP_UNIFORM);
    mp_routing_t routing;
    mp_volume_t volume;
    double miss = 1;
    options.tokens = 4000;
    for (int k = 0; k < 6; k++) miss *= (48.0 - k) / (64.0 - k);
    assert_int_equal(routing_create(&options, &routing), 0);
    assert_int_equal(volume_create(4, &volume), 0);
    assert_int_equal(volume_add(&volume, &routing, 0, 0, nodes_of_two, 1), 0);
    assert_true(fabs(volume.off_node / (8 * 4000 * 6 * 0.75) - 1) < 0.01);
    assert_true(fabs(volume.per_node / (8 * 4000 * 3 * (1 - miss)) - 1) < 0.01);
    assert_true(volume.per_gpu > volume.per_node && volume.per_gpu < volume.off_node);
    volume_free(&volume);
    routing_free(&routing);
}

static void zipf_makes_the_first_expert_popular(void **state)
{
    (void)state;
    mp_options_t options = options_make(MP_ZIPF);
    mp_routing_t routing;
    size_t count[64] = {0}, most = 0, least = SIZE_MAX;
    options.topk = 1;
    options.tokens = 20000;
    assert_int_equal(routing_create(&options, &routing), 0);
    for (size_t t = 0; t < 20000; t++) count[*routing_token(&routing, 0, 0, t)]++;
    for (int e = 0; e < 64; e++) {
        if (count[e] > most) most = count[e];
        if (count[e] < least) least = count[e];
    }
    /* Popularity 1/e over 64 experts: the first has 1/4.744 of all, the last 64 times less. */
    assert_true(fabs((double)most / 20000 - 1 / 4.744) < 0.01);
    assert_true(least > 20 && least < 120);
    routing_free(&routing);
}

static void refuses_what_cannot_be_drawn(void **state)
{
    (void)state;
    mp_routing_t routing;
    mp_options_t odd = options_make(MP_UNIFORM), many = odd, one = options_make(MP_ONE), group = options_make(MP_GROUP);
    odd.experts = 63;
    many.topk = 65;
    one.topk = 9;
    group.topk = 17;
    assert_int_equal(routing_create(&odd, &routing), -EINVAL);
    assert_int_equal(routing_create(&many, &routing), -EINVAL);
    assert_int_equal(routing_create(&one, &routing), -EINVAL);
    assert_int_equal(routing_create(&group, &routing), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_choose_different_experts),
        cmocka_unit_test(the_seed_decides_everything),
        cmocka_unit_test(uniform_routing_repeats_rows_as_combinatorics_says),
        cmocka_unit_test(zipf_makes_the_first_expert_popular),
        cmocka_unit_test(refuses_what_cannot_be_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
