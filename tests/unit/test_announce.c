/* Description: what adapters may announce: which structs are understood, which call takes an announcement, and what is
 * refused because it cannot be of the call. */
#include "front_double.h"

#include "door/group_state.h"
#include "door/hooks.h"
#include "guide/announce.h"
#include "guide/handle.h"
#include "guide/roles.h"
#include "hiermoe.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEY "decoder.layers.3.mlp"

static const hiermoe_api_t *api;
static int32_t layer;

static int set_up(void **state)
{
    front_reset(state);
    api = hiermoe_api();
    comm_add(HANDLE(1), &front_real, true);
    comm_add(HANDLE(2), &front_real, true);
    return api->layer_open(&(hiermoe_layer_t){.size = sizeof(hiermoe_layer_t), .key = KEY}, &layer);
}

static int tear_down(void **state)
{
    (void)state;
    api->settle(NULL);
    comm_drop(HANDLE(1));
    comm_drop(HANDLE(2));
    return api->layer_close(layer);
}

/* Rows of 32 bytes, as call_make sends them. */
static hiermoe_announcement_t what_make(uint32_t role)
{
    return (hiermoe_announcement_t){.size = sizeof(hiermoe_announcement_t),
                                    .role = role,
                                    .type = HIERMOE_BF16,
                                    .layer = layer,
                                    .width = 16,
                                    .rows_out = 8,
                                    .rows_in = 8};
}

/* Four ranks, two rows of 32 bytes for each. */
static void call_make(ncclComm_t comm)
{
    static char memory[2][4 * 64];
    assert_int_equal(hook_ncclAllToAll(&front_real, memory[0], memory[1], 64, ncclInt8, comm, NULL), ncclSuccess);
}

static uint64_t announced(uint32_t role)
{
    hiermoe_layer_stats_t stats = {.size = sizeof stats};
    assert_int_equal(api->layer_stats(layer, &stats), 0);
    return stats.announced[role];
}

static void the_next_call_takes_it(void **state)
{
    hiermoe_announcement_t what = what_make(HIERMOE_DISPATCH);
    hiermoe_handle_t made = 99;
    (void)state;
    uint64_t before = announced(HIERMOE_DISPATCH);
    assert_int_equal(api->announce(&what), 0);
    call_make(HANDLE(1));
    assert_int_equal(api->settle(&made), 0);
    assert_int_equal(made, 0);
    assert_int_equal(announced(HIERMOE_DISPATCH), before + 1);
    call_make(HANDLE(1));
    assert_int_equal(api->settle(&made), -ENOMSG); /* once only */
}

static void without_a_call_it_is_withdrawn(void **state)
{
    hiermoe_announcement_t what = what_make(HIERMOE_DISPATCH);
    (void)state;
    assert_int_equal(api->announce(&what), 0);
    assert_int_equal(api->settle(NULL), -ENOMSG);
    call_make(HANDLE(1));
    assert_int_equal(api->settle(NULL), -ENOMSG);
}

static void a_later_announcement_replaces_one_that_waits(void **state)
{
    hiermoe_announcement_t first = what_make(HIERMOE_DISPATCH), second = what_make(HIERMOE_COMBINE);
    (void)state;
    uint64_t dispatches = announced(HIERMOE_DISPATCH), combines = announced(HIERMOE_COMBINE);
    assert_int_equal(api->announce(&first), 0);
    assert_int_equal(api->announce(&second), 0);
    call_make(HANDLE(1));
    assert_int_equal(api->settle(NULL), 0);
    assert_int_equal(announced(HIERMOE_DISPATCH), dispatches);
    assert_int_equal(announced(HIERMOE_COMBINE), combines + 1);
}

static void a_call_on_another_communicator_does_not_take_it(void **state)
{
    hiermoe_announcement_t what = what_make(HIERMOE_DISPATCH);
    (void)state;
    uint64_t before = announced(HIERMOE_DISPATCH);
    what.comm = HANDLE(2);
    assert_int_equal(api->announce(&what), 0);
    call_make(HANDLE(1));
    assert_int_equal(announced(HIERMOE_DISPATCH), before);
    call_make(HANDLE(2));
    assert_int_equal(api->settle(NULL), 0);
}

