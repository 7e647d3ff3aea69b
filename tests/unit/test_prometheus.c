/* The counters of the process in Prometheus's text format: every counter of the table, histograms that add up, sums
 * over communicators that live and that ended. */
#define _GNU_SOURCE
#include "front_double.h"

#include "file_text.h"

#include "base/prometheus.h"
#include "base/settings.h"
#include "base/ticker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/hiermoe-prom-XXXXXX", file[64], words[64], text[1 << 16];

static int clear(void **state)
{
    (void)state;
    setenv("HIERMOE_PROMETHEUS_FILE", file, 1);
    unsetenv("HIERMOE_STATS_FILE");
    settings_forget();
    return 0;
}

/* The value behind a metric whose name and labels besides host and pid are given; -1: there is none. */
static double value_of(const char *name, const char *label)
{
    size_t length = strlen(name);
    for (char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL) {
        char *end = strchr(line, '}'), *found = strstr(line, label);
        if (strncmp(line, name, length) != 0 || line[length] != '{' || found == NULL || found > end) continue;
        return strtod(end + 1, NULL);
    }
    return -1;
}

#define FACTOR_count 1.0
#define FACTOR_bytes 1.0
#define FACTOR_ms 1e6
#define TAIL_count ""
#define TAIL_bytes ""
#define TAIL_ms "_seconds"

/* Each under its own name, with help and type before it. */
static void every_counter_is_there(void **state)
{
    hm_stats_t stats = {.depth = {0, 5, 6}, .left = {[HM_REASON_TRIAL] = 7}};
    int value = 12001;
    char name[96], type[128];
    (void)state;
#define HM_STAT(field, key, unit, help) stats.field = (uint64_t)value++;
#include "base/stats.def"
    prometheus_write(&stats);
    file_text(file, text, sizeof text);
    value = 12001;
#define HM_STAT(field, key, unit, help) \
    snprintf(name, sizeof name, "hiermoe_%s", key); \
    if (FACTOR_##unit > 1) *strstr(name, "_ms") = '\0'; \
    strcat(name, TAIL_##unit "_total"); \
    assert_float_equal(value_of(name, ",pid=") * FACTOR_##unit, (double)value, 0.5); \
    snprintf(type, sizeof type, "\n# TYPE %s counter\n%s{", name, name); \
    assert_non_null(strstr(text, type)); \
    value++;
#include "base/stats.def"
    assert_float_equal(value_of("hiermoe_replaced_by_depth_total", "depth=\"2\""), 6, 0);
    assert_float_equal(value_of("hiermoe_left_total", "reason=\"trial\""), 7, 0);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

/* Buckets hold all that is below them, the last one all. */
static void histograms_add_up(void **state)
{
    hm_stats_t stats = {.replaced = 0};
    (void)state;
    stats_time_add(&stats, true, 3);
    stats_time_add(&stats, true, 1000);
    stats_time_add(&stats, true, 3600000000u);
    stats_time_add(&stats, false, 5);
    prometheus_write(&stats);
    file_text(file, text, sizeof text);
    static const struct {
        const char *le;
        int below;
    } cases[] = {{"0.000002", 0}, {"0.000004", 1}, {"0.000512", 1}, {"0.001024", 2}, {"8.388608", 2}, {"+Inf", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char label[64];
        snprintf(label, sizeof label, "kind=\"replaced\",le=\"%s\"", cases[i].le);
        assert_float_equal(value_of("hiermoe_call_seconds_bucket", label), cases[i].below, 0);
    }
    assert_float_equal(value_of("hiermoe_call_seconds_count", "kind=\"replaced\""), 3, 0);
    assert_float_equal(value_of("hiermoe_call_seconds_sum", "kind=\"replaced\""), 3600.001003, 1e-9);
    assert_float_equal(value_of("hiermoe_call_seconds_sum", "kind=\"plain\""), 0.000005, 1e-12);
}

/* The largest numbers fit, and the new file takes the old one's place. */
static void largest_numbers_fit(void **state)
{
    hm_stats_t stats;
    (void)state;
    memset(&stats, 0xff, sizeof stats);
    prometheus_write(&stats);
    file_text(file, text, sizeof text);
    assert_float_equal(value_of("hiermoe_left_total", "reason=\"no_back_end\""), 1.8446744e19, 1e13);
    assert_true(value_of("hiermoe_call_seconds_count", "kind=\"plain\"") >= 0);
}

static void useless_file_is_said_once(void **state)
{
    hm_stats_t stats = {.replaced = 0};
    (void)state;
    setenv("HIERMOE_PROMETHEUS_FILE", "/nonexistent/x.prom", 1);
    setenv("HIERMOE_DEBUG_FILE", words, 1);
    settings_forget();
    for (int i = 0; i < 3; i++) prometheus_write(&stats);
    unsetenv("HIERMOE_DEBUG_FILE");
    file_text(words, text, sizeof text);
    assert_int_equal(text_lines_with(text, "HIERMOE_PROMETHEUS_FILE=/nonexistent/x.prom", "", ""), 1);
}

static void leave(int handle)
{
    hm_comm_t *comm = comm_find(HANDLE(handle));
    comm_leave(comm, HM_REASON_PARTIAL);
    comm_release(comm);
}

static bool sum_comes(double sum)
{
    static const struct timespec moment = {0, 50000000};
    for (int i = 0; i < 1200; i++, nanosleep(&moment, NULL)) {
        text[0] = '\0';
        if (access(file, R_OK) == 0) file_text(file, text, sizeof text);
        if (value_of("hiermoe_left_total", "reason=\"partial\"") == sum) return true;
    }
    return false;
}

/* Of all communicators, also those that ended. Last: the library starts its thread once. */
static void communicators_are_summed(void **state)
{
    (void)state;
    unlink(file);
    setenv("HIERMOE_STATS_INTERVAL", "1", 1);
    settings_forget();
    comm_add(HANDLE(1), &front_real, true);
    comm_add(HANDLE(2), &front_real, true);
    leave(1);
    leave(2);
    leave(2);
    assert_true(sum_comes(3));
    comm_drop(HANDLE(2));
    leave(1);
    assert_true(sum_comes(4));
    comm_drop(HANDLE(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_counter_is_there, clear),
        cmocka_unit_test_setup(histograms_add_up, clear),
        cmocka_unit_test_setup(largest_numbers_fit, clear),
        cmocka_unit_test_setup(useless_file_is_said_once, clear),
        cmocka_unit_test_setup(communicators_are_summed, clear),
    };
    if (mkdtemp(folder) == NULL) return 1;
    snprintf(file, sizeof file, "%s/hiermoe.prom", folder);
    snprintf(words, sizeof words, "%s/words", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed |= !ticker_stop(); /* else it writes on */
    unlink(file);
    unlink(words);
    return failed | (rmdir(folder) != 0); /* nothing else was left there */
}
