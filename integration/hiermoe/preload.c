#define _GNU_SOURCE
#include "preload.h"

#include "command.h"
#include "verb.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPLIT_AT " :" /* by ld.so */

int run_folder_make(bool shared, hm_run_folder_t *folder)
{
    const char *temporary = getenv("TMPDIR");
    char here[PATH_MAX - 64];
    if (folder->path[0] != '\0') return 0;
    if (temporary == NULL || *temporary != '/' || strpbrk(temporary, SPLIT_AT) != NULL) temporary = "/tmp";
    if (shared && getcwd(here, sizeof here) != NULL && strpbrk(here, SPLIT_AT) == NULL) {
        snprintf(folder->path, PATH_MAX, "%s/.hiermoe-run.XXXXXX", here);
        if (mkdtemp(folder->path) != NULL) return 0;
    }
    snprintf(folder->path, PATH_MAX, "%s/hiermoe-run.XXXXXX", temporary);
    if (mkdtemp(folder->path) != NULL) return 0;
    folder->path[0] = '\0';
    return command_fail("no folder can be made in %s: %s", temporary, strerror(errno));
}

void run_folder_remove(hm_run_folder_t *folder)
{
    DIR *all = folder->path[0] != '\0' ? opendir(folder->path) : NULL;
    if (all == NULL) return;
    for (const struct dirent *entry; (entry = readdir(all)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) unlinkat(dirfd(all), entry->d_name, 0);
    closedir(all);
    rmdir(folder->path);
    folder->path[0] = '\0';
}

/* ld.so only warns of what it cannot preload, and the job would run for nothing. */
static int named_find(const char *verb, const char *option, const char *named, char path[PATH_MAX])
{
    struct stat found;
    if (realpath(named, path) == NULL || stat(path, &found) != 0)
        return command_fail("%s: %s %s: %s", verb, option, named, strerror(errno));
    if (S_ISREG(found.st_mode)) return 0;
    return command_fail("%s: %s %s: %s: expected the library itself", verb, option, named,
                        S_ISDIR(found.st_mode) ? "a folder" : "no file");
}

int preload_find(const char *verb, const char *option, const char *named, char path[PATH_MAX])
{
    static const char *const places[] = {"libhiermoe.so", "../lib/libhiermoe.so", "../lib64/libhiermoe.so"};
    char own[PATH_MAX], candidate[PATH_MAX + 32];
    if (named != NULL) return named_find(verb, option, named, path);
    int status = verb_own_path(own, sizeof own);
    if (status != 0) return status;
    *strrchr(own, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(candidate, sizeof candidate, "%s/%s", own, places[i]);
        if (realpath(candidate, path) != NULL) return 0;
    }
    return command_fail("%s: libhiermoe.so is not beside %s: expected %s LIBRARY", verb, own, option);
}

int preload_path(const char *verb, const char *library, bool shared, hm_run_folder_t *folder, char loaded[PATH_MAX])
{
    if (strpbrk(library, SPLIT_AT) == NULL) {
        snprintf(loaded, PATH_MAX, "%s", library);
        return 0;
    }
    int status = run_folder_make(shared, folder);
    if (status != 0) return status;
    if (snprintf(loaded, PATH_MAX, "%s/libhiermoe.so", folder->path) >= PATH_MAX)
        errno = ENAMETOOLONG;
    else if (symlink(library, loaded) == 0)
        return 0;
    return command_fail("%s: %s: %s", verb, loaded, strerror(errno));
}

int preload_set(const char *verb, const char *loaded)
{
    const char *before = getenv("LD_PRELOAD");
    char *value = NULL;
    bool more = before != NULL && *before != '\0';
    if (asprintf(&value, "%s%s%s", loaded, more ? ":" : "", more ? before : "") < 0)
        return command_fail("%s: out of memory", verb);
    int failed = setenv("LD_PRELOAD", value, 1);
    free(value);
    return failed != 0 ? command_fail("%s: %s", verb, strerror(errno)) : 0;
}