/* A layer's communicator is that of its first call, until the layer is closed. */
static void a_layer_stays_on_its_communicator(void **state)
{
    hiermoe_announcement_t what = what_make(HIERMOE_DISPATCH);
    hiermoe_layer_t same = {.size = sizeof same, .key = KEY};
    int32_t id = -1;
    (void)state;
    assert_int_equal(api->announce(&what), 0);
    call_make(HANDLE(1));
    assert_int_equal(api->settle(NULL), 0);
    assert_int_equal(api->announce(&what), 0);
    call_make(HANDLE(2));
    assert_int_equal(api->settle(NULL), -ENOMSG);
    assert_int_equal(api->layer_close(layer), 0);
    assert_int_equal(api->announce(&what), -ENOENT);
    assert_int_equal(api->layer_open(&same, &id), 0);
    assert_int_equal(id, layer);
    assert_int_equal(api->announce(&what), 0);
    call_make(HANDLE(2));
    assert_int_equal(api->settle(NULL), 0);
}

/* Whatever address the next communicator has, and whichever rank sees an old one again. */
static void a_layer_lets_go_of_a_communicator_that_ends(void **state)
{
    hiermoe_announcement_t what = what_make(HIERMOE_DISPATCH);
    (void)state;
    assert_int_equal(api->announce(&what), 0);
    call_make(HANDLE(1));
    assert_int_equal(api->settle(NULL), 0);
    comm_drop(HANDLE(1));
    assert_int_equal(api->announce(&what), 0);
    call_make(HANDLE(2));
    assert_int_equal(api->settle(NULL), 0);
}

static void what_nobody_settled_is_released(void **state)
{
    hiermoe_announcement_t what = what_make(HIERMOE_DISPATCH);
    int content;
    (void)state;
    assert_int_equal(api->announce(&what), 0);
    hm_announced_t *taken = announce_take(HANDLE(1));
    assert_non_null(taken);
    taken->made = handle_make(&content, &content);
    hiermoe_handle_t made = taken->made;
    assert_true(made != 0 && handle_is_live(made));
    assert_int_equal(api->announce(&what), 0);
    assert_false(handle_is_live(made));
    handle_forget(made);
}

static void *other_thread(void *argument)
{
    (void)argument;
    call_make(HANDLE(1));
    assert_int_equal(api->settle(NULL), -ENOMSG);
    return NULL;
}

static void a_call_of_another_thread_does_not_take_it(void **state)
{
    hiermoe_announcement_t what = what_make(HIERMOE_DISPATCH);
    pthread_t thread;
    (void)state;
    assert_int_equal(api->announce(&what), 0);
    pthread_create(&thread, NULL, other_thread, NULL);
    pthread_join(thread, NULL);
    call_make(HANDLE(1));
    assert_int_equal(api->settle(NULL), 0);
}

