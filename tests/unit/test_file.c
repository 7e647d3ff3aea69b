/* Files of settings, as jobs, other users and full disks leave them. */
#define _GNU_SOURCE
#include "front_double.h"

#include "file_text.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT 4096 /* bytes that a file may have */

static char folder[] = "/tmp/hiermoe-file-XXXXXX", text[1 << 16];
static int written_to; /* descriptor of the last write of the code under test */

ssize_t __real_write(int file, const void *bytes, size_t size);
ssize_t __wrap_write(int file, const void *bytes, size_t size);
ssize_t __wrap_write(int file, const void *bytes, size_t size)
{
    written_to = file;
    return __real_write(file, bytes, size);
}

static int enter(void **state)
{
    (void)state;
    umask(022);
    return mkdtemp(folder) == NULL || chdir(folder) != 0 ? -1 : 0;
}

static int leave(void **state)
{
    char line[64];
    (void)state;
    snprintf(line, sizeof line, "rm -r %s", folder);
    return chdir("/") != 0 || system(line) != 0 ? -1 : 0;
}

static int clear(void **state)
{
    (void)state;
    return system("rm -rf ./* && echo 'not ours' >precious");
}

static const char *content(const char *name)
{
    return file_text(name, text, sizeof text);
}

static int mode_of(const char *name)
{
    struct stat info;
    return lstat(name, &info) == 0 ? (int)(info.st_mode & 07777) : -1;
}

/* The status of a child that runs `play`: signals of the file system end it, as they would end a job. */
static int child_status(int (*play)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        signal(SIGXFSZ, SIG_DFL);
        _exit(play());
    }
    waitpid(child, &status, 0);
    return status;
}

static bool signal_pending(int which)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, which) == 1;
}

static void lines_are_added_for_the_owner_only(void **state)
{
    (void)state;
    assert_int_equal(file_append("new", "one\n", 4), 0);
    assert_int_equal(file_append("new", "two\n", 4), 0);
    assert_string_equal(content("new"), "one\ntwo\n");
    assert_int_equal(mode_of("new"), 0600);
    assert_int_equal(file_append("precious", "more\n", 5), 0);
    assert_string_equal(content("precious"), "not ours\nmore\n");
    assert_int_equal(mode_of("precious"), 0644);
    assert_int_equal(file_append("missing/new", "one\n", 4), -ENOENT);
    assert_int_equal(file_append(".", "one\n", 4), -EISDIR);
    assert_int_equal(file_append("/dev/null", "one\n", 4), 0);
    assert_int_equal(file_append("/dev/full", "one\n", 4), -ENOSPC);
}

