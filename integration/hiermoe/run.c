/* hiermoe run: a job with the library preloaded. */
#define _GNU_SOURCE
#include "check.h"
#include "command.h"
#include "job.h"
#include "launch.h"
#include "preload.h"
#include "run_settings.h"
#include "summary.h"
#include "verb.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: hiermoe run [OPTIONS] [--] COMMAND...\n"
    "Runs a job with libhiermoe.so preloaded: a program, torchrun, mpirun, srun. What the job prints and how it ends "
    "are\n"
    "not touched, signals are handed on. One line at the start and a summary at the end go to standard error.\n\n"
    "  --set NAME=VALUE   any setting, by the name of its variable\n"
    "  --library FILE     another libhiermoe.so than the one beside this command\n"
    "  --no-check         start without looking whether the library can load and stand before the job's NCCL\n"
    "  --quiet            say nothing but what keeps the job from starting\n\n"
    "Settings (hiermoe settings says what they mean):\n";

typedef struct hm_run {
    const char *library;
    char path[PATH_MAX], loaded[PATH_MAX]; /* of the library, and as LD_PRELOAD can hold it */
    bool quiet, unchecked;
    char **command, **words; /* the job's, as the user gave it and as it is started */
    hm_run_folder_t folder;
} hm_run_t;

/* argv[*at] with its value, which may stand behind a "=" or be the next word. */
static int value_option(char **argv, int *at, hm_run_t *run)
{
    char name[64];
    const char *word = argv[*at] + 2, *equals = strchr(word, '='), *value = equals != NULL ? equals + 1 : NULL;
    snprintf(name, sizeof name, "%.*s", (int)(equals != NULL ? equals - word : (long)strlen(word)), word);
    bool set = strcmp(name, "set") == 0, library = strcmp(name, "library") == 0;
    if (!set && !library && !run_setting_exists(name))
        return command_fail("run: --%s: no such option; hiermoe run --help lists them", name);
    if (value == NULL) value = argv[++*at];
    if (value == NULL || *value == '\0') return command_fail("run: --%s: expected a value", name);
    if (library) run->library = value;
    if (library) return 0;
    if (!set) return run_setting_set("run", name, value);
    equals = strchr(value, '=');
    if (equals == NULL || equals == value || (size_t)(equals - value) >= sizeof name)
        return command_fail("run: --set %s: expected NAME=VALUE", value);
    snprintf(name, sizeof name, "%.*s", (int)(equals - value), value);
    return run_setting_set("run", name, equals + 1);
}

/* Options end at -- or at the first word that is none. */
static int run_parse(char **argv, hm_run_t *run)
{
    int at = 1;
    for (; argv[at] != NULL && strncmp(argv[at], "--", 2) == 0; at++) {
        if (argv[at][2] == '\0') {
            at++;
            break;
        }
        int status = 0;
        if (strcmp(argv[at], "--quiet") == 0)
            run->quiet = true;
        else if (strcmp(argv[at], "--no-check") == 0)
            run->unchecked = true;
        else
            status = value_option(argv, &at, run);
        if (status != 0) return status;
    }
    run->command = argv + at;
    return argv[at] != NULL ? 0 : command_fail("run: expected the command that starts the job");
}

/* What cannot be loaded is no reason to start; all else is said and left to the user. */
static int run_check(const hm_run_t *run)
{
    static hm_check_t checks[HM_CHECKS];
    if (run->unchecked) return 0;
    check_command(run->loaded, run->command, checks);
    if (checks[0].verdict == HM_VERDICT_BAD) return command_fail("run: %s", checks[0].text);
    for (int i = 1; i < HM_CHECKS && !run->quiet; i++)
        if (checks[i].verdict == HM_VERDICT_BAD) fprintf(stderr, "hiermoe: warning: %s\n", checks[i].text);
    return 0;
}

/* Adapters for training frameworks, which Python loads by itself. */
static int adapters_add(void)
{
    char own[PATH_MAX - 64], site[PATH_MAX], *value;
    const char *before = getenv("PYTHONPATH");
    struct stat found;
    if (verb_own_path(own, sizeof own) != 0) return HM_EXIT_BAD_INPUT;
    *strrchr(own, '/') = '\0';
    snprintf(site, sizeof site, "%s/../libexec/hiermoe/adapters/site", own);
    if (stat(site, &found) != 0 || !S_ISDIR(found.st_mode) || strchr(site, ':') != NULL) return 0;
    bool more = before != NULL && *before != '\0';
    if (asprintf(&value, "%s%s%s", site, more ? ":" : "", more ? before : "") < 0)
        return command_fail("run: out of memory");
    int failed = setenv("PYTHONPATH", value, 1);
    free(value);
    return failed != 0 ? command_fail("run: %s", strerror(errno)) : 0;
}

/* Statistics for the summary, where the user does not want them anywhere. A line a minute, so that they stay small. */
static int statistics_set(hm_run_t *run, bool shared)
{
    char pattern[PATH_MAX + 16];
    if (run->quiet || *run_setting_value("HIERMOE_STATS_FILE") != '\0') return 0;
    int status = run_folder_make(shared, &run->folder);
    if (status != 0) return status;
    snprintf(pattern, sizeof pattern, "%s/%%h.%%p", run->folder.path);
    status = run_setting_set("run", "HIERMOE_STATS_FILE", pattern);
    if (status != 0 || strcmp(run_setting_value("HIERMOE_STATS_INTERVAL"), "5") != 0) return status;
    return run_setting_set("run", "HIERMOE_STATS_INTERVAL", "60");
}

static int run_prepare(hm_run_t *run)
{
    int status = preload_find("run", "--library", run->library, run->path);
    if (status == 0) status = run_settings_check("run");
    if (status != 0) return status;
    bool shared = launcher_of(run->command[0]) != HM_LAUNCHER_NONE; /* ranks may be on other machines */
    status = preload_path("run", run->path, shared, &run->folder, run->loaded);
    if (status == 0) status = run_check(run);
    if (status == 0) status = statistics_set(run, shared);
    if (status == 0) status = preload_set("run", run->loaded);
    if (status == 0) status = adapters_add();
    if (status != 0) return status;
    run->words = launch_words(run->command);
    return run->words != NULL ? 0 : command_fail("run: out of memory");
}

static void start_say(const hm_run_t *run)
{
    if (run->quiet) return;
    fprintf(stderr, "hiermoe: %s, depth %s, profile %s: %s before %s\n", run_setting_value("HIERMOE_MODE"),
            run_setting_value("HIERMOE_DEPTH"), run_setting_value("HIERMOE_PROFILE"), run->path, run->command[0]);
}

static void end_say(const hm_run_t *run, double since, bool killed)
{
    const char *pattern = run_setting_value("HIERMOE_STATS_FILE");
    json_t *lines = run->quiet || *pattern == '\0' ? NULL : summary_read(pattern, since);
    if (lines != NULL) summary_say(lines, killed);
    json_decref(lines);
}

int run_main(int argc, char **argv)
{
    hm_run_t run = {.library = NULL};
    int ended = 0;
    job_prepare();
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        run_settings_help(stdout);
        return 0;
    }
    int status = run_parse(argv, &run);
    if (status == 0) status = run_prepare(&run);
    if (status == 0) {
        double since = floor((double)time(NULL));
        start_say(&run);
        status = job_run("run", run.words, &ended);
        if (status == 0 && job_status(ended) != HM_EXIT_NOT_FOUND) end_say(&run, since, job_status(ended) > 128);
    }
    run_folder_remove(&run.folder);
    launch_free(run.words);
    if (status == 0) job_end_alike(ended);
    return status;
}