/* Each announcement differs in one thing from one that is understood. */
static void what_cannot_be_is_refused(void **state)
{
    static const int32_t map[8] = {0};
    hiermoe_announcement_t good = what_make(HIERMOE_DISPATCH);
    (void)state;
    good.map = map;
    good.map_bytes = 4;
    good.tokens = 4;
    assert_int_equal(api->announce(&good), 0);
#define REFUSED(status, ...) \
    do { \
        hiermoe_announcement_t bad = good; \
        __VA_ARGS__; \
        assert_int_equal(api->announce(&bad), status); \
        call_make(HANDLE(1)); \
        assert_int_equal(api->settle(NULL), -ENOMSG); \
    } while (0)
    REFUSED(-EINVAL, bad.size--);
    REFUSED(-EINVAL, bad.role = 5);
    REFUSED(-EINVAL, bad.type = 4);
    REFUSED(-EINVAL, bad.flags = HIERMOE_SUM); /* rows that go out are not summed */
    REFUSED(-EINVAL, bad.width = 0);
    REFUSED(-EINVAL, bad.width = UINT64_MAX);
    REFUSED(-EINVAL, bad.map_bytes = 2);
    REFUSED(-EINVAL, bad.map_bytes = 0);
    REFUSED(-EINVAL, bad.map = NULL);
    REFUSED(-EINVAL, bad.map = (const char *)map + 2); /* entries are aligned */
    REFUSED(-EINVAL, bad.rows_out = UINT64_MAX);       /* the map must have a length */
    REFUSED(-EINVAL, bad.tokens = UINT32_MAX);
    REFUSED(-EINVAL, bad.handle = 1); /* a dispatch makes one */
    REFUSED(-EINVAL, bad.role = HIERMOE_COMBINE);
    REFUSED(-E2BIG, bad.spare = 1);
    REFUSED(-ENOENT, bad.layer = 4095);
    REFUSED(-ENOENT, bad.layer = -2);
    good = what_make(HIERMOE_COMBINE);
    good.flags = HIERMOE_SUM | HIERMOE_FILLER_UNREAD;
    assert_int_equal(api->announce(&good), 0);
    REFUSED(-EINVAL, bad.type = HIERMOE_BYTES); /* which cannot be added */
    REFUSED(-EINVAL, bad.flags = HIERMOE_COPIES);
    REFUSED(-ESTALE, bad.handle = 12345);
    good = what_make(HIERMOE_COMBINE_BACKWARD);
    good.flags = HIERMOE_COPIES;
    assert_int_equal(api->announce(&good), 0);
    REFUSED(-EINVAL, bad.flags = HIERMOE_SUM);
    assert_int_equal(api->announce(NULL), -EINVAL);
}

/* A rank without rows may have no memory for a map of them. */
static void an_empty_map_needs_no_memory(void **state)
{
    hiermoe_announcement_t what = what_make(HIERMOE_DISPATCH);
    (void)state;
    what.map_bytes = 8;
    what.rows_out = 0;
    assert_int_equal(api->announce(&what), 0);
}

/* A later release's struct is taken as long as it says nothing that this one does not know. */
static void a_longer_struct_is_taken_if_the_rest_is_zero(void **state)
{
    struct {
        hiermoe_announcement_t what;
        unsigned char later[16];
    } more = {.what = what_make(HIERMOE_DISPATCH)};
    (void)state;
    more.what.size = sizeof more;
    assert_int_equal(api->announce(&more.what), 0);
    more.later[15] = 1;
    assert_int_equal(api->announce(&more.what), -E2BIG);
}

static void rows_that_the_call_does_not_have_do_not_fit(void **state)
{
    static const size_t out[4] = {64, 0, 32, 64}, in[4] = {32, 32, 0, 0};
    hm_announced_t said = {.what = what_make(HIERMOE_DISPATCH)};
    (void)state;
    said.what.rows_out = 5;
    said.what.rows_in = 2;
    assert_null(announced_misfit(&said, 4, out, in));
    said.what.rows_in = UINT64_MAX;
    assert_null(announced_misfit(&said, 4, out, in));
    said.what.rows_in = 3;
    assert_non_null(strstr(announced_misfit(&said, 4, out, in), "receive"));
    said.what.rows_in = 2;
    said.what.rows_out = 4;
    assert_non_null(strstr(announced_misfit(&said, 4, out, in), "send"));
    said.what.rows_out = said.what.rows_in = UINT64_MAX;
    said.what.width = 24; /* 48 bytes: not whole rows */
    assert_non_null(announced_misfit(&said, 4, out, in));
    said.what.role = HIERMOE_OPAQUE; /* has no rows */
    assert_null(announced_misfit(&said, 4, out, in));
}

