/* Settings files: which one counts, what they may hold, what is said of them. /etc/hiermoe.conf is a file of the test.
 */
#define _GNU_SOURCE
#include "base/conf.h"

#include "front_double.h"

#include "base/settings.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

static char folder[] = "/tmp/hiermoe_conf_XXXXXX";
static char said[8192];
static int opened;

static const char *path_of(const char *name)
{
    static char path[2][256];
    static int turn;
    turn = 1 - turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

int __wrap_open(const char *path, int flags, ...)
{
    opened += strstr(path, ".conf") != NULL;
    if (strcmp(path, "/etc/hiermoe.conf") == 0) return __real_open(path_of("etc.conf"), flags);
    return __real_open(path, flags);
}

static void file_write(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int clear(void **state)
{
    static const char *const names[] = {".hiermoe.conf", "etc.conf", "own.conf"};
    (void)state;
#define HM_SETTING(field, variable, kind, standard, accepted, same, help) unsetenv(variable);
#include "base/settings.def"
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) unlink(path_of(names[i]));
    setenv("HOME", folder, 1);
    settings_forget();
    return 0;
}

static const hm_settings_t *load(void)
{
    char line[1024];
    settings_forget();
    said[0] = '\0';
    for (int at = 0; settings_complaint(at, line, sizeof line); at++) {
        strcat(said, line);
        strcat(said, "\n");
    }
    return settings_get();
}

static hm_settings_view_t view_of(const char *name)
{
    hm_settings_view_t view;
    for (int i = 0; settings_view(i, &view); i++)
        if (strcmp(view.name, name) == 0) return view;
    fail_msg("no setting %s", name);
    return view;
}

static void source_expect(const char *name, const char *value, const char *file, int line)
{
    hm_settings_view_t view = view_of(name);
    assert_string_equal(view.value, value);
    assert_int_equal(view.line, line);
    if (file == NULL) assert_null(view.path);
    if (file != NULL) assert_string_equal(view.path, file);
}

static void environment_then_user_then_machine(void **state)
{
    (void)state;
    file_write("etc.conf", "HIERMOE_DEPTH=1\nHIERMOE_TIMEOUT=11\nHIERMOE_MIN_BYTES=1K\n");
    file_write(".hiermoe.conf", "# mine\n\nHIERMOE_DEPTH=2\nHIERMOE_TIMEOUT=22\n");
    setenv("HIERMOE_DEPTH", "3", 1);
    const hm_settings_t *settings = load();
    assert_string_equal(said, "");
    assert_int_equal(settings->depth, 3);
    assert_int_equal(settings->timeout, 22);
    assert_int_equal(settings->min_bytes, 1024);
    assert_int_equal(settings->row_bytes, HM_ROW_BYTES_AUTO);
    source_expect("HIERMOE_DEPTH", "3", NULL, 0);
    assert_string_equal(view_of("HIERMOE_DEPTH").given, "3");
    source_expect("HIERMOE_TIMEOUT", "22", path_of(".hiermoe.conf"), 4);
    source_expect("HIERMOE_MIN_BYTES", "1K", "/etc/hiermoe.conf", 3);
    source_expect("HIERMOE_ROW_BYTES", "auto", NULL, 0);
    assert_null(view_of("HIERMOE_ROW_BYTES").given);
}

static void named_file_in_place_of_the_users(void **state)
{
    (void)state;
    file_write("etc.conf", "HIERMOE_TIMEOUT=11\n");
    file_write(".hiermoe.conf", "HIERMOE_DEPTH=2\n");
    file_write("own.conf", "HIERMOE_SLICES=4");
    setenv("HIERMOE_CONF_FILE", path_of("own.conf"), 1);
    const hm_settings_t *settings = load();
    assert_int_equal(settings->depth, HM_DEPTH_AUTO);
    assert_int_equal(settings->slices, 4);
    assert_int_equal(settings->timeout, 11);
    setenv("HIERMOE_CONF_FILE", "none", 1);
    opened = 0;
    assert_int_equal(load()->timeout, 600);
    assert_int_equal(opened, 0);
    assert_string_equal(said, "");
}

/* Only the first look at the settings opens files. */
static void files_are_read_once(void **state)
{
    (void)state;
    file_write(".hiermoe.conf", "HIERMOE_DEPTH=2\n");
    settings_forget();
    opened = 0;
    assert_int_equal(settings_get()->depth, 2);
    assert_int_equal(opened, 2);
    file_write(".hiermoe.conf", "HIERMOE_DEPTH=1\n");
    load();
    opened = 0;
    for (int i = 0; i < 100; i++) assert_int_equal(settings_get()->depth, 1);
    settings_hash();
    assert_int_equal(opened, 0);
}

static void blanks_comments_and_repeats(void **state)
{
    (void)state;
    file_write(".hiermoe.conf", "\r\n  # HIERMOE_DEPTH=1\n\t HIERMOE_DEPTH =\t2 \r\nHIERMOE_DEPTH=3\nHIERMOE_TOPO=\n"
                                "HIERMOE_TRUST=a=b, c#d");
    file_write("etc.conf", "HIERMOE_TOPO=4,2");
    const hm_settings_t *settings = load();
    assert_string_equal(said, "");
    assert_int_equal(settings->depth, 2);
    assert_string_equal(settings->topo, "4,2");
    assert_string_equal(settings->trust, "a=b, c#d");
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
    static const char *const says[] = {
        "/.hiermoe.conf, line 1: HIERMOE_DEPHT is not a setting, did you mean HIERMOE_DEPTH; ",
        "/.hiermoe.conf, line 2: expected NAME=VALUE or a comment that begins with #, got \"nonsense\"\n",
        "/.hiermoe.conf, line 3: expected NAME=VALUE or a comment that begins with #, got \"\"\n",
        "/.hiermoe.conf, line 4: HIERMOE_MODE=exakt is not understood, off is used instead; accepted: exact|observe",
        "/.hiermoe.conf, line 5: HIERMOE_CONF_FILE counts in the environment only\n",
        "/.hiermoe.conf, line 6: PATH is not a setting; "};
    size_t lines = 0;
    (void)state;
    file_write(".hiermoe.conf",
               "HIERMOE_DEPHT=2\nnonsense\n=2\nHIERMOE_MODE=exakt\nHIERMOE_CONF_FILE=own.conf\nPATH=/bin\n");
    assert_int_equal(load()->mode, HM_MODE_OFF);
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++)
        if (strstr(said, says[i]) == NULL) fail_msg("not said: %s in: %s", says[i], said);
    for (const char *at = said; *at != '\0'; at++) lines += *at == '\n';
    assert_int_equal(lines, sizeof says / sizeof says[0]);
    assert_true(view_of("HIERMOE_MODE").refused);
}

