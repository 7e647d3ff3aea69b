/* hiermoe fit as users run it: jobs that write a profile as the library does, or none. */
#define _DEFAULT_SOURCE
#include "command_run.h"

#include <stdio.h>
#include <unistd.h>

static char profile_text[8192]; /* what job.sh leaves */

/* What it shows was written by this job, not by one before. */
static void test_fit_shows_what_the_job_wrote_and_keeps_its_status(void **state)
{
    (void)state;
    char text[16384];
    assert_int_equal(
        command_run("fit --preload bad.profile --sizes 1M,2M --out out.profile -- sh job.sh 0", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "sizes 1M,2M"));
    assert_non_null(strstr(text, "32 ranks, NVIDIA RTX A6000"));
    assert_int_equal(command_run("fit --preload bad.profile --out out.profile -- sh job.sh 7", text, sizeof(text)), 7);
    assert_non_null(strstr(text, "the job ended with 7"));
    assert_int_equal(command_run("fit --preload bad.profile --out out.profile -- true", text, sizeof(text)), 2);
    assert_int_equal(
        command_run("fit --preload bad.profile --out out.profile -- sh -c 'kill -9 $$'", text, sizeof(text)), 137);
    assert_non_null(strstr(text, "the job ended with 137"));
    assert_int_equal(command_run("fit --preload bad.profile --out out.profile -- no_such_launcher", text, sizeof(text)),
                     127);
    assert_non_null(strstr(text, "no_such_launcher: No such file"));
}

/* Ranks may start elsewhere, and what the user preloads is still needed. */
static void test_fit_hands_on_a_whole_path_and_other_preloads(void **state)
{
    (void)state;
    char text[16384], want[128];
    setenv("LD_PRELOAD", "/nowhere/other.so", 1);
    command_run("fit --preload bad.profile --out out.profile -- sh -c 'echo to=$HIERMOE_FIT_FILE with=$LD_PRELOAD'",
                text, sizeof(text));
    unsetenv("LD_PRELOAD");
    snprintf(want, sizeof(want), "to=%s/out.profile.new with=%s/bad.profile:/nowhere/other.so\n", command_folder(),
             command_folder());
    assert_non_null(strstr(text, want));
}

/* LD_PRELOAD is split at blanks and colons: such a path goes by a link, which goes with the run. */
static void test_fit_preloads_a_path_with_blanks(void **state)
{
    (void)state;
    static const char *const names[] = {"a b.so", "a:b.so"};
    char arguments[256], text[16384], want[256];
    for (size_t i = 0; i < 2; i++) {
        command_file_write(names[i], "", 0);
        snprintf(arguments, sizeof(arguments),
                 "fit --preload '%s' -- sh -c 'readlink $LD_PRELOAD; echo $LD_PRELOAD >link'", names[i]);
        command_run(arguments, text, sizeof(text));
        snprintf(want, sizeof(want), "%s/%s\n", command_folder(), names[i]);
        assert_non_null(strstr(text, want));
        snprintf(arguments, sizeof(arguments), "%s/link", command_folder());
        FILE *file = fopen(arguments, "r");
        assert_non_null(file);
        assert_int_equal(fscanf(file, "%199s", want), 1);
        fclose(file);
        assert_int_equal(access(want, F_OK), -1);
    }
}

static void file_expect(const char *name, const char *want)
{
    char path[256], text[16384];
    snprintf(path, sizeof(path), "%s/%s", command_folder(), name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail_msg("%s is gone", name);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, want);
}

static bool file_exists(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", command_folder(), name);
    return access(path, F_OK) == 0;
}

/* The profile of an earlier run went before it was known whether the job starts and measures. */
static void test_fit_keeps_an_earlier_profile_until_there_is_a_new_one(void **state)
{
    (void)state;
    static const char *const jobs[] = {"/nonexistent/cmd", "false", "true", "sh -c 'echo bad >$HIERMOE_FIT_FILE'"};
    char arguments[256], text[16384];
    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        command_file_write("mine.profile", "earlier", 7);
        snprintf(arguments, sizeof(arguments), "fit --preload bad.profile --out mine.profile -- %s", jobs[i]);
        assert_int_not_equal(command_run(arguments, text, sizeof(text)), 0);
        file_expect("mine.profile", "earlier");
        assert_false(file_exists("mine.profile.new"));
    }
    assert_int_equal(command_run("fit --preload bad.profile --out mine.profile -- sh job.sh 0", text, sizeof(text)), 0);
    assert_null(strstr(text, "mine.profile.new"));
    file_expect("mine.profile", profile_text);
    assert_false(file_exists("mine.profile.new"));
}

/* One that another run left beside it must not pass for this run's. */
static void test_fit_follows_a_link_and_shows_no_stale_profile(void **state)
{
    (void)state;
    char path[256], text[16384];
    snprintf(path, sizeof(path), "%s/link.profile", command_folder());
    command_file_write("linked.profile", "earlier", 7);
    assert_int_equal(symlink("linked.profile", path), 0);
    command_file_write("linked.profile.new", profile_text, strlen(profile_text));
    assert_int_equal(command_run("fit --preload bad.profile --out link.profile -- true", text, sizeof(text)), 2);
    file_expect("linked.profile", "earlier");
    assert_int_equal(command_run("fit --preload bad.profile --out link.profile -- sh job.sh 0", text, sizeof(text)), 0);
    file_expect("linked.profile", profile_text);
    assert_int_equal(readlink(path, text, sizeof(text)), sizeof("linked.profile") - 1);
}