static void layers_are_found_by_key(void **state)
{
    hiermoe_layer_t wanted = {.size = sizeof wanted, .key = "another"};
    int32_t id = 77, again = 78;
    (void)state;
    assert_int_equal(api->layer_open(&wanted, &id), 0);
    assert_int_not_equal(id, layer);
    assert_int_equal(api->layer_open(&wanted, &again), 0);
    assert_int_equal(again, id);
    assert_int_equal(api->layer_close(id), 0);
    assert_int_equal(api->layer_close(id), 0);
    assert_int_equal(api->layer_close(id), -ENOENT);
    assert_int_equal(api->layer_close(-1), -ENOENT);
    assert_int_equal(api->layer_open(NULL, &id), -EINVAL);
    assert_int_equal(api->layer_open(&wanted, NULL), -EINVAL);
    wanted.key = "";
    assert_int_equal(api->layer_open(&wanted, &id), -EINVAL);
    wanted = (hiermoe_layer_t){.size = 8, .key = "another"};
    assert_int_equal(api->layer_open(&wanted, &id), -EINVAL);
}

static void layer_stats_refuse_what_stats_refuse(void **state)
{
    hiermoe_layer_stats_t stats = {.size = sizeof stats};
    (void)state;
    assert_int_equal(api->layer_stats(layer, NULL), -EINVAL);
    assert_int_equal(api->layer_stats(-1, &stats), -ENOENT);
    assert_int_equal(api->layer_stats(4000, &stats), -ENOENT);
    stats = (hiermoe_layer_stats_t){.size = 7};
    assert_int_equal(api->layer_stats(layer, &stats), -EINVAL);
    stats = (hiermoe_layer_stats_t){.size = 16, .announced = {5, 6}};
    assert_int_equal(api->layer_stats(layer, &stats), 0);
    assert_int_equal(stats.size, 16);
    assert_int_equal(stats.announced[1], 6); /* beyond what was asked for */
}

static int allowed(const char *mode, const char *guided)
{
    setenv("HIERMOE_MODE", mode, 1);
    setenv("HIERMOE_GUIDED", guided, 1);
    settings_forget();
    int roles = api->attach("test", 1);
    unsetenv("HIERMOE_MODE");
    unsetenv("HIERMOE_GUIDED");
    settings_forget();
    return roles;
}

static void attach_tells_what_is_allowed(void **state)
{
    enum { D = 1 << HIERMOE_DISPATCH, C = 1 << HIERMOE_COMBINE, CB = 1 << HIERMOE_COMBINE_BACKWARD };
    enum { DB = 1 << HIERMOE_DISPATCH_BACKWARD };
    (void)state;
    assert_int_equal(api->attach(NULL, 1), -EINVAL);
    assert_int_equal(allowed("exact", ""), 0);
    assert_int_equal(allowed("exact", "none"), 0);
    assert_int_equal(allowed("exact", "dispatch"), D | CB);
    assert_int_equal(allowed("exact", "combine,dispatch"), D | CB | C);
    assert_int_equal(allowed("exact", "dispatch,dispatch_backward,swap"), D | CB | DB);
    assert_int_equal(allowed("exact", "combine,dispatch_backward"), 0); /* there is no way to sum along */
    assert_int_equal(allowed("exact", "dispatch,combines"), 0);         /* not understood: as if unset */
    assert_int_equal(allowed("exact", "dispatch,"), 0);
    assert_int_equal(allowed("guided", ""), D | C | CB | DB);
    assert_int_equal(allowed("observe", "dispatch"), 0);
    assert_int_equal(allowed("off", "dispatch"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_next_call_takes_it),
        TEST(without_a_call_it_is_withdrawn),
        TEST(a_later_announcement_replaces_one_that_waits),
        TEST(a_call_on_another_communicator_does_not_take_it),
        TEST(a_layer_stays_on_its_communicator),
        TEST(a_layer_lets_go_of_a_communicator_that_ends),
        TEST(what_nobody_settled_is_released),
        TEST(a_call_of_another_thread_does_not_take_it),
        TEST(what_cannot_be_is_refused),
        TEST(an_empty_map_needs_no_memory),
        TEST(a_longer_struct_is_taken_if_the_rest_is_zero),
        TEST(rows_that_the_call_does_not_have_do_not_fit),
        TEST(layers_are_found_by_key),
        TEST(layer_stats_refuse_what_stats_refuse),
        TEST(attach_tells_what_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
