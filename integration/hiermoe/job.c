#define _GNU_SOURCE
#include "job.h"

#include "command.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const int handed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
#define HANDED_ON (sizeof handed_on / sizeof handed_on[0])

static struct sigaction pipe_before, child_before; /* what the job is to find */

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

/* A reader of standard error that goes away must not end this command before the job, nor may a parent that ignores its
 * children's ends keep the job's from it. */
void job_prepare(void)
{
    static bool prepared;
    if (prepared) return;
    prepared = true;
    struct sigaction ignored = {.sa_handler = SIG_IGN}, standard = {.sa_handler = SIG_DFL};
    sigaction(SIGPIPE, &ignored, &pipe_before);
    sigaction(SIGCHLD, &standard, &child_before);
}

static void signals_give_back(void)
{
    sigaction(SIGPIPE, &pipe_before, NULL);
    sigaction(SIGCHLD, &child_before, NULL);
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
        signals_give_back();
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
    job_prepare();
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