static void test_bad_input_is_named(void **state)
{
    (void)state;
    static const command_refusal_t cases[] = {
        {"fit", "expected -- and the command"},
        {"fit --out", "--out: expected a value"},
        {"fit --size 1M -- true", "\"--size\": expected --out, --sizes, --preload or --"},
        {"fit --preload /nowhere/lib.so -- true", "/nowhere/lib.so: No such file"},
        {"fit --preload . -- sh job.sh 0", "--preload .: a folder: expected the library itself"},
        {"fit --preload /dev/null -- sh job.sh 0", "--preload /dev/null: no file: expected the library itself"},
        {"fit --preload bad.profile --out none.profile -- true", "the job left no profile"},
    };
    command_refuses(cases, sizeof(cases) / sizeof(cases[0]));
}

/* The library passes over sizes that it does not understand: the job ran and measured with others. */
static void test_fit_refuses_sizes_that_the_library_would_pass_over(void **state)
{
    (void)state;
    static const char *const bad[] = {"foo",     "64K",
                                      "64K,64k", "64K,16K",
                                      "64K,64K", "512,2K",
                                      "1K,2K,",  "1K,,2K",
                                      "1K,2KB",  "1K,2097152M",
                                      "-1K,1K",  "1K,2K,3K,4K,5K,6K,7K,8K,9K",
                                      "1K 2K",   "1K,99999999999999999999"};
    static const char *const good[] = {"1024,2K", "16k,64k,1m,1g", "1K,2K,3K,4K,5K,6K,7K,8K", "64K,1M,1G,1024G"};
    char arguments[256], text[16384];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(arguments, sizeof(arguments), "fit --preload bad.profile --sizes '%s' -- sh -c 'echo ran'", bad[i]);
        int status = command_run(arguments, text, sizeof(text));
        if (status != 2 || strstr(text, "expected 2 to 8 ascending sizes of at least 1K") == NULL ||
            strstr(text, "ran\n"))
            fail_msg("--sizes %s: status %d: %s", bad[i], status, text);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(arguments, sizeof(arguments), "fit --preload bad.profile --sizes %s -- sh job.sh 0", good[i]);
        assert_int_equal(command_run(arguments, text, sizeof(text)), 0);
    }
}

/* The whole job ran, and then causes were guessed at that were not it. */
static void test_fit_says_before_the_start_what_would_leave_no_profile(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *options, *says;
    } cases[] = {
        {"exact", "--preload bad.profile --out /nonexistent/p",
         "/nonexistent/: No such file or directory: expected a fo"},
        {"exact", "--preload bad.profile --out bad.profile/p", "/bad.profile/: Not a directory: expected a folder"},
        {"exact", "--preload bad.profile --out /dev/null", "/dev/null: expected the name of a file"},
        {"exact", "--preload bad.profile --out .", "expected the name of a file"},
        {"off", "--preload bad.profile", "HIERMOE_MODE=off: expected exact"},
        {"OFF", "--preload bad.profile", "HIERMOE_MODE=off: expected exact"},
    };
    char arguments[256], text[16384];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setenv("HIERMOE_MODE", cases[i].mode, 1);
        snprintf(arguments, sizeof(arguments), "fit %s -- sh -c 'echo ran'", cases[i].options);
        int status = command_run(arguments, text, sizeof(text));
        unsetenv("HIERMOE_MODE");
        if (status != 2 || strstr(text, cases[i].says) == NULL || strstr(text, "ran\n") != NULL)
            fail_msg("hiermoe %s: status %d: %s", arguments, status, text);
    }
    assert_int_equal(command_run("fit --preload bad.profile -- no_such_launcher", text, sizeof(text)), 127);
    assert_null(strstr(text, "left no profile"));
}

/* The job went on, and nobody waited for it. */
static void test_fit_hands_on_to_the_job_what_ends_fit(void **state)
{
    (void)state;
    char text[16384];
    assert_int_equal(
        command_run("fit --preload bad.profile -- sh -c 'kill -TERM $PPID; exec sleep 300'", text, sizeof(text)), 143);
    assert_non_null(strstr(text, "the job ended with 143"));
    assert_int_equal(
        command_run("fit --preload bad.profile -- sh -c 'kill -HUP $PPID; exec sleep 300'", text, sizeof(text)), 129);
    assert_non_null(strstr(text, "the job ended with 129"));
}

static int files_make(void **state)
{
    static const char job[] = "cp job.profile $HIERMOE_FIT_FILE; echo sizes $HIERMOE_FIT_SIZES; exit $1";
    if (command_folder_make(state) != 0) return -1;
    command_file_write("bad.profile", "hiermoe-profile 1\nname x\ncolour red\n", 36);
    if (command_run("profile a6000-4x8", profile_text, sizeof(profile_text)) != 0) return -1;
    command_file_write("job.profile", profile_text, strlen(profile_text));
    command_file_write("job.sh", job, sizeof(job) - 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_input_is_named),
        cmocka_unit_test(test_fit_shows_what_the_job_wrote_and_keeps_its_status),
        cmocka_unit_test(test_fit_hands_on_a_whole_path_and_other_preloads),
        cmocka_unit_test(test_fit_preloads_a_path_with_blanks),
        cmocka_unit_test(test_fit_keeps_an_earlier_profile_until_there_is_a_new_one),
        cmocka_unit_test(test_fit_follows_a_link_and_shows_no_stale_profile),
        cmocka_unit_test(test_fit_refuses_sizes_that_the_library_would_pass_over),
        cmocka_unit_test(test_fit_says_before_the_start_what_would_leave_no_profile),
        cmocka_unit_test(test_fit_hands_on_to_the_job_what_ends_fit),
    };
    return cmocka_run_group_tests(tests, files_make, command_folder_remove);
}
