/* forks PLUGIN: which all-to-alls are replaced in children of fork: none after NCCL was used, all before. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int replaced(void)
{
    char line[512];
    int count = 0;
    FILE *file = fopen(getenv("FAKE_NCCL_LOG"), "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) count += strstr(line, "REPLACED") != NULL;
    if (file != NULL) fclose(file);
    return count;
}

/* Plays the scene with its own results kept off our output. */
static void play(const char *who, int (*run)(const char *))
{
    int before = replaced(), out = dup(1);
    fflush(stdout);
    if (freopen("/dev/null", "w", stdout) == NULL) exit(1);
    run("all2all");
    fflush(stdout);
    dup2(out, 1);
    dprintf(1, "%s: replaced %d\n", who, replaced() - before);
}

static void child(const char *who, int (*run)(const char *))
{
    pid_t pid = fork();
    if (pid == 0) {
        play(who, run);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
    int (*run)(const char *);
    void *plugin = argc == 2 ? dlopen(argv[1], RTLD_LAZY) : NULL;
    if (plugin == NULL) return 1;
    *(void **)&run = dlsym(plugin, "scenes_run");
    child("child before use", run);
    play("before", run);
    child("child after use", run);
    play("parent after", run);
    return 0;
}
