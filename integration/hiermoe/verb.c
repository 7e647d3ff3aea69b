#define _GNU_SOURCE
#include "verb.h"

#include "command.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HM_VERB_PREFIX "hiermoe-"
#define HM_VERB_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789-"

/* Those that come with the command. Others are listed by name alone. */
static const struct {
    const char *name, *help;
} known[] = {
    {"ab", "run a job plain and with the library in turns: speedup, and whether results are equal"},
    {"report", "make one page of the statistics of all ranks"},
};

int verb_own_path(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length <= 0) return command_fail("/proc/self/exe: %s", strerror(errno));
    path[length] = '\0';
    return 0;
}

/* The folder of the programs, of a build as well as of an installation. */
static int folder_find(char folder[PATH_MAX])
{
    char own[PATH_MAX - 32];
    int status = verb_own_path(own, sizeof own);
    if (status != 0) return status;
    *strrchr(own, '/') = '\0';
    snprintf(folder, PATH_MAX, "%s/../libexec/hiermoe", own);
    return 0;
}

int verb_exec(char **argv)
{
    char folder[PATH_MAX], path[PATH_MAX + 64];
    if (argv[0][0] == '-' || strlen(argv[0]) > 40 || argv[0][strspn(argv[0], HM_VERB_LETTERS)] != '\0') return -1;
    int status = folder_find(folder);
    if (status != 0) return status;
    snprintf(path, sizeof path, "%s/" HM_VERB_PREFIX "%s", folder, argv[0]);
    if (access(path, F_OK) != 0) return -1;
    execv(path, argv);
    return command_fail("%s: %s", path, strerror(errno));
}

static const char *help_of(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, name) == 0) return known[i].help;
    return "";
}

static int entry_is_verb(const struct dirent *entry)
{
    return strncmp(entry->d_name, HM_VERB_PREFIX, strlen(HM_VERB_PREFIX)) == 0;
}

void verb_list(FILE *out)
{
    char folder[PATH_MAX];
    struct dirent **entries;
    int count = folder_find(folder) == 0 ? scandir(folder, &entries, entry_is_verb, alphasort) : -1;
    if (count < 0) return;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name + strlen(HM_VERB_PREFIX);
        fprintf(out, "  %-10s %s\n", name, help_of(name));
        free(entries[i]);
    }
    free(entries);
}
