/* hiermoe fit: runs a job with the library, which measures at the first all-to-all, and keeps the profile. */
#define _GNU_SOURCE
#include "command.h"
#include "job.h"
#include "launch.h"
#include "preload.h"
#include "profile_find.h"
#include "run_settings.h"

#include "../../shim/base/fit_sizes.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: hiermoe fit [--out FILE] [--sizes 256K,1M,...] [--preload LIBRARY] -- LAUNCHER COMMAND...\n"
    "Runs the job with libhiermoe.so preloaded. At the job's first all-to-all the ranks measure for about ten seconds\n"
    "what transfers cost, then the job goes on; communicators on other kinds of links are measured too. Rank 0 writes\n"
    "the profile with most ranks to FILE (default hiermoe.profile): use it with HIERMOE_PROFILE=FILE. Any short run "
    "with\n"
    "one all-to-all will do. Open MPI's mpirun is given -x, srun --export, for what ranks must get.\n";

typedef struct fit {
    const char *out, *sizes, *preload;
    char **command;
} fit_t;

/* `file` is what the user named. The job writes `fresh` beside it, which replaces `file` only if it is a profile. */
typedef struct target {
    char file[PATH_MAX], fresh[PATH_MAX];
} target_t;

static int fit_parse(int argc, char **argv, fit_t *fit)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {{"--out", &fit->out}, {"--sizes", &fit->sizes}, {"--preload", &fit->preload}};
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i += 2) {
        size_t o = 0;
        while (o < 3 && strcmp(argv[i], options[o].name) != 0) o++;
        if (o == 3) return command_fail("fit: \"%s\": expected --out, --sizes, --preload or -- and the job", argv[i]);
        if (i + 1 == argc || argv[i + 1][0] == '\0') return command_fail("fit: %s: expected a value", argv[i]);
        *options[o].value = argv[i + 1];
    }
    if (i + 1 >= argc) return command_fail("fit: expected -- and the command that starts the job");
    fit->command = argv + i + 1;
    /* What the library would not take it would pass over, and measure with sizes of its own. */
    size_t sizes[HM_FIT_SIZES_MOST];
    if (fit->sizes == NULL || fit_sizes_parse(fit->sizes, sizes) > 0) return 0;
    return command_fail(
        "fit: --sizes: \"%s\": expected 2 to %d ascending sizes of at least 1K, such as 256k,1M (k m g)", fit->sizes,
        HM_FIT_SIZES_MOST);
}

/* The library makes a new file, so the folder must be writable. */
static int folder_check(const char *file)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s", file);
    strrchr(folder, '/')[1] = '\0'; /* with its slash, so that a file is not taken for a folder */
    if (access(folder, W_OK | X_OK) == 0) return 0;
    return command_fail("fit: --out: %s: %s: expected a folder to write in", folder, strerror(errno));
}

/* Makes the paths absolute, since ranks may start in other folders. A link is followed, not replaced. */
static int target_find(const char *path, target_t *target)
{
    char folder[PATH_MAX] = "";
    struct stat found;
    int length = 0;
    if (realpath(path, target->file) == NULL) {
        if (path[0] != '/' && getcwd(folder, sizeof(folder)) == NULL) return command_fail("fit: %s", strerror(errno));
        length = snprintf(target->file, PATH_MAX, "%s%s%s", folder, path[0] != '/' ? "/" : "", path);
    }
    if (length < PATH_MAX) length = snprintf(target->fresh, PATH_MAX, "%s.new", target->file);
    if (length >= PATH_MAX) return command_fail("fit: --out: the path is too long");
    if (stat(target->file, &found) == 0 && !S_ISREG(found.st_mode))
        return command_fail("fit: --out: %s: expected the name of a file", target->file);
    if (folder_check(target->file) != 0) return HM_EXIT_BAD_INPUT;
    /* What an earlier run left must not be taken for this run's. */
    if (unlink(target->fresh) != 0 && errno != ENOENT) return command_fail("%s: %s", target->fresh, strerror(errno));
    return 0;
}

