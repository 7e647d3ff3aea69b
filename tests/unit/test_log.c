#define _GNU_SOURCE
#include "front_double.h"

#include "file_text.h"

#include "base/log.h"
#include "base/settings.h"

#include <errno.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char file[] = "/tmp/hiermoe-log-XXXXXX", text[1 << 20];

static int clear(void **state)
{
    (void)state;
    setenv("HIERMOE_DEBUG_FILE", file, 1);
    setenv("HIERMOE_DEBUG", "INFO", 1);
    settings_forget();
    return truncate(file, 0);
}

static const char *read_back(void)
{
    return file_text(file, text, sizeof text);
}

static bool like(const char *line, const char *pattern)
{
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) return false;
    bool match = regexec(&regex, line, 0, NULL, 0) == 0;
    regfree(&regex);
    return match;
}

static void form_is_nccls(void **state)
{
    (void)state;
    log_say(HM_LOG_WARN, HM_RANK_NONE, "%s %d", "some text", 7);
    assert_true(like(read_back(), "^[^:.]+:[0-9]+:[0-9]+ \\[-\\] HIERMOE WARN some text 7\n$"));
    log_say(HM_LOG_INFO, 5, "more");
    assert_true(like(read_back(), "\n[^:.]+:[0-9]+:[0-9]+ \\[5\\] HIERMOE INFO more\n$"));
}

static void levels(void **state)
{
    (void)state;
    log_say(HM_LOG_TRACE, HM_RANK_NONE, "not said");
    assert_string_equal(read_back(), "");
    assert_false(log_on(HM_LOG_TRACE));
    setenv("HIERMOE_DEBUG", "none", 1);
    settings_forget();
    log_say(HM_LOG_WARN, HM_RANK_NONE, "not said");
    assert_string_equal(read_back(), "");
}

/* Ranks above 0 leave it to rank 0. */
static void settings_are_complained_of_once(void **state)
{
    (void)state;
    setenv("HIERMOE_DEPTH", "nine", 1);
    settings_forget();
    log_complaints(3);
    assert_true(like(read_back(), "^[^\n]* \\[3\\] HIERMOE INFO HIERMOE_DEPTH=nine is not understood, [^\n]*\n$"));
    log_complaints(0);
    log_say(HM_LOG_INFO, HM_RANK_NONE, "more");
    assert_true(like(read_back(), "^[^\n]*nine[^\n]*\n[^\n]* HIERMOE INFO more\n$"));
    unsetenv("HIERMOE_DEPTH");
}

/* The same words for the ninth communicator, or of another rank in this process, are no news. */
static void warnings_are_said_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) log_say(HM_LOG_WARN, i, "of no use: %s", "this");
    log_say(HM_LOG_WARN, 0, "of no use: %s", "that");
    read_back();
    assert_true(like(text, "^[^\n]*WARN of no use: this\n[^\n]*INFO of no use: this\n[^\n]*INFO of no use: this\n"
                           "[^\n]*WARN of no use: that\n$"));
    setenv("HIERMOE_DEBUG", "WARN", 1);
    settings_forget();
    truncate(file, 0);
    log_say(HM_LOG_WARN, 0, "of no use: %s", "that");
    assert_string_equal(read_back(), "");
}

static void errno_is_kept(void **state)
{
    (void)state;
    setenv("HIERMOE_DEBUG_FILE", "/no/such/directory/x", 1);
    setenv("HIERMOE_DEBUG", "WARN", 1);
    settings_forget();
    errno = ERANGE;
    log_say(HM_LOG_WARN, HM_RANK_NONE, "(this line belongs here: its file cannot be opened)");
    assert_int_equal(errno, ERANGE);
}

static void long_text_is_cut_to_one_line(void **state)
{
    char longer[5000];
    (void)state;
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    log_say(HM_LOG_WARN, HM_RANK_NONE, "%s", longer);
    read_back();
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_in_range(strlen(text), 900, 1024);
}

static void names_of_files(void **state)
{
    char path[64], expected[128];
    (void)state;
    assert_true(log_path("a%p.%r.%%.%x", 1, path, sizeof path));
    snprintf(expected, sizeof expected, "a%d.1.%%.%%x", (int)getpid());
    assert_string_equal(path, expected);
    assert_true(log_path("%h.%r%", HM_RANK_NONE, path, sizeof path));
    snprintf(expected, sizeof expected, "%s.-%%", log_host());
    assert_string_equal(path, expected);
    assert_false(log_path("0123456789", 0, path, 10));
    assert_true(log_path("012345678", 0, path, 10));
}

static void *speak(void *unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++) log_say(HM_LOG_INFO, HM_RANK_NONE, "0123456789 0123456789 0123456789 0123456789");
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    pthread_t thread[4];
    int lines = 0;
    (void)state;
    for (int i = 0; i < 4; i++) pthread_create(&thread[i], NULL, speak, NULL);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    read_back();
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++)
        assert_true(like(line, "^[^:]+:[0-9]+:[0-9]+ \\[-\\] HIERMOE INFO (0123456789 ?){4}$"));
    assert_int_equal(lines, 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(form_is_nccls, clear),
        cmocka_unit_test_setup(levels, clear),
        cmocka_unit_test_setup(errno_is_kept, clear),
        cmocka_unit_test_setup(settings_are_complained_of_once, clear),
        cmocka_unit_test_setup(warnings_are_said_once, clear),
        cmocka_unit_test_setup(long_text_is_cut_to_one_line, clear),
        cmocka_unit_test_setup(names_of_files, clear),
        cmocka_unit_test_setup(lines_of_threads_do_not_mix, clear),
    };
    close(mkstemp(file));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    return failed;
}
