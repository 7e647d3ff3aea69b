/* Plain and every depth race by what they took. */
#include "policy_test.h"

#include "policy/arms.h"

#include "draw.h"

#define LEVELS 2
#define LEAD .3

/* Calls of one kind, whose times come two calls later. */
typedef struct race {
    hm_arms_t arms;
    double ms[LEVELS + 1], model[LEVELS + 1], times, noise;
    uint64_t call, seed;
    int asked[LEVELS + 1];
    struct {
        int depth; /* -1: none */
        double ratio;
    } late[2];
} race_t;

static race_t race_of(double plain, double depth_1, double depth_2)
{
    race_t race = {.ms = {plain, depth_1, depth_2}, .model = {plain, depth_1, depth_2}, .times = 1};
    race.late[0].depth = race.late[1].depth = -1;
    race.seed = draw_seed("arms");
    return race;
}

/* One call; returns its depth. */
static int call_play(race_t *race)
{
    int slot = (int)(race->call % 2);
    if (race->late[slot].depth >= 0) arms_add(&race->arms, race->late[slot].depth, race->late[slot].ratio);
    hm_arms_call_t call = {LEVELS, race->call, race->model, LEAD, 10};
    int depth = arms_choose(&race->arms, &call);
    double took = race->ms[depth] * race->times * draw_factor(&race->seed, race->noise);
    race->late[slot].depth = depth;
    race->late[slot].ratio = took / race->model[depth];
    race->asked[depth]++;
    race->call++;
    return depth;
}

/* Plays calls and returns how many went to `depth`. */
static int calls_play(race_t *race, int calls, int depth)
{
    int count = 0;
    for (int i = 0; i < calls; i++) count += call_play(race) == depth;
    return count;
}

static void each_is_asked_first_in_the_models_order(void **context)
{
    (void)context;
    race_t race = race_of(25, 20, 15);
    const int order[] = {2, 0, 1, 2}; /* once is enough where the model is right, and depths differ enough */
    for (int i = 0; i < 4; i++) assert_int_equal(call_play(&race), order[i]);
    assert_true(calls_play(&race, 20, 2) >= 19);
    race = race_of(25, 20, 15);
    race.model[1] = 1;
    assert_int_equal(call_play(&race), 1);
}

/* A depth that the model puts far behind is asked for when the race is over, or sooner where the model is wrong. */
static void hopeless_depths_wait(void **context)
{
    (void)context;
    race_t right = race_of(25, 45, 15), wrong = race_of(25, 45, 15);
    calls_play(&right, 20, 2);
    assert_true(right.arms.sure);
    assert_int_equal(right.asked[1], 0);
    calls_play(&right, 40, 2);
    assert_int_equal(right.asked[1], 1);
    wrong.model[0] *= 10;
    calls_play(&wrong, 20, 2);
    assert_true(wrong.asked[1] > 0);
}

static void clear_cases_are_decided_soon(void **context)
{
    (void)context;
    race_t deep = race_of(25, 20, 10), plain = race_of(5, 20, 30);
    calls_play(&deep, 30, 2);
    assert_true(deep.arms.sure);
    assert_int_equal(deep.arms.best, 2);
    assert_true(deep.asked[0] <= 4);
    calls_play(&plain, 30, 0);
    assert_true(plain.arms.sure);
    assert_int_equal(plain.arms.best, 0);
    assert_true(!arms_worth(&plain.arms, plain.call));
}

/* By 50 times either way, for all depths or for one alone. */
static void a_wrong_model_costs_the_first_calls_only(void **context)
{
    (void)context;
    static const double error[][LEVELS + 1] = {{50, 50, 50}, {.02, .02, .02}, {1, 50, 50}, {1, .02, .02},
                                               {1, 50, 1},   {1, 1, 50},      {1, .02, 1}, {1, 1, .02}};
    for (size_t i = 0; i < sizeof error / sizeof error[0]; i++) {
        race_t race = race_of(25, 20, 15);
        for (int d = 0; d <= LEVELS; d++) race.model[d] *= error[i][d];
        race.noise = .15;
        calls_play(&race, 60, 2);
        assert_true(calls_play(&race, 1000, 2) >= 970);
        assert_float_equal(arms_predict(&race.arms, 2), 15 + LEAD, 3);
        assert_float_equal(arms_gain(&race.arms), 10 - LEAD, 4);
    }
}

/* The first call of each makes connections. */
static void first_calls_may_take_very_long(void **context)
{
    (void)context;
    for (int slow = 0; slow <= LEVELS; slow++) {
        race_t race = race_of(25, 20, 15);
        bool first = true;
        for (int i = 0; i < 60; i++) {
            double ms = race.ms[slow];
            if (first) race.ms[slow] *= 100;
            first = call_play(&race) != slow && first;
            race.ms[slow] = ms;
        }
        assert_int_equal(race.arms.best, 2);
    }
}

