/* Statistics while the job goes on: the library's thread, and the lines that it writes. */
#define _GNU_SOURCE
#include "front_double.h"

#include "file_text.h"

#include "base/fork.h"
#include "base/settings.h"
#include "base/ticker.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char file[] = "/tmp/hiermoe-interval-XXXXXX", words[] = "/tmp/hiermoe-words-XXXXXX", text[1 << 16];
static bool no_threads;
static size_t stack_bytes; /* of the last thread */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    if (attributes != NULL) pthread_attr_getstacksize(attributes, &stack_bytes);
    return no_threads ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}

/* In a process of its own: the library starts its thread once, and writes its last lines when the process exits. */
#define CHECK(what) ((what) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n%s\n", __func__, __LINE__, #what, text), _exit(1)))

static int process_run(void (*body)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        front_reset(NULL);
        body();
        exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int clear(void **state)
{
    (void)state;
    setenv("HIERMOE_STATS_FILE", file, 1);
    setenv("HIERMOE_STATS_INTERVAL", "1", 1);
    setenv("HIERMOE_DEBUG_FILE", words, 1);
    settings_forget();
    return truncate(file, 0) | truncate(words, 0);
}

static void nap(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&time, &time) != 0) continue;
}

static int lines_with(const char *one, const char *two, const char *three)
{
    return text_lines_with(file_text(file, text, sizeof text), one, two, three);
}

static bool lines_come(const char *one, const char *two, const char *three)
{
    for (int i = 0; i < 400; i++, nap(0.05))
        if (lines_with(one, two, three) > 0) return true;
    return false;
}

static void leave(int handle)
{
    hm_comm_t *comm = comm_find(HANDLE(handle));
    comm_leave(comm, HM_REASON_PARTIAL);
    comm_release(comm);
}

/* /proc/self/task/<the library's thread>/<name> in `text`; false: there is no such thread. */
static bool thread_file(const char *name)
{
    bool found = false;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; !found && (task = readdir(tasks)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        if (strcmp(file_text(path, text, sizeof text), "hiermoe-stats\n") != 0) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/%s", task->d_name, name);
        file_text(path, text, sizeof text);
        found = true;
    }
    closedir(tasks);
    return found;
}

#define INTERVAL "\"event\": \"interval\""
#define END "\"event\": \"end\""
#define FIRST "\"communicator\": 0,"
#define SECOND "\"communicator\": 1,"
#define PARTIAL(n) "\"partial\": " #n "}"

static void two_communicators_live(void)
{
    comm_add(HANDLE(1), &front_real, true);
    comm_add(HANDLE(2), &front_real, true);
    leave(1);
    CHECK(lines_come(INTERVAL, FIRST, PARTIAL(1)));
    CHECK(lines_with("{", "", "") == 1); /* nothing of the second one, which did nothing */
    leave(1);
    leave(2);
    CHECK(lines_come(INTERVAL, FIRST, PARTIAL(2)));
    CHECK(lines_come(INTERVAL, SECOND, PARTIAL(1)));
    leave(1);
    comm_drop(HANDLE(1));
    CHECK(lines_with(END, FIRST, PARTIAL(3)) == 1);
    nap(2.3);
}

/* A line where something changed, none where nothing did, none after the end. */
static void lines_come_while_the_job_runs(void **state)
{
    (void)state;
    assert_int_equal(process_run(two_communicators_live), 0);
    assert_int_equal(lines_with(INTERVAL, FIRST, ""), 2);
    assert_int_equal(lines_with(INTERVAL, SECOND, ""), 1);
    assert_int_equal(lines_with(END, FIRST, PARTIAL(3)), 1);
    assert_int_equal(lines_with(END, SECOND, PARTIAL(1)), 1);
    assert_int_equal(lines_with("{", "", ""), 5);
}

static volatile sig_atomic_t signals;

static void note(int number)
{
    (void)number;
    signals++;
}

