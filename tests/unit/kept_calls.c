#include "kept_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

random_t source;
world_t world;
tokens_t tokens;
hiermoe_announcement_t what[RANKS];

int set_up(void **state)
{
    (void)state;
    source.state = 1;
    doubles_reset();
    doubles_settings.topo = "3,2";
    doubles_settings.depth = 2;
    doubles_settings.mode = HM_MODE_GUIDED;
    world_open(&world, RANKS);
    for (int r = 0; r < RANKS; r++) world.adapters[r] = 77;
    tokens_draw(&source, &tokens, RANKS, WIDTH, true);
    return 0;
}

int tear_down(void **state)
{
    (void)state;
    tokens_free(&tokens);
    world_close(&world, RANKS);
    return 0;
}

/* One call, as announced. Every rank must do the same with it. Whether it was carried out. */
static bool call_make(void)
{
    world_call(&world);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world.result[r], ncclSuccess);
        assert_int_equal(world.replaced[r], world.replaced[0]);
        world.announced[r] = NULL;
    }
    return world.replaced[0];
}

kept_t dispatch(void)
{
    kept_t kept;
    tokens_redraw(&source, &tokens);
    for (int r = 0; r < RANKS; r++) {
        what[r] = tokens_announce(&tokens, r, true);
        world.announced[r] = &what[r];
    }
    tokens_dispatch(&tokens, &world.exchange);
    call_make();
    assert_int_equal(exchange_check(&world.exchange), 0);
    exchange_free(&world.exchange);
    memcpy(kept.handle, world.made, sizeof kept.handle);
    return kept;
}

void announce_after(uint32_t role, const kept_t *kept)
{
    for (int r = 0; r < RANKS; r++) {
        what[r] = tokens_announce_after(&tokens, r, role, kept->handle[r]);
        world.announced[r] = &what[r];
    }
}

bool after(uint32_t role)
{
    bool again = role == HIERMOE_COMBINE_BACKWARD;
    if (again) tokens_redraw(&source, &tokens);
    if (again)
        tokens_dispatch(&tokens, &world.exchange);
    else
        tokens_back(&source, &tokens, &world.exchange);
    uint64_t guided = world.comm[0].stats.guided;
    bool replaced = call_make();
    bool summed = world.comm[0].stats.guided > guided && !again;
    if (!summed) assert_int_equal(exchange_check(&world.exchange), 0);
    if (!again) assert_int_equal(tokens_sums_wrong(&tokens, &world.exchange, summed), 0);
    exchange_free(&world.exchange);
    return replaced;
}

bool along(uint32_t role, const kept_t *kept)
{
    announce_after(role, kept);
    return after(role);
}

void release(const kept_t *kept)
{
    for (int r = 0; r < RANKS; r++) handle_release(kept->handle[r]);
}

size_t held(int rank)
{
    size_t count = 0;
    for (const hm_held_t *at = world.comm[rank].state->parts.pool.held; at != NULL; at = at->next) count++;
    return count;
}

uint64_t left(hm_reason_t reason)
{
    for (int r = 1; r < RANKS; r++)
        assert_int_equal(world.comm[r].stats.left[reason], world.comm[0].stats.left[reason]);
    return world.comm[0].stats.left[reason];
}

void refused(hm_reason_t reason)
{
    assert_int_equal(left(reason), 1);
    assert_int_equal(world.comm[0].stats.misannounced, 1);
}
