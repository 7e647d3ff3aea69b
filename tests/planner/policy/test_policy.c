/* The way of a call through the policy, and what its caller may and may not do. */
#include "policy_test.h"

#include "policy/policy.h"

#include <math.h>

#define LEVELS 2

/* A communicator whose calls take what they take, with times that come two looks later. */
typedef struct comm {
    hm_policy_t policy;
    double ms[LEVELS + 1];
    hm_outcome_t outcome;
    hm_took_t took[2];
    uint64_t looks;
    int refuse; /* every depth from here on cannot be had; 0: none */
} comm_t;

static void comm_init(comm_t *comm, double plain, double depth_1, double depth_2)
{
    *comm = (comm_t){.ms = {plain, depth_1, depth_2}};
    comm->outcome =
        (hm_outcome_t){.levels = LEVELS, .able = true, .row_bytes = 4096, .gcd = 4096, .bytes = 36e6, .copies = .6};
    for (int d = 0; d <= LEVELS; d++) comm->outcome.model_ms[d] = comm->ms[d];
    policy_init(&comm->policy, (hm_fixed_t){.depth = -1});
}

/* One call; its depth, -1: not looked at. */
static int call_play(comm_t *comm)
{
    if (!policy_expect(&comm->policy).look) return -1;
    hm_took_t *took = &comm->took[comm->looks++ % 2];
    policy_time(&comm->policy, took);
    int depth = policy_choose(&comm->policy, &comm->outcome);
    if (comm->refuse > 0 && depth >= comm->refuse) {
        policy_refuse(&comm->policy);
        depth = 0;
    }
    *took = (hm_took_t){.known = true,
                        .lead_us = 300,
                        .transfer_us = (uint32_t)(1e3 * comm->ms[depth]),
                        .span_us = (uint32_t)(1e3 * (comm->ms[depth] + 5)),
                        .wait_us = 800};
    return depth;
}

static int calls_play(comm_t *comm, int calls, int depth)
{
    int count = 0;
    for (int i = 0; i < calls; i++) count += call_play(comm) == depth;
    return count;
}

static void the_first_call_is_looked_at_with_no_row_size(void **context)
{
    (void)context;
    comm_t comm;
    comm_init(&comm, 25, 20, 15);
    hm_intent_t intent = policy_expect(&comm.policy);
    assert_true(intent.look);
    assert_int_equal(intent.row_bytes, 0);
    policy_choose(&comm.policy, &comm.outcome);
    assert_int_equal(policy_expect(&comm.policy).row_bytes, 4096);
}

static void what_is_fastest_is_done_nearly_always(void **context)
{
    (void)context;
    static const double ms[LEVELS + 1][LEVELS + 1] = {{9, 9.5, 10}, {20, 12, 16}, {25, 20, 15}}; /* [best] */
    for (int best = 0; best <= LEVELS; best++) {
        comm_t comm;
        comm_init(&comm, ms[best][0], ms[best][1], ms[best][2]);
        calls_play(&comm, 100, best);
        if (best == 0) {
            assert_true(calls_play(&comm, 1000, -1) >= 950);
            continue;
        }
        assert_true(calls_play(&comm, 1000, best) >= 980);
        assert_float_equal(policy_predict(&comm.policy, best), ms[best][best] + .3, .1);
    }
}

static void calls_without_copies_are_tried_only_where_the_model_promises_much(void **context)
{
    (void)context;
    comm_t comm;
    comm_init(&comm, 25, 23, 23);
    comm.outcome.copies = 0;
    for (int i = 0; i < 500; i++) assert_true(call_play(&comm) <= 0);
    comm_init(&comm, 25, 15, 15);
    comm.outcome.copies = 0;
    calls_play(&comm, 50, 1);
    assert_int_equal(calls_play(&comm, 100, -1), 0);
}

