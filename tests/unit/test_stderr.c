/* Descriptor 2 as jobs leave it. test_stderr ROLE: started by a test, with standard descriptors of its own. */
#define _GNU_SOURCE
#include "front_double.h"

#include "base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/hiermoe-stderr-XXXXXX", text[1 << 16];

static int enter(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0 ? -1 : 0;
}

static int leave(void **state)
{
    (void)state;
    unlink("data");
    unlink("log");
    return chdir("/") != 0 || rmdir(folder) != 0 ? -1 : 0;
}

/* This program again, in a role, with these as its standard descriptors; -1: closed. */
static pid_t role_start(const char *role, int in, int out, int err)
{
    int ends[] = {in, out, err};
    pid_t child = fork();
    if (child != 0) return child;
    for (int i = 0; i < 3; i++)
        if (ends[i] >= 3) ends[i] = fcntl(ends[i], F_DUPFD, 64);
    for (int i = 0; i < 3; i++)
        if (ends[i] < 0)
            close(i);
        else
            dup2(ends[i], i);
    for (int i = 3; i < 128; i++) close(i);
    execl("/proc/self/exe", "test_stderr", role, NULL);
    _exit(99);
}

static int role_status(pid_t child)
{
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

static void stderr_gets_lines(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t child = role_start("says", 0, 1, ends[1]);
    close(ends[1]);
    assert_int_equal(role_status(child), 0);
    assert_int_equal(read(ends[0], text, sizeof text), 5);
    assert_memory_equal(text, "line\n", 5);
    close(ends[0]);
}

static void stderr_without_a_reader_is_no_signal(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(role_status(role_start("broken", 0, 1, ends[1])), 0);
    close(ends[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    close(ends[0]);
    assert_int_equal(role_status(role_start("broken", 0, 1, ends[1])), 0);
    close(ends[1]);
}

/* A full pipe loses lines; once there is room, they come again. */
static void stderr_that_nobody_reads_is_not_waited_for(void **state)
{
    int ends[2], go[2], passed[2];
    char byte, line[6] = "";
    (void)state;
    assert_int_equal(pipe(ends) + pipe2(go, O_CLOEXEC) + pipe2(passed, O_CLOEXEC), 0);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], text, sizeof text) > 0) continue;
    while (write(ends[1], text, 1) > 0) continue;
    fcntl(ends[1], F_SETFL, 0);
    pid_t child = role_start("stuck", go[0], passed[1], ends[1]);
    close(ends[1]);
    close(passed[1]);
    assert_int_equal(read(passed[0], &byte, 1), 1); /* all its lines are lost, and it goes on */
    while (strcmp(line, "now!\n") != 0) {
        memmove(line, line + 1, 4);
        assert_int_equal(read(ends[0], line + 4, 1), 1);
    }
    close(go[1]);
    close(ends[0]);
    assert_int_equal(role_status(child), 0);
    close(go[0]);
    close(passed[0]);
}

static void descriptor_2_that_is_another_file_gets_nothing(void **state)
{
    static const char *const roles[] = {"reused", "redirected", "closed at first"};
    (void)state;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        int log = open("log", O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(role_status(role_start(roles[i], 0, 1, i == 2 ? -1 : log)), 0);
        assert_int_equal(read(log, text, sizeof text), 0);
        close(log);
        struct stat data;
        assert_int_equal(stat("data", &data), i == 1 ? -1 : 0);
        assert_true(i == 1 || data.st_size == 0);
        unlink("data");
    }
}

static int role_play(const char *role)
{
    sigset_t pending;
    signal(SIGPIPE, SIG_DFL);
    if (strcmp(role, "says") == 0) file_stderr("line\n", 5);
    if (strcmp(role, "broken") == 0) {
        for (int i = 0; i < 3; i++) file_stderr("line\n", 5);
        return sigpending(&pending) != 0 || sigismember(&pending, SIGPIPE) != 0 ? 1 : 0;
    }
    if (strcmp(role, "stuck") == 0) {
        for (int i = 0; i < 1000; i++) file_stderr("line\n", 5);
        if (write(1, "x", 1) != 1) return 1;
        struct pollfd go = {.fd = 0, .events = POLLIN};
        while (poll(&go, 1, 1) == 0) file_stderr("now!\n", 5);
    }
    if (strcmp(role, "reused") == 0 || strcmp(role, "closed at first") == 0) {
        close(2);
        if (open("data", O_RDWR | O_CREAT | O_TRUNC, 0600) != 2) return 2;
        file_stderr("line\n", 5);
    }
    if (strcmp(role, "redirected") == 0) {
        int ends[2];
        if (pipe2(ends, O_NONBLOCK) != 0 || dup2(ends[1], 2) != 2) return 3;
        file_stderr("line\n", 5);
        if (read(ends[0], text, sizeof text) > 0) return 4;
        close(2);
        file_stderr("line\n", 5);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stderr_gets_lines),
        cmocka_unit_test(stderr_without_a_reader_is_no_signal),
        cmocka_unit_test(stderr_that_nobody_reads_is_not_waited_for),
        cmocka_unit_test(descriptor_2_that_is_another_file_gets_nothing),
    };
    if (argc == 2) return role_play(argv[1]);
    return cmocka_run_group_tests(tests, enter, leave);
}