static void thread_is_looked_at(void)
{
    sigset_t set;
    signal(SIGUSR1, note);
    comm_add(HANDLE(1), &front_real, true);
    for (int i = 0; i < 400 && !thread_file("status"); i++) nap(0.05); /* until it has its name */
    CHECK(thread_file("status"));
    CHECK(stack_bytes >= 128 << 10 && stack_bytes < 1 << 20); /* above the least by the job's static storage */
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    CHECK(!sigismember(&set, SIGUSR1)); /* the job's own mask is as it was */
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    kill(getpid(), SIGUSR1);
    nap(0.2);
    CHECK(signals == 0); /* the library's thread, which could, does not take it */
    sigdelset(&set, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    CHECK(signals == 1);
}

static void thread_takes_no_signals(void **state)
{
    (void)state;
    assert_int_equal(process_run(thread_is_looked_at), 0);
}

static void communicator_is_made(void)
{
    comm_add(HANDLE(1), &front_real, true);
    leave(1);
    nap(1.2);
    CHECK(!thread_file("status"));
}

static void no_thread_where_none_is_wanted(void **state)
{
    (void)state;
    setenv("HIERMOE_STATS_INTERVAL", "0", 1);
    assert_int_equal(process_run(communicator_is_made), 0);
    assert_int_equal(lines_with(END, FIRST, PARTIAL(1)), 1);
    assert_int_equal(lines_with("{", "", ""), 1);
    clear(state);
    unsetenv("HIERMOE_STATS_FILE");
    assert_int_equal(process_run(communicator_is_made), 0);
    assert_int_equal(lines_with("{", "", ""), 0);
}

static void threads_run_out(void)
{
    no_threads = true;
    communicator_is_made();
    comm_add(HANDLE(2), &front_real, true);
}

/* Said once; the lines at the end come all the same. */
static void job_without_threads_goes_on(void **state)
{
    (void)state;
    assert_int_equal(process_run(threads_run_out), 0);
    assert_int_equal(lines_with(END, FIRST, PARTIAL(1)), 1);
    file_text(words, text, sizeof text);
    assert_non_null(strstr(text, "no thread to write statistics with"));
    assert_null(strstr(strstr(text, "no thread") + 1, "no thread"));
}

static double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static atomic_int runs;

static void hang(void)
{
    runs++;
    nap(20);
}

static void writing_hangs(void)
{
    ticker_start(hang, 1);
    while (runs == 0) nap(0.01);
    double begin = seconds_now();
    CHECK(!ticker_stop());
    CHECK(seconds_now() - begin < 3);
    _exit(0);
}

static void nothing_hangs(void)
{
    comm_add(HANDLE(1), &front_real, true);
    nap(0.1);
    double begin = seconds_now();
    CHECK(ticker_stop());
    CHECK(seconds_now() - begin < 0.5);
    CHECK(!thread_file("status"));
    comm_add(HANDLE(2), &front_real, true); /* another thread of the job that does not know of the end */
    CHECK(!thread_file("status"));
}

/* The thread ends at once, and where a file system hangs it is not waited for. */
static void exit_is_not_held_up(void **state)
{
    (void)state;
    setenv("HIERMOE_STATS_INTERVAL", "3600", 1);
    assert_int_equal(process_run(nothing_hangs), 0);
    clear(state);
    assert_int_equal(process_run(writing_hangs), 0);
}

static void child_lives(void)
{
    CHECK(!thread_file("status"));
    comm_add(HANDLE(2), &front_real, true);
    leave(2);
    CHECK(comm_find(HANDLE(1)) == NULL); /* the parent tells of its own */
    CHECK(lines_come(INTERVAL, SECOND, PARTIAL(1)));
    _exit(0);
}

static void parent_forks(void)
{
    int status = -1;
    fork_watch();
    comm_add(HANDLE(1), &front_real, true);
    leave(1);
    CHECK(lines_come(INTERVAL, FIRST, PARTIAL(1)));
    pid_t child = fork();
    if (child == 0) child_lives();
    waitpid(child, &status, 0);
    CHECK(status == 0);
}

#ifdef __has_feature /* clang */
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_THREAD__ /* lets no child of a process with threads start one */
#define CHILD_HAS_THREADS false
#else
#define CHILD_HAS_THREADS true
#endif

/* The thread stays with the parent; a child that makes a communicator starts its own. */
static void child_of_fork_has_its_own_thread(void **state)
{
    (void)state;
    if (!CHILD_HAS_THREADS) skip();
    assert_int_equal(process_run(parent_forks), 0);
    assert_int_equal(lines_with(INTERVAL, FIRST, ""), 1);
    assert_int_equal(lines_with(END, FIRST, PARTIAL(1)), 1);
    assert_int_equal(lines_with(INTERVAL, SECOND, ""), 1);
    assert_int_equal(lines_with("{", "", ""), 3);
}

static _Thread_local bool job; /* not the library's thread */
static atomic_bool holding, held;

bool __real_log_path(const char *pattern, int rank, char *path, size_t size);
bool __wrap_log_path(const char *pattern, int rank, char *path, size_t size);
/* On the way of every line. */
bool __wrap_log_path(const char *pattern, int rank, char *path, size_t size)
{
    if (holding && !job) {
        held = true;
        nap(0.3);
    }
    return __real_log_path(pattern, rank, path, size);
}

static void communicator_ends_under_a_line(void)
{
    job = true;
    holding = true;
    comm_add(HANDLE(1), &front_real, true);
    leave(1);
    while (!held) nap(0.01);
    comm_drop(HANDLE(1));
    _exit(0);
}

static void line_under_way_comes_before_the_end(void **state)
{
    (void)state;
    assert_int_equal(process_run(communicator_ends_under_a_line), 0);
    assert_int_equal(lines_with("{", "", ""), 2);
    assert_non_null(strstr(text, INTERVAL));
    assert_true(strstr(text, END) > strstr(text, INTERVAL));
}

#define THREADS 3

static void *make_and_drop(void *argument)
{
    int handle = (int)(uintptr_t)argument;
    for (double begin = seconds_now(); seconds_now() - begin < 1.6; nap(0.001)) {
        comm_add(HANDLE(handle), &front_real, true);
        leave(handle);
        comm_drop(HANDLE(handle));
    }
    return NULL;
}

static void many_come_and_go(void)
{
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, make_and_drop, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
}

/* However the thread meets communicators that end, "end" is the last word on each, and is said once. */
static void end_is_the_last_line(void **state)
{
    static char all[16 << 20];
    static bool ended[1 << 16];
    char *rest;
    int ends = 0;
    (void)state;
    assert_int_equal(process_run(many_come_and_go), 0);
    file_text(file, all, sizeof all);
    for (char *line = strtok_r(all, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        unsigned number;
        assert_int_equal(sscanf(strstr(line, "\"communicator\""), "\"communicator\": %u", &number), 1);
        assert_in_range(number, 0, sizeof ended - 1);
        assert_false(ended[number]);
        ended[number] = strstr(line, END) != NULL;
        ends += ended[number];
    }
    assert_true(ends > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines_come_while_the_job_runs, clear),
        cmocka_unit_test_setup(thread_takes_no_signals, clear),
        cmocka_unit_test_setup(no_thread_where_none_is_wanted, clear),
        cmocka_unit_test_setup(job_without_threads_goes_on, clear),
        cmocka_unit_test_setup(exit_is_not_held_up, clear),
        cmocka_unit_test_setup(child_of_fork_has_its_own_thread, clear),
        cmocka_unit_test_setup(line_under_way_comes_before_the_end, clear),
        cmocka_unit_test_setup(end_is_the_last_line, clear),
    };
    close(mkstemp(file));
    close(mkstemp(words));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    unlink(words);
    return failed;
}
