#define _GNU_SOURCE
#include "child.h"

#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MOST 60

static _Noreturn void child_become(char *const *argv, const char *preload, int from, int pipe)
{
    int nowhere = open("/dev/null", O_RDWR);
    if (nowhere >= 0) {
        dup2(nowhere, STDIN_FILENO);
        dup2(nowhere, from == HM_CHILD_OUTPUT ? STDERR_FILENO : STDOUT_FILENO);
    }
    dup2(pipe, from);
    if (preload != NULL)
        setenv("LD_PRELOAD", preload, 1);
    else
        unsetenv("LD_PRELOAD");
    alarm(SECONDS_MOST); /* outlives exec */
    execvp(argv[0], argv);
    _exit(HM_EXIT_NOT_FOUND);
}

/* Until the other end is closed; what has no room is lost. */
static void pipe_read(int pipe, char *text, size_t size)
{
    size_t have = 0;
    for (;;) {
        char lost[4096];
        bool room = have + 1 < size;
        ssize_t got = read(pipe, room ? text + have : lost, room ? size - 1 - have : sizeof lost);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        if (room) have += (size_t)got;
    }
    close(pipe);
    text[have] = '\0';
}

static int child_wait(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return job_status(status);
}

int child_read(char *const *argv, const char *preload, int from, char *text, size_t size)
{
    int ends[2];
    text[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    pid_t child = fork();
    if (child == 0) child_become(argv, preload, from, ends[1]);
    close(ends[1]);
    pipe_read(ends[0], text, size);
    return child > 0 ? child_wait(child) : -1;
}

int child_ask(void (*ask)(const char *what, FILE *out), const char *what, char *text, size_t size)
{
    int ends[2];
    text[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    pid_t child = fork();
    if (child == 0) {
        FILE *out = fdopen(ends[1], "w");
        alarm(SECONDS_MOST);
        if (out != NULL) ask(what, out);
        _exit(out != NULL && fclose(out) == 0 ? 0 : 1);
    }
    close(ends[1]);
    pipe_read(ends[0], text, size);
    return child > 0 ? child_wait(child) : -1;
}