/* Scratch over the cap, no memory: such a kind must not pay for looking on every call. */
static void depths_that_cannot_be_had_are_given_up(void **context)
{
    (void)context;
    comm_t comm;
    comm_init(&comm, 25, 20, 15);
    comm.refuse = 2;
    calls_play(&comm, 200, 1);
    assert_true(calls_play(&comm, 1000, 1) >= 970);
    comm_init(&comm, 25, 20, 15);
    comm.refuse = 1;
    calls_play(&comm, 200, 0);
    assert_true(calls_play(&comm, 1000, -1) >= 950);
    comm.refuse = 0;
    calls_play(&comm, 6000, 2);
    assert_true(calls_play(&comm, 100, 2) >= 95); /* memory came free */
}

/* The first depth asked for cannot be had: what the call takes left alone is plain's time, by plain's model. */
static void a_refused_call_is_a_plain_one(void **context)
{
    (void)context;
    comm_t comm;
    comm_init(&comm, 25, 20, 15);
    comm.outcome.model_ms[0] = 50 * 25;
    comm.refuse = 1;
    for (int i = 0; i < 3; i++) call_play(&comm);
    const hm_ring_t *plain = &comm.policy.kind[0].arms.arm[0].ratio;
    assert_true(plain->kept >= 1);
    assert_float_equal(plain->value[0], .02, 1e-6);
}

/* A call that is recorded into a graph, say: no agreement is held though one was wanted. */
static void a_look_that_does_not_come_about_is_like_none(void **context)
{
    (void)context;
    comm_t comm;
    comm_init(&comm, 25, 20, 15);
    calls_play(&comm, 200, 2);
    uint64_t calls = comm.policy.tape.calls, looks = comm.policy.looks.count;
    for (int i = 0; i < 50; i++) assert_true(policy_expect(&comm.policy).look);
    assert_int_equal(comm.policy.tape.calls, calls + 49);
    assert_int_equal(comm.policy.looks.count, looks);
    assert_true(calls_play(&comm, 100, 2) >= 98);
}

/* Calls that can go deep are all looked at and go as deep as was settled, whatever they take; others hardly. */
static void a_settled_depth_is_taken(void **context)
{
    (void)context;
    for (int depth = 1; depth <= LEVELS + 1; depth++) {
        comm_t comm;
        int idle = 0, deep = depth < LEVELS ? depth : LEVELS;
        comm_init(&comm, 1, 20, 15);
        policy_init(&comm.policy, (hm_fixed_t){.depth = depth});
        for (int i = 0; i < 300; i++) {
            comm.outcome.able = true;
            comm.outcome.copies = i % 2 == 0 ? .6 : 0;
            assert_int_equal(call_play(&comm), deep);
            assert_false(policy_tries(&comm.policy));
            if (i > 4) assert_float_equal(policy_predict(&comm.policy, deep), comm.ms[deep] + .3, .1);
            comm.outcome.able = false;
            idle += call_play(&comm) == 0;
        }
        assert_true(idle < 60);
    }
}

/* Every call that is asked for is looked at; what it would take deep is put right by what it takes plain. */
static void observing_leaves_all_alone(void **context)
{
    (void)context;
    comm_t comm;
    comm_init(&comm, 25, 20, 15);
    for (int d = 0; d <= LEVELS; d++) comm.outcome.model_ms[d] *= 10;
    policy_init(&comm.policy, (hm_fixed_t){.depth = -1, .observe = true});
    assert_int_equal(calls_play(&comm, 500, 0), 500);
    assert_false(policy_tries(&comm.policy));
    assert_float_equal(policy_predict(&comm.policy, 0), 25, .1);
    assert_float_equal(policy_predict(&comm.policy, 2), 15.3, .1);
}

/* Plain is asked for though a depth may be best: a trial; and none where plain is known to be best. */
static void trials_are_told_from_calls_without_gain(void **context)
{
    (void)context;
    comm_t comm;
    int tries = 0;
    comm_init(&comm, 25, 20, 15);
    for (int i = 0; i < 100; i++)
        if (call_play(&comm) == 0) tries += policy_tries(&comm.policy);
    assert_true(tries > 0);
    comm_init(&comm, 9, 9.9, 9.9);
    calls_play(&comm, 300, 0);
    for (int i = 0; i < 2000; i++)
        if (call_play(&comm) == 0) assert_false(policy_tries(&comm.policy));
}