static void one_hiccup_among_the_first_calls_decides_nothing(void **context)
{
    (void)context;
    for (int at = 0; at < 6; at++) {
        race_t race = race_of(25, 20, 15);
        for (int i = 0; i < 60; i++) {
            race.times = i == at ? 5 : 1;
            call_play(&race);
        }
        assert_true(race.arms.sure);
        assert_int_equal(race.arms.best, 2);
    }
}

/* Such as a checkpoint that goes over the same cards, at any time. */
static void slow_spells_do_not_end_replacing(void **context)
{
    (void)context;
    for (int begin = 0; begin < 40; begin += 3)
        for (int length = 1; length <= 15; length += 2) {
            race_t race = race_of(25, 20, 15);
            race.noise = .1;
            for (int i = 0; i < 4000; i++) {
                race.times = i >= begin && i < begin + length ? 8 : 1;
                call_play(&race);
            }
            assert_true(calls_play(&race, 500, 2) >= 480);
        }
}

static void a_network_that_changes_is_followed(void **context)
{
    (void)context;
    race_t race = race_of(25, 20, 15);
    calls_play(&race, 500, 2);
    race.ms[2] = 40;
    calls_play(&race, 100, 1);
    assert_int_equal(race.arms.best, 1);
    race.ms[0] = 10;
    calls_play(&race, 2000, 0);
    assert_int_equal(race.arms.best, 0);
}

/* What a rival that is asked again costs is bounded: 0.1 % of the time each, and a little at first. */
static void rivals_are_asked_seldom(void **context)
{
    (void)context;
    race_t race = race_of(25, 20, 15);
    calls_play(&race, 2000, 2);
    memset(race.asked, 0, sizeof race.asked);
    calls_play(&race, 20000, 2);
    double lost = race.asked[0] * 10. + race.asked[1] * 5.;
    assert_true(race.asked[0] >= 10 && race.asked[1] >= 20);
    assert_true(lost < .0025 * 20000 * 15);
}

static void near_ties_end_the_race(void **context)
{
    (void)context;
    race_t race = race_of(10, 9.8, 9.9);
    race.noise = .1;
    calls_play(&race, 3 * 2 * HM_RING, 0);
    assert_true(race.arms.sure);
    assert_int_equal(race.arms.best, 0); /* looking costs more than it brings */
}

static void times_that_are_never_known_leave_it_to_the_model(void **context)
{
    (void)context;
    hm_arms_t arms = {.best = 0};
    const double model[] = {25, 20, 15};
    hm_arms_call_t call = {LEVELS, 0, model, LEAD, 0};
    int deep = 0;
    for (; call.number < 500; call.number++) deep += arms_choose(&arms, &call) == 2 && call.number >= 200;
    assert_true(arms.sure);
    assert_true(deep >= 290);
}

static void a_depth_that_cannot_be_had_is_not_asked_for(void **context)
{
    (void)context;
    race_t race = race_of(25, 20, 15);
    calls_play(&race, 100, 2);
    arms_bar(&race.arms, 2, 1000);
    while (race.call < 1000) assert_int_not_equal(call_play(&race), 2);
    assert_int_equal(race.arms.best, 1);
    calls_play(&race, 600, 2);
    assert_int_equal(race.arms.best, 2);
    arms_bar(&race.arms, 1, UINT64_MAX);
    arms_bar(&race.arms, 2, UINT64_MAX);
    for (int i = 0; i < 100; i++) assert_int_equal(call_play(&race), 0);
    assert_true(!arms_worth(&race.arms, race.call));
}

/* A kind that turned out to be better left alone is worth a look when a rival's turn comes. */
static void a_verdict_of_plain_is_looked_at_again(void **context)
{
    (void)context;
    race_t race = race_of(10, 11, 12);
    race.noise = .1;
    calls_play(&race, 100, 0);
    assert_int_equal(race.arms.best, 0);
    assert_true(!arms_worth(&race.arms, race.call));
    assert_true(race.arms.due > race.call && race.arms.due <= race.call + 256); /* soon after a race */
    assert_true(arms_worth(&race.arms, race.arms.due));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_asked_first_in_the_models_order),
        cmocka_unit_test(hopeless_depths_wait),
        cmocka_unit_test(clear_cases_are_decided_soon),
        cmocka_unit_test(a_wrong_model_costs_the_first_calls_only),
        cmocka_unit_test(first_calls_may_take_very_long),
        cmocka_unit_test(one_hiccup_among_the_first_calls_decides_nothing),
        cmocka_unit_test(slow_spells_do_not_end_replacing),
        cmocka_unit_test(a_network_that_changes_is_followed),
        cmocka_unit_test(rivals_are_asked_seldom),
        cmocka_unit_test(near_ties_end_the_race),
        cmocka_unit_test(times_that_are_never_known_leave_it_to_the_model),
        cmocka_unit_test(a_depth_that_cannot_be_had_is_not_asked_for),
        cmocka_unit_test(a_verdict_of_plain_is_looked_at_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
