#define _GNU_SOURCE
#include "job.h"

#include "command.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const int handed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
#define HANDED_ON (sizeof handed_on / sizeof handed_on[0])

static volatile sig_atomic_t job; /* its process, for the handler; 0: none */

/* A terminal's signals come from the kernel, to all processes of the foreground. */
static void signal_hand_on(int number, siginfo_t *info, void *context)
{
    int before = errno;
    (void)context;
    if (job > 0 && info->si_code <= 0) kill((pid_t)job, number);
    errno = before;
}

/* Without this the job would outlive this command. A signal that is ignored, as under nohup, stays ignored. */
static void handlers_set(void)
{
    struct sigaction action = {.sa_sigaction = signal_hand_on, .sa_flags = SA_SIGINFO}, before;
    for (size_t i = 0; i < HANDED_ON; i++)
        if (sigaction(handed_on[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(handed_on[i], &action, NULL);
}

/* Signals are blocked until there is a job to hand them to. */
static int job_start(const char *verb, char **command)
{
    sigset_t blocked, before;
    sigemptyset(&blocked);
    for (size_t i = 0; i < HANDED_ON; i++) sigaddset(&blocked, handed_on[i]);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(command[0], command);
        int missing = errno == ENOENT || errno == ENOTDIR;
        command_fail("%s: %s: %s", verb, command[0], strerror(errno));
        _exit(missing ? HM_EXIT_NOT_FOUND : HM_EXIT_NOT_FOUND - 1);
    }
    if (child < 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        return command_fail("%s: %s", verb, strerror(errno));
    }
    job = child;
    handlers_set();
    sigprocmask(SIG_SETMASK, &before, NULL);
    return 0;
}

int job_run(const char *verb, char **command, int *status)
{
    int rc = job_start(verb, command);
    if (rc != 0) return rc;
    while (waitpid((pid_t)job, status, 0) < 0)
        if (errno != EINTR) return command_fail("%s: %s", verb, strerror(errno));
    job = 0;
    return 0;
}

int job_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void job_end_alike(int status)
{
    if (WIFSIGNALED(status)) {
        sigset_t all;
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(WTERMSIG(status), SIG_DFL);
        sigemptyset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        raise(WTERMSIG(status));
    }
    exit(job_status(status));
}