static void without_a_model_times_alone_decide(void **context)
{
    (void)context;
    static const double nothing[] = {NAN, 0, -1, INFINITY};
    for (int i = 0; i < 4; i++) {
        comm_t comm;
        comm_init(&comm, 25, 20, 15);
        for (int d = 0; d <= LEVELS; d++) comm.outcome.model_ms[d] = nothing[i];
        assert_float_equal(policy_predict(&comm.policy, 0), 0, 0);
        calls_play(&comm, 100, 2);
        assert_true(calls_play(&comm, 500, 2) >= 490);
        assert_float_equal(policy_predict(&comm.policy, 2), 15.3, .1);
    }
}

static void times_that_cannot_be_read_are_done_without(void **context)
{
    (void)context;
    comm_t comm;
    comm_init(&comm, 25, 20, 15);
    for (int i = 0; i < 400; i++) {
        call_play(&comm);
        for (int k = 0; k < 2; k++) comm.took[k].known = comm.took[k].known && i % 5 != 0;
    }
    assert_true(calls_play(&comm, 500, 2) >= 480);
}

static void odd_outcomes_are_left_alone(void **context)
{
    (void)context;
    comm_t comm;
    comm_init(&comm, 25, 20, 15);
    const hm_outcome_t odd[] = {{.able = true},
                                {.able = true, .row_bytes = 4096, .gcd = 4096},
                                {.able = true, .bytes = 1e6},
                                {.able = false, .row_bytes = 4096, .gcd = 4096, .bytes = 1e6, .copies = 1}};
    for (int i = 0; i < 400; i++) {
        comm.outcome = odd[i % 4];
        comm.outcome.levels = LEVELS;
        assert_true(call_play(&comm) <= 0);
    }
}

/* More kinds than there is room for, all of them now and then. */
static void many_kinds_share_the_room(void **context)
{
    (void)context;
    comm_t comm;
    int replaced = 0;
    comm_init(&comm, 25, 20, 15);
    for (int i = 0; i < 20000; i++) {
        int kind = i / 200 % (3 * HM_KINDS);
        comm.outcome.row_bytes = comm.outcome.gcd = 4097 + 2 * (size_t)kind;
        replaced += call_play(&comm) > 0;
    }
    assert_true(replaced > 15000);
}

/* The number of a kind that made room means another from now on, in the past as well. */
static void a_kind_that_goes_is_forgotten(void **context)
{
    (void)context;
    comm_t comm;
    comm_init(&comm, 25, 20, 15);
    for (int kind = 0; kind <= HM_KINDS; kind++) {
        comm.outcome.row_bytes = comm.outcome.gcd = 4097 + 2 * (size_t)kind;
        assert_true(call_play(&comm) >= 0);
    }
    assert_int_equal(comm.policy.tape.symbol[0] & 0x7f, HM_TAPE_UNKNOWN);
    assert_int_not_equal(comm.policy.tape.symbol[1] & 0x7f, HM_TAPE_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_call_is_looked_at_with_no_row_size),
        cmocka_unit_test(what_is_fastest_is_done_nearly_always),
        cmocka_unit_test(calls_without_copies_are_tried_only_where_the_model_promises_much),
        cmocka_unit_test(depths_that_cannot_be_had_are_given_up),
        cmocka_unit_test(a_refused_call_is_a_plain_one),
        cmocka_unit_test(a_look_that_does_not_come_about_is_like_none),
        cmocka_unit_test(a_settled_depth_is_taken),
        cmocka_unit_test(observing_leaves_all_alone),
        cmocka_unit_test(trials_are_told_from_calls_without_gain),
        cmocka_unit_test(without_a_model_times_alone_decide),
        cmocka_unit_test(times_that_cannot_be_read_are_done_without),
        cmocka_unit_test(odd_outcomes_are_left_alone),
        cmocka_unit_test(many_kinds_share_the_room),
        cmocka_unit_test(a_kind_that_goes_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