/* With and without a reader: neither is waited for, and a reader sees nothing. */
static void fifos_and_sockets_are_refused(void **state)
{
    char *read_text;
    size_t length;
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int socket_file = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)state;
    assert_int_equal(bind(socket_file, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    for (int reader = -1, round = 0; round < 2; round++) {
        assert_int_equal(file_append("fifo", "one\n", 4), -ENXIO);
        assert_int_equal(file_read("fifo", 100, &read_text, &length), -ENXIO);
        assert_int_equal(file_replace("fifo", "one\n", 4), -ENXIO);
        if (round == 0) reader = open("fifo", O_RDONLY | O_NONBLOCK);
        assert_true(reader >= 0);
        assert_int_equal(read(reader, text, sizeof text), 0);
        if (round == 1) close(reader);
    }
    assert_int_equal(file_append("socket", "one\n", 4), -ENXIO);
    assert_int_equal(file_replace("socket", "one\n", 4), -ENXIO);
    assert_int_equal(file_replace("/dev/null", "one\n", 4), -ENXIO);
    assert_int_equal(file_replace(".", "one\n", 4), -EISDIR);
    assert_string_equal(file_error(-ENXIO), "it is no regular file");
    close(socket_file);
}

static void own_links_are_followed_and_those_of_others_are_not(void **state)
{
    char *read_text;
    size_t length;
    (void)state;
    assert_int_equal(symlink("precious", "link"), 0);
    assert_int_equal(symlink("later", "early"), 0);
    assert_int_equal(file_append("link", "more\n", 5), 0);
    assert_int_equal(file_append("early", "first\n", 6), 0);
    assert_string_equal(content("precious"), "not ours\nmore\n");
    assert_string_equal(content("later"), "first\n");
    assert_int_equal(mode_of("later"), 0600);
    if (geteuid() != 0) skip(); /* nobody else can make links of another user */
    assert_int_equal(lchown("link", 12345, 12345), 0);
    assert_int_equal(file_append("link", "evil\n", 5), -ELOOP);
    assert_int_equal(file_read("link", 100, &read_text, &length), 0); /* reading harms nobody */
    free(read_text);
    assert_string_equal(content("precious"), "not ours\nmore\n");
}

static void files_are_read_whole_or_not_at_all(void **state)
{
    char *read_text = NULL;
    size_t length = 0;
    (void)state;
    assert_int_equal(file_read("precious", 9, &read_text, &length), 0);
    assert_string_equal(read_text, "not ours\n");
    assert_int_equal(length, 9);
    free(read_text);
    read_text = NULL;
    assert_int_equal(file_read("precious", 8, &read_text, &length), -EFBIG);
    assert_int_equal(file_read("missing", 8, &read_text, &length), -ENOENT);
    assert_int_equal(file_read(".", 8, &read_text, &length), -EISDIR);
    assert_null(read_text);
}

static void replaced_files_are_the_old_or_the_new_ones(void **state)
{
    char name[64];
    (void)state;
    umask(027);
    assert_int_equal(file_replace("profile", "first", 5), 0);
    umask(022);
    assert_int_equal(mode_of("profile"), 0640);
    int old = open("profile", O_RDONLY);
    assert_int_equal(file_replace("profile", "second", 6), 0);
    assert_string_equal(content("profile"), "second");
    assert_int_equal(read(old, text, sizeof text), 5);
    close(old);
    /* A link in place of the file goes, what it leads to stays. */
    assert_int_equal(symlink("precious", "link"), 0);
    assert_int_equal(file_replace("link", "third", 5), 0);
    assert_string_equal(content("link"), "third");
    assert_string_equal(content("precious"), "not ours\n");
    /* Links at the names of the file that is written first. */
    snprintf(name, sizeof name, "profile.part.%d.0", (int)getpid());
    assert_int_equal(symlink("precious", name), 0);
    assert_int_equal(file_replace("profile", "fourth", 6), 0);
    assert_string_equal(content("profile"), "fourth");
    for (int i = 1; i < 100; i++) {
        snprintf(name, sizeof name, "profile.part.%d.%d", (int)getpid(), i);
        assert_int_equal(symlink(i % 2 != 0 ? "precious" : "nowhere", name), 0);
    }
    assert_int_equal(file_replace("profile", "fifth", 5), -EEXIST);
    assert_string_equal(content("profile"), "fourth");
    assert_string_equal(content("precious"), "not ours\n");
    assert_int_equal(mode_of("nowhere"), -1);
    assert_int_equal(file_replace("missing/profile", "x", 1), -ENOENT);
}

static int limit_play(void)
{
    static char line[300];
    struct rlimit limit = {LIMIT, LIMIT};
    memset(line, 'x', sizeof line);
    memset(text, 'y', LIMIT - 100);
    if (file_replace("profile", "old", 3) != 0 || file_append("stats", text, LIMIT - 100) != 0) return 1;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    if (file_append("stats", line, sizeof line) != -EFBIG) return 3; /* a part fits */
    if (file_append("stats", line, sizeof line) != -EFBIG) return 4; /* nothing fits */
    if (file_replace("profile", text, sizeof text) != -EFBIG) return 5;
    return signal_pending(SIGXFSZ) ? 6 : 0;
}

static void file_size_limit_is_an_error_and_no_signal(void **state)
{
    (void)state;
    assert_int_equal(child_status(limit_play), 0);
    assert_string_equal(content("profile"), "old");
    assert_int_equal(system("test $(ls | wc -l) = 3"), 0); /* nothing half-written is left */
}

/* One that came before is the job's, and so is what it ignores or blocks. */
static int pending_play(void)
{
    struct rlimit limit = {0, 0};
    sigset_t signals, now;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    signal(SIGXFSZ, SIG_IGN);
    if (file_append("stats", "x", 1) != -EFBIG || signal_pending(SIGXFSZ)) return 2;
    signal(SIGXFSZ, SIG_DFL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (file_append("stats", "x", 1) != -EFBIG || signal_pending(SIGXFSZ)) return 3;
    raise(SIGXFSZ);
    if (file_append("stats", "x", 1) != -EFBIG || !signal_pending(SIGXFSZ)) return 4;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    return sigismember(&now, SIGXFSZ) == 1 && sigismember(&now, SIGPIPE) == 0 && sigismember(&now, SIGTTOU) == 0 ? 0
                                                                                                                 : 5;
}

static void signals_of_the_job_stay(void **state)
{
    (void)state;
    assert_int_equal(child_status(pending_play), 0);
}

static int closed_play(void)
{
    for (int i = 0; i < 64; i++) close(i);
    if (file_append("stats", "x", 1) != 0 || written_to < 3) return 1;
    if (file_replace("profile", "x", 1) != 0 || written_to < 3) return 2;
    for (int i = 0; i < 64; i++)
        if (fcntl(i, F_GETFD) >= 0) return 3;
    return 0;
}

/* Where the standard streams are closed, our files must not get their numbers: others print there. */
static void standard_descriptors_are_not_used(void **state)
{
    (void)state;
    assert_int_equal(child_status(closed_play), 0);
    assert_string_equal(content("stats"), "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines_are_added_for_the_owner_only, clear),
        cmocka_unit_test_setup(fifos_and_sockets_are_refused, clear),
        cmocka_unit_test_setup(own_links_are_followed_and_those_of_others_are_not, clear),
        cmocka_unit_test_setup(files_are_read_whole_or_not_at_all, clear),
        cmocka_unit_test_setup(replaced_files_are_the_old_or_the_new_ones, clear),
        cmocka_unit_test_setup(file_size_limit_is_an_error_and_no_signal, clear),
        cmocka_unit_test_setup(signals_of_the_job_stay, clear),
        cmocka_unit_test_setup(standard_descriptors_are_not_used, clear),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
