#define _GNU_SOURCE
#include "front_double.h"

#include "file_text.h"

#include "base/log.h"
#include "base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    hm_stats_owner_t owner = {.communicator = 3, .rank = 5, .ranks = 8};
    hm_stats_t stats = {.replaced = 11,
                        .agreements = 12,
                        .bytes_raw = 1ull << 40,
                        .bytes_sent = 16,
                        .rows = 17,
                        .distinct = 18,
                        .depth = {0, 4, 7},
                        .left = {[HM_REASON_PARTIAL] = 2, [HM_REASON_NO_BACK_END] = 1}};
    char begin[512];
    static const char end[] =
        ", \"depth\": [0, 4, 7, 0, 0, 0, 0, 0], \"left\": {\"partial\": 2, \"no_back_end\": 1}}\n";
    (void)state;
    stats_write(&stats, &owner);
    snprintf(begin, sizeof begin,
             "{\"host\": \"a\\u0022b\\u005cc\\u000a\\u00c3\\u00a4\", \"pid\": %d, \"communicator\": 3, \"rank\": 5, "
             "\"ranks\": 8, \"replaced\": 11, \"agreements\": 12, \"bytes_raw\": 1099511627776, \"bytes_sent\": 16, "
             "\"rows\": 17, \"distinct\": 18, ",
             (int)getpid());
    read_back();
    assert_memory_equal(text, begin, strlen(begin));
    assert_string_equal(text + strlen(text) - strlen(end), end);
    size_t length = strlen(text);
    owner.communicator = 4;
    stats_write(&stats, &owner);
    assert_memory_equal(read_back(), begin, strlen(begin));
    assert_non_null(strstr(text + length, "\"communicator\": 4"));
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
    stats_write(&stats, &owner);
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

/* A forced depth may cost more than it saves. */
static void a_loss_is_a_negative_saving(void **state)
{
    hm_stats_owner_t owner = {.ranks = 2};
    hm_stats_t stats = {.plain_us = 1000, .plan_us = 3500};
    (void)state;
    stats_write(&stats, &owner);
    assert_non_null(strstr(read_back(), "\"predicted_saved_ms\": -2.500,"));
}

/* Nothing is cut, however long the job runs. */
static void largest_numbers_fit(void **state)
{
    hm_stats_owner_t owner = {.communicator = UINT32_MAX, .rank = INT32_MAX, .ranks = INT32_MAX};
    hm_stats_t stats;
    (void)state;
    memset(&stats, 0xff, sizeof stats);
    stats_write(&stats, &owner);
    assert_string_equal(read_back() + strlen(text) - 3, "}}\n");
    assert_non_null(strstr(text, "\"no_back_end\": 18446744073709551615"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(line_is_as_scripts_expect_it, clear),
        cmocka_unit_test_setup(every_counter_has_its_place, clear),
        cmocka_unit_test_setup(a_loss_is_a_negative_saving, clear),
        cmocka_unit_test_setup(largest_numbers_fit, clear),
    };
    close(mkstemp(file));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    return failed;
}
