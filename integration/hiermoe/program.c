#define _GNU_SOURCE
#include "program.h"

#include "child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whose other words hold the program to run. */
static const char *const wrappers[] = {"mpirun",       "mpiexec",        "mpiexec.hydra",
                                       "mpirun.hydra", "mpirun.openmpi", "mpiexec.openmpi",
                                       "orterun",      "prterun",        "srun",
                                       "env",          "timeout",        "nice",
                                       "nohup",        "numactl",        "taskset",
                                       "setsid",       "stdbuf",         "time",
                                       "strace",       "nsys",           "ncu",
                                       "unshare",      "setpriv",        "chrt",
                                       "ionice",       "bash",           "sh"};

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool name_is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(base_of(name), names[i]) == 0) return true;
    return false;
}

hm_launcher_t launcher_of(const char *command)
{
    static const char *const mpi[] = {"mpirun",         "mpiexec",         "mpiexec.hydra", "mpirun.hydra",
                                      "mpirun.openmpi", "mpiexec.openmpi", "orterun",       "prterun"};
    char text[4096], *const version[] = {(char *)command, "--version", NULL};
    if (strcmp(base_of(command), "srun") == 0) return HM_LAUNCHER_SRUN;
    if (!name_is_one_of(command, mpi, sizeof mpi / sizeof mpi[0])) return HM_LAUNCHER_NONE;
    child_read(version, NULL, HM_CHILD_OUTPUT, text, sizeof text);
    bool open = strstr(text, "Open MPI") != NULL || strstr(text, "OpenRTE") != NULL || strstr(text, "PRRTE") != NULL;
    return open ? HM_LAUNCHER_OPENMPI : HM_LAUNCHER_MPI;
}

static bool file_runs(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISREG(found.st_mode) && access(path, X_OK) == 0;
}

bool program_path(const char *name, char path[PATH_MAX])
{
    const char *folders = getenv("PATH");
    if (strchr(name, '/') != NULL) return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && file_runs(path);
    for (const char *at = folders; at != NULL && *name != '\0';) {
        int length = (int)strcspn(at, ":");
        if (snprintf(path, PATH_MAX, "%.*s/%s", length, length > 0 ? at : ".", name) < PATH_MAX && file_runs(path))
            return true;
        at = at[length] == ':' ? at + length + 1 : NULL;
    }
    return false;
}

/* What stands behind "#!" in a script's first line; `env` is passed over. false: it is no script. */
static bool script_interpreter(const char *script, char path[PATH_MAX])
{
    char line[PATH_MAX] = "", *rest, *word;
    FILE *file = fopen(script, "re");
    if (file == NULL) return false;
    bool script_is = fgets(line, sizeof line, file) != NULL && strncmp(line, "#!", 2) == 0;
    fclose(file);
    word = script_is ? strtok_r(line + 2, " \t\r\n", &rest) : NULL;
    while (word != NULL && (strcmp(base_of(word), "env") == 0 || word[0] == '-' || strchr(word, '=') != NULL))
        word = strtok_r(NULL, " \t\r\n", &rest);
    return word != NULL && program_path(word, path);
}

bool program_find(char *const *command, char path[PATH_MAX])
{
    char found[PATH_MAX];
    bool any = false;
    for (; *command != NULL; command++) {
        if (!program_path(*command, found)) continue;
        snprintf(path, PATH_MAX, "%s", found);
        any = true;
        if (!name_is_one_of(*command, wrappers, sizeof wrappers / sizeof wrappers[0])) break;
    }
    if (any && script_interpreter(path, found)) snprintf(path, PATH_MAX, "%s", found);
    return any;
}

bool program_is_python(const char *path)
{
    return strncmp(base_of(path), "python", 6) == 0 || strncmp(base_of(path), "pypy", 4) == 0;
}
