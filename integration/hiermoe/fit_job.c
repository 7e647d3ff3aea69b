#define _GNU_SOURCE
#include "fit_job.h"

#include "command.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

int fit_environment_set(const char *library, const char *out, const char *sizes)
{
    char preload[2 * PATH_MAX];
    const char *before = getenv("LD_PRELOAD"), *mode = getenv("HIERMOE_MODE");
    const char *parts = library + strcspn(library, " :"); /* ld.so splits LD_PRELOAD there */
    if (*parts != '\0')
        return command_fail("fit: %s: has a %s, where LD_PRELOAD is split: expected a path without", library,
                            *parts == ':' ? "colon" : "blank");
    if (mode != NULL && strcasecmp(mode, "off") == 0)
        return command_fail("fit: HIERMOE_MODE=off: expected exact or observe, or nothing is measured");
    int length = snprintf(preload, sizeof(preload), "%s%s%s", library, before != NULL && *before != '\0' ? ":" : "",
                          before != NULL ? before : "");
    if (length >= (int)sizeof(preload)) return command_fail("fit: LD_PRELOAD is too long");
    if (setenv("LD_PRELOAD", preload, 1) != 0 || setenv("HIERMOE_FIT_FILE", out, 1) != 0 ||
        (sizes != NULL && setenv("HIERMOE_FIT_SIZES", sizes, 1) != 0))
        return command_fail("fit: %s", strerror(errno));
    return 0;
}

static volatile sig_atomic_t job; /* its process, for the handler; 0: none */

static void signal_forward(int number)
{
    int before = errno;
    if (job > 0) kill((pid_t)job, number);
    errno = before;
}

/* Without this the job would outlive this command. A signal that is ignored, as under nohup, stays ignored. */
static void signals_forward(const sigset_t *signals)
{
    struct sigaction action = {.sa_handler = signal_forward}, before;
    for (int number = 1; number < NSIG; number++)
        if (sigismember(signals, number) == 1 && sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(number, &action, NULL);
    signal(SIGINT, SIG_IGN); /* a terminal sends it to the job as well, which decides */
}

/* Signals are blocked until there is a job to hand them to. */
static int job_start(char **command)
{
    sigset_t forwarded, before;
    sigemptyset(&forwarded);
    sigaddset(&forwarded, SIGTERM);
    sigaddset(&forwarded, SIGHUP);
    sigprocmask(SIG_BLOCK, &forwarded, &before);
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(command[0], command);
        command_fail("fit: %s: %s", command[0], strerror(errno));
        _exit(HM_EXIT_NOT_FOUND);
    }
    if (child < 0) return command_fail("fit: %s", strerror(errno));
    job = child;
    signals_forward(&forwarded);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return 0;
}

int fit_job_run(char **command)
{
    int status = job_start(command);
    if (status != 0) return status;
    while (waitpid((pid_t)job, &status, 0) < 0)
        if (errno != EINTR) return command_fail("fit: %s", strerror(errno));
    job = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
