#define _GNU_SOURCE
#include "front_double.h"

#include "file_text.h"

#include "base/log.h"
#include "base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char file[] = "/tmp/hiermoe-stats-XXXXXX", text[16384];

static int clear(void **state)
{
    (void)state;
    setenv("HIERMOE_STATS_FILE", file, 1);
    settings_forget();
    return truncate(file, 0);
}

static const char *read_back(void)
{
    return file_text(file, text, sizeof text);
}

int __wrap_gethostname(char *name, size_t size);
int __wrap_gethostname(char *name, size_t size)
{
    return snprintf(name, size, "a\"b\\c\n\xc3\xa4.domain") < (int)size ? 0 : -1;
}

/* What scripts read, letter by letter, and lines one behind the other. */
static void line_is_as_scripts_expect_it(void **state)
{
    hm_stats_owner_t owner = {.communicator = 3,
                              .rank = 5,
                              .ranks = 8,
                              .nccl = 22809,
                              .began_ms = 1700000000042,
                              .seat = {.node = 2, .nodes = 4, .profile = "a\"b"}};
    hm_stats_t stats = {.replaced = 11,
                        .agreements = 12,
                        .bytes_raw = 1ull << 40,
                        .bytes_sent = 16,
                        .rows = 17,
                        .distinct = 18,
                        .depth = {0, 4, 7},
                        .left = {[HM_REASON_PARTIAL] = 2, [HM_REASON_NO_BACK_END] = 1}};
    char begin[512];
    const char *host;
    static const char end[] =
        ", \"depth\": [0, 4, 7, 0, 0, 0, 0, 0], \"left\": {\"partial\": 2, \"no_back_end\": 1}}\n";
    (void)state;
    stats_write(&stats, &owner, HM_STATS_END);
    snprintf(begin, sizeof begin,
             "\"host\": \"a\\u0022b\\u005cc\\u000a\\u00c3\\u00a4\", \"pid\": %d, \"communicator\": 3, \"rank\": 5, "
             "\"ranks\": 8, \"node\": 2, \"nodes\": 4, \"profile\": \"a\\u0022b\", \"version\": \"" HM_VERSION
             "\", \"nccl\": 22809, \"began\": 1700000000.042, \"replaced\": 11, \"agreements\": 12, "
             "\"bytes_raw\": 1099511627776, \"bytes_sent\": 16, "
             "\"bytes_raw_between_nodes\": 0, \"bytes_sent_between_nodes\": 0, \"rows\": 17, \"distinct\": 18, ",
             (int)getpid());
    host = strstr(read_back(), "\"host\"");
    assert_non_null(host);
    assert_memory_equal(host, begin, strlen(begin));
    assert_string_equal(text + strlen(text) - strlen(end), end);
    size_t length = strlen(text);
    owner.communicator = 4;
    stats_write(&stats, &owner, HM_STATS_END);
    assert_memory_equal(strstr(read_back(), "\"host\""), begin, strlen(begin));
    assert_non_null(strstr(text + length, "\"communicator\": 4"));
}

/* What kind of line, and when, to the millisecond. */
static void line_begins_with_event_and_time(void **state)
{
    static const char *const names[] = {[HM_STATS_INTERVAL] = "interval", [HM_STATS_END] = "end"};
    hm_stats_owner_t owner = {.ranks = 2};
    hm_stats_t stats = {.replaced = 0};
    for (int event = HM_STATS_INTERVAL; event <= HM_STATS_END; event++) {
        char name[32];
        long seconds, after = 0;
        int milliseconds;
        clear(state);
        time_t before = time(NULL);
        stats_write(&stats, &owner, (hm_stats_event_t)event);
        assert_int_equal(sscanf(read_back(), "{\"event\": \"%31[a-z]\", \"time\": %ld.%3d%ln, \"host\": ", name,
                                &seconds, &milliseconds, &after),
                         3);
        assert_memory_equal(text + after, ", \"host\"", 8);
        assert_string_equal(name, names[event]);
        assert_in_range(seconds, before - 1, time(NULL) + 1);
    }
}

/* A file that cannot be written is spoken of once, however many lines it does not get. */
static void useless_file_is_said_once(void **state)
{
    hm_stats_owner_t owner = {.ranks = 2};
    hm_stats_t stats = {.replaced = 0};
    (void)state;
    setenv("HIERMOE_STATS_FILE", "/nonexistent/stats", 1);
    setenv("HIERMOE_DEBUG_FILE", file, 1);
    settings_forget();
    for (int i = 0; i < 3; i++) stats_write(&stats, &owner, HM_STATS_END);
    unsetenv("HIERMOE_DEBUG_FILE");
    const char *said = strstr(read_back(), "HIERMOE_STATS_FILE=/nonexistent/stats");
    assert_non_null(said);
    assert_null(strstr(said + 1, "HIERMOE_STATS_FILE"));
}

#define NUMBER_count "%d", value
#define NUMBER_bytes NUMBER_count
#define NUMBER_ms "%d.%03d", value / 1000, value % 1000

