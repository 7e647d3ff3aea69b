#include "gates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROW 256

random_t source;
world_t world;
hm_settings_t impatient;
static atomic_bool gate[RANKS];
bool gates_lost;

int gates_setup(void **context)
{
    (void)context;
    source.state = 1;
    doubles_reset();
    doubles_settings.topo = "2,2";
    doubles_settings.depth = 2;
    doubles_settings.timeout = 1000000;
    impatient = doubles_settings;
    impatient.test_patience = 2;
    streams_enqueued = NULL;
    gates_lost = false;
    world_open(&world, RANKS);
    for (int r = 0; r < RANKS; r++) world.stream[r] = stream_open();
    return 0;
}

void gates_open(void)
{
    for (int r = 0; r < RANKS; r++) atomic_store(&gate[r], true);
}

int gates_teardown(void **context)
{
    (void)context;
    gates_open();
    for (int r = 0; r < RANKS; r++) stream_close(world.stream[r]);
    if (gates_lost) {
        for (int r = 0; r < RANKS; r++) state_destroy(&world.comm[r]);
        threads_world_destroy(world.nccl);
    } else {
        bool failed = false;
        for (int r = 0; r < RANKS; r++)
            failed = failed || world.comm[r].state == NULL || comm_failure(&world.comm[r]) != ncclSuccess;
        if (!failed) world_learned(&world, RANKS);
        world_close(&world, RANKS);
    }
    return 0;
}

void gate_open(int rank)
{
    atomic_store(&gate[rank], true);
}

void gates_hold(unsigned ranks)
{
    for (int r = 0; r < RANKS; r++) {
        bool held = (ranks >> r & 1) != 0;
        world.settings[r] = held ? &impatient : NULL;
        if (!held) continue;
        atomic_store(&gate[r], false);
        stream_hold(world.stream[r], &gate[r]);
    }
}

void call_make(exchange_t *exchange)
{
    exchange_draw(&source, &world.exchange, RANKS, ROW);
    world_call(&world);
    *exchange = world.exchange;
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world.result[r], ncclSuccess);
        assert_int_equal(world.replaced[r], world.replaced[0]);
    }
}

void call_finish(exchange_t *exchange)
{
    for (int r = 0; r < RANKS; r++) stream_wait(world.stream[r]);
    assert_int_equal(exchange_check(exchange), 0);
    exchange_free(exchange);
}

bool call(void)
{
    exchange_t exchange;
    call_make(&exchange);
    call_finish(&exchange);
    return world.replaced[0];
}

bool call_held(unsigned ranks)
{
    world.returned = gate_open;
    gates_hold(ranks);
    bool replaced = call();
    world.returned = NULL;
    gates_hold(0);
    return replaced;
}

uint64_t calls_left(int rank)
{
    return world.comm[rank].stats.left[HM_REASON_STREAM_HELD];
}

hm_hold_t *hold_of(int rank)
{
    return &world.comm[rank].state->parts.know.hold;
}

void holds_forget(void)
{
    for (int r = 0; r < RANKS; r++) *hold_of(r) = (hm_hold_t){0};
}

void calls_until_replaced(uint64_t expected)
{
    while (!call()) continue;
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(calls_left(r), expected);
        assert_int_equal(world.comm[r].stats.agreements, world.comm[0].stats.agreements);
    }
    assert_int_equal(doubles_said, 0);
}
