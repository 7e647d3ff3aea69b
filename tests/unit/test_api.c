/* The companion API as jobs of other releases call it. */
#include "front_double.h"

#include "hiermoe.h"

#include <errno.h>
#include <string.h>

static const hiermoe_api_t *api;

static int set_up(void **state)
{
    front_reset(state);
    api = hiermoe_api();
    comm_add(HANDLE(1), &front_real, true);
    hm_comm_t *comm = comm_find(HANDLE(1));
    comm->stats.replaced = 11;
    comm->stats.left[HM_REASON_PARTIAL] = 5;
    comm->stats.left[HM_REASON_NO_GAIN] = 7;
    comm->stats.agreements = 13;
    comm->stats.bytes_raw = 14;
    comm->stats.bytes_sent = 15;
    comm_release(comm);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    comm_drop(HANDLE(1));
    return 0;
}

static void all_counters(void **state)
{
    hiermoe_stats_t stats = {.size = sizeof stats};
    (void)state;
    assert_int_equal(api->size, sizeof *api);
    assert_int_equal(api->version, HIERMOE_API_VERSION);
    assert_int_equal(api->stats(HANDLE(1), &stats), 0);
    assert_int_equal(stats.size, sizeof stats);
    assert_int_equal(stats.replaced, 11);
    assert_int_equal(stats.left, 12);
    assert_int_equal(stats.agreements, 13);
    assert_int_equal(stats.bytes_raw, 14);
    assert_int_equal(stats.bytes_sent, 15);
}

/* Any size a job may have been compiled with, down to the size itself and up to one of a later release: what both know
 * is right, and nothing is written behind it, nor a part of a member. */
static void any_size(void **state)
{
    struct {
        hiermoe_stats_t stats;
        unsigned char later[64];
    } job, whole = {.stats.size = sizeof(hiermoe_stats_t)};
    (void)state;
    assert_int_equal(api->stats(HANDLE(1), &whole.stats), 0);
    for (size_t size = sizeof(size_t); size <= sizeof job; size++) {
        size_t want = size < sizeof job.stats ? size / 8 * 8 : sizeof job.stats;
        memset(&job, 0xa5, sizeof job);
        job.stats.size = size;
        assert_int_equal(api->stats(HANDLE(1), &job.stats), 0);
        assert_int_equal(job.stats.size, want);
        assert_memory_equal((char *)&job + sizeof(size_t), (char *)&whole + sizeof(size_t), want - sizeof(size_t));
        for (size_t at = want; at < sizeof job; at++) assert_int_equal(((unsigned char *)&job)[at], 0xa5);
    }
}

static void refused(void **state)
{
    hiermoe_stats_t stats = {.replaced = 99};
    (void)state;
    assert_int_equal(api->stats(HANDLE(1), NULL), -EINVAL);
    for (stats.size = 0; stats.size < sizeof stats.size; stats.size++)
        assert_int_equal(api->stats(HANDLE(1), &stats), -EINVAL);
    stats.size = sizeof stats;
    assert_int_equal(api->stats(HANDLE(2), &stats), -ENOENT);
    assert_int_equal(api->stats(NULL, &stats), -ENOENT);
    assert_int_equal(stats.replaced, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_counters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