/* Every counter of the table once, under its own key and in its unit. */
static void every_counter_has_its_place(void **state)
{
    hm_stats_owner_t owner = {.ranks = 2};
    hm_stats_t stats = {.replaced = 0};
    char want[128], number[64];
    int value = 12001;
    (void)state;
#define HM_STAT(field, key, unit, help) stats.field = (uint64_t)value++;
#include "base/stats.def"
    stats_write(&stats, &owner, HM_STATS_END);
    read_back();
    value = 12001;
#define HM_STAT(field, key, unit, help) \
    snprintf(number, sizeof number, NUMBER_##unit); \
    snprintf(want, sizeof want, ", \"%s\": %s, \"", key, number); \
    const char *field = strstr(text, want); \
    if (field == NULL || strstr(field + strlen(want) - 1, "\"" key "\"") != NULL) fail_msg("%s", want); \
    value++;
#include "base/stats.def"
}

/* Lists end with their last count; an empty one is there, too. */
static void lists_end_with_their_last_count(void **state)
{
    hm_stats_owner_t owner = {.ranks = 2};
    hm_stats_t stats = {.raw_to = {5, 0, 7}};
    (void)state;
    for (int i = 0; i < HM_STATS_NODES; i++) stats.sent_to[i] = 1;
    stats_write(&stats, &owner, HM_STATS_END);
    assert_non_null(strstr(read_back(), ", \"bytes_raw_to_node\": [5, 0, 7], \"bytes_sent_to_node\": [1, 1, "));
    assert_non_null(strstr(text, ", \"measured_log2_us\": [], "));
    const char *at = strstr(text, "\"bytes_sent_to_node\"");
    int ones = 0;
    for (; *at != ']'; at++) ones += *at == '1';
    assert_int_equal(ones, HM_STATS_NODES);
}

/* Times go to the bucket of the least power of two above them, replaced calls apart from others. */
static void times_are_counted_by_powers_of_two(void **state)
{
    hm_stats_t stats = {.replaced = 0};
    static const struct {
        uint64_t us;
        int bucket;
    } cases[] = {{0, 0}, {1, 1}, {2, 2}, {3, 2}, {4, 3}, {1023, 10}, {1024, 11}, {UINT64_MAX, HM_STATS_BUCKETS - 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(stats_bucket(cases[i].us), cases[i].bucket);
    stats_time_add(&stats, true, 3);
    stats_time_add(&stats, true, 1000);
    stats_time_add(&stats, false, 7);
    assert_int_equal(stats.timed, 2);
    assert_int_equal(stats.timed_us, 1003);
    assert_int_equal(stats.plain_timed, 1);
    assert_int_equal(stats.plain_timed_us, 7);
    assert_true(stats.times[2] == 1 && stats.times[10] == 1 && stats.plain_times[3] == 1);
}

/* Bytes by node add up to those of the communicator; beyond HM_STATS_NODES nodes the sums alone are kept. */
static void bytes_are_counted_by_node(void **state)
{
    hm_stats_t stats = {.replaced = 0};
    hm_stats_seat_t seat = {.node = 1, .nodes = 3};
    (void)state;
    stats_raw_add(&stats, &seat, 0, 100);
    stats_raw_add(&stats, &seat, 1, 20);
    stats_raw_add(&stats, &seat, 2, 3);
    stats_sent_add(&stats, &seat, 2, 7);
    assert_int_equal(stats.bytes_raw, 123);
    assert_int_equal(stats.bytes_raw_outer, 103);
    assert_true(stats.raw_to[0] == 100 && stats.raw_to[1] == 20 && stats.raw_to[2] == 3);
    assert_true(stats.bytes_sent == 7 && stats.bytes_sent_outer == 7 && stats.sent_to[2] == 7);
    seat.nodes = HM_STATS_NODES + 1;
    stats_raw_add(&stats, &seat, HM_STATS_NODES, 1000);
    assert_int_equal(stats.bytes_raw, 1123);
    assert_int_equal(stats.bytes_raw_outer, 1103);
}

/* A forced depth may cost more than it saves. */
static void a_loss_is_a_negative_saving(void **state)
{
    hm_stats_owner_t owner = {.ranks = 2};
    hm_stats_t stats = {.plain_us = 1000, .plan_us = 3500};
    (void)state;
    stats_write(&stats, &owner, HM_STATS_END);
    assert_non_null(strstr(read_back(), "\"predicted_saved_ms\": -2.500,"));
}

/* Nothing is cut, however long the job runs. */
static void largest_numbers_fit(void **state)
{
    hm_stats_owner_t owner = {.communicator = UINT32_MAX,
                              .rank = INT32_MAX,
                              .ranks = INT32_MAX,
                              .nccl = INT32_MAX,
                              .began_ms = 9999999999999,
                              .seat = {.node = INT32_MAX, .nodes = INT32_MAX}};
    hm_stats_t stats;
    (void)state;
    memset(owner.seat.profile, '"', HM_STATS_NAME - 1);
    memset(&stats, 0xff, sizeof stats);
    stats_write(&stats, &owner, HM_STATS_END);
    assert_string_equal(read_back() + strlen(text) - 3, "}}\n");
    assert_non_null(strstr(text, "\"no_back_end\": 18446744073709551615"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(line_is_as_scripts_expect_it, clear),
        cmocka_unit_test_setup(line_begins_with_event_and_time, clear),
        cmocka_unit_test_setup(useless_file_is_said_once, clear),
        cmocka_unit_test_setup(every_counter_has_its_place, clear),
        cmocka_unit_test_setup(lists_end_with_their_last_count, clear),
        cmocka_unit_test_setup(times_are_counted_by_powers_of_two, clear),
        cmocka_unit_test_setup(bytes_are_counted_by_node, clear),
        cmocka_unit_test_setup(a_loss_is_a_negative_saving, clear),
        cmocka_unit_test_setup(largest_numbers_fit, clear),
    };
    close(mkstemp(file));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    return failed;
}
