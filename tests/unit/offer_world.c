#include "offer_world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

void assert_profile_equal(const hm_profile_t *a, const hm_profile_t *b)
{
    char left[8192], right[8192];
    size_t length;
    assert_int_equal(profile_write(a, left, sizeof left, &length), 0);
    assert_int_equal(profile_write(b, right, sizeof right, &length), 0);
    assert_string_equal(left, right);
}

hm_profile_t profile_of_all(random_t *source, int which, const hm_settings_t *own, int calls)
{
    world_t world;
    world_open(&world, RANKS);
    if (which >= 0) world.settings[which] = own;
    for (int i = 0; i < calls; i++) world_exchange(source, &world, RANKS, 512);
    const hm_state_t *first = world.comm[0].state;
    hm_profile_t profile = first->parts.know.profile;
    assert_true(first->parts.know.profile_known);
    for (int r = 1; r < RANKS; r++) {
        assert_true(world.comm[r].state->met);
        assert_profile_equal(&world.comm[r].state->parts.know.profile, &profile);
        assert_int_equal(world.comm[r].stats.replaced, world.comm[0].stats.replaced);
    }
    world_close(&world, RANKS);
    return profile;
}