static void link_show(const char *kind, int level, const hm_link_t *link)
{
    printf("  %s %d  %10.4f ms + %.4g ms/MB", kind, level, link->alpha_ms, link->beta_ms * 1e6);
    if (link->free_bytes > 0) printf(" after %.3g MB", link->free_bytes * 1e-6);
    if (link->turn_ms != 0)
        printf(", %.4g %s after %.3g MB", fabs(link->turn_ms) * 1e6, link->turn_ms > 0 ? "more" : "less",
               link->turn_bytes * 1e-6);
    printf("  r2 %.4f\n", link->r2);
}

static int result_show(const target_t *target)
{
    hm_profile_t profile;
    if (access(target->fresh, F_OK) != 0)
        return command_fail(
            "fit: the job left no profile: it made no all-to-all that the library knows (HIERMOE_TRUST), the "
            "environment did not reach its ranks, or rank 0 runs where this folder is not shared");
    if (profile_read(target->fresh, &profile) != 0) return HM_EXIT_BAD_INPUT;
    printf("%s: %d ranks, %s, %s, %s\n", target->file, profile.groups[profile.levels], profile.device, profile.versions,
           profile.transport);
    for (int l = 0; l < profile.levels; l++) {
        link_show("intra", l, &profile.intra[l]);
        if (l > 0) link_show("inter", l, &profile.inter[l]);
    }
    printf("  agree    %10.4f ms, identify %.4g ms/MB, pack %.4g ms/MB\n", profile.agree_ms, profile.identify_ms * 1e6,
           profile.pack_ms * 1e6);
    return 0;
}

/* Prints the profile that the job wrote and renames it to its place. Removes what is no profile. */
static int result_keep(const target_t *target)
{
    int status = result_show(target);
    if (status == 0 && rename(target->fresh, target->file) != 0)
        status = command_fail("%s: %s", target->file, strerror(errno));
    if (status != 0) unlink(target->fresh);
    return status;
}

/* Makes the job's ranks load the library and measure into `out`. */
static int fit_environment_set(const char *library, const char *out, const char *sizes, hm_run_folder_t *folder)
{
    const char *mode = getenv("HIERMOE_MODE");
    if (mode != NULL && strcasecmp(mode, "off") == 0)
        return command_fail("fit: HIERMOE_MODE=off: expected exact or observe, or nothing is measured");
    char loaded[PATH_MAX];
    int status = preload_path("fit", library, true, folder, loaded);
    if (status == 0) status = preload_set("fit", loaded);
    if (status != 0) return status;
    if (setenv("HIERMOE_FIT_FILE", out, 1) != 0 || (sizes != NULL && setenv("HIERMOE_FIT_SIZES", sizes, 1) != 0))
        return command_fail("fit: %s", strerror(errno));
    return 0;
}

/* The job's exit status, or that of what comes before it. */
static int fit_run(const fit_t *fit, const char *library, const target_t *target)
{
    hm_run_folder_t folder = {""};
    int ended = 0, status = fit_environment_set(library, target->fresh, fit->sizes, &folder);
    char **command = status == 0 ? launch_words(fit->command) : NULL;
    if (status == 0 && command == NULL) status = command_fail("fit: out of memory");
    bool started = status == 0;
    if (started) status = job_run("fit", command, &ended);
    launch_free(command);
    if (started && status == 0) status = job_status(ended);
    run_folder_remove(&folder);
    if (!started) return status;
    if (status != 0) command_fail("fit: the job ended with %d", status);
    if (status == HM_EXIT_NOT_FOUND && access(target->fresh, F_OK) != 0) return status; /* there was no job */
    int shown = result_keep(target);
    return status != 0 ? status : shown;
}

int fit_main(int argc, char **argv)
{
    fit_t fit = {.out = "hiermoe.profile"};
    target_t target;
    char library[PATH_MAX];
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    int status = fit_parse(argc, argv, &fit);
    if (status == 0) status = preload_find("fit", "--preload", fit.preload, library);
    if (status == 0) status = target_find(fit.out, &target);
    return status != 0 ? status : fit_run(&fit, library, &target);
}
