#define _GNU_SOURCE
#include "front_double.h"

#include "file_text.h"

#include "log.h"
#include "settings.h"

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

/* Every figure under its own name, and lines one behind the other. */
static void every_figure_is_where_it_belongs(void **state)
{
    hm_stats_owner_t owner = {.communicator = 3, .rank = 5, .ranks = 8};
    char expected[2048];
    (void)state;
    hm_stats_t stats = {.replaced = 11,
                        .agreements = 12,
                        .windows = 13,
                        .spread = 14,
                        .rails = 15,
                        .bytes_raw = 1ull << 40,
                        .bytes_sent = 16,
                        .rows = 17,
                        .distinct = 18,
                        .planned = 19,
                        .plain_us = 20021,
                        .plan_us = 5002,
                        .timed = 22,
                        .timed_us = 23456,
                        .timed_lead_us = 1,
                        .timed_plan_us = 25000};
    stats.depth[1] = 4;
    stats.depth[2] = 7;
    stats.left[HM_REASON_PARTIAL] = 2;
    stats.left[HM_REASON_NO_BACK_END] = 1;
    stats_write(&stats, &owner);
    snprintf(expected, sizeof expected,
             "{\"host\": \"%s\", \"pid\": %d, \"communicator\": 3, \"rank\": 5, \"ranks\": 8, \"replaced\": 11, "
             "\"agreements\": 12, \"windows\": 13, \"spread\": 14, \"rails\": 15, \"bytes_raw\": 1099511627776, "
             "\"bytes_sent\": 16, \"rows\": 17, \"distinct\": 18, \"planned\": 19, \"predicted_plain_ms\": 20.021, "
             "\"predicted_ms\": 5.002, \"predicted_saved_ms\": 15.019, \"timed\": 22, \"timed_ms\": 23.456, "
             "\"timed_lead_ms\": 0.001, \"timed_predicted_ms\": 25.000, \"depth\": [0, 4, 7, 0, 0, 0, 0, 0], "
             "\"left\": {\"partial\": 2, \"no_back_end\": 1}}\n",
             log_host(), (int)getpid());
    assert_string_equal(read_back(), expected);
    owner.communicator = 4;
    stats_write(&stats, &owner);
    assert_int_equal(strncmp(read_back(), expected, strlen(expected)), 0);
    assert_non_null(strstr(text + strlen(expected), "\"communicator\": 4"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_figure_is_where_it_belongs, clear),
        cmocka_unit_test_setup(a_loss_is_a_negative_saving, clear),
    };
    close(mkstemp(file));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    return failed;
}