/* A FIFO or a device must hold no rank up, and a huge file none of its memory. */
static void files_of_no_use_are_said(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path_of("own.conf"), 0600), 0);
    setenv("HIERMOE_CONF_FILE", path_of("own.conf"), 1);
    assert_int_equal(load()->depth, HM_DEPTH_AUTO);
    assert_non_null(strstr(said, "settings are not read from "));
    assert_non_null(strstr(said, "/own.conf: it is no regular file\n"));
    setenv("HIERMOE_CONF_FILE", "/dev/zero", 1);
    load();
    assert_non_null(strstr(said, "settings are not read from /dev/zero: it is no regular file\n"));
    setenv("HIERMOE_CONF_FILE", path_of("missing"), 1);
    load();
    assert_non_null(strstr(said, "/missing: No such file or directory\n"));
    unlink(path_of("own.conf"));
    file_write("own.conf", "");
    assert_int_equal(truncate(path_of("own.conf"), 70000), 0);
    setenv("HIERMOE_CONF_FILE", path_of("own.conf"), 1);
    load();
    assert_non_null(strstr(said, "/own.conf: File too large\n"));
    unsetenv("HIERMOE_CONF_FILE");
    unsetenv("HOME");
    load();
    assert_string_equal(said, "");
}

/* Ranks that read different files are found out by the settings that they compare. */
static void files_count_in_what_ranks_compare(void **state)
{
    (void)state;
    uint64_t plain = (load(), settings_hash());
    file_write("etc.conf", "HIERMOE_TIMEOUT=7\n");
    load();
    assert_int_equal(settings_hash(), plain);
    file_write("etc.conf", "HIERMOE_DEPTH=1\n");
    load();
    assert_int_not_equal(settings_hash(), plain);
    setenv("HIERMOE_DEPTH", "auto", 1);
    load();
    assert_int_equal(settings_hash(), plain);
}

static int folder_make(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int folder_remove(void **state)
{
    clear(state);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(environment_then_user_then_machine, clear),
        cmocka_unit_test_setup(named_file_in_place_of_the_users, clear),
        cmocka_unit_test_setup(files_are_read_once, clear),
        cmocka_unit_test_setup(blanks_comments_and_repeats, clear),
        cmocka_unit_test_setup(what_is_wrong_is_said_with_its_line, clear),
        cmocka_unit_test_setup(files_of_no_use_are_said, clear),
        cmocka_unit_test_setup(files_count_in_what_ranks_compare, clear),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
