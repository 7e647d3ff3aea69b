#define _GNU_SOURCE
#include "ticker.h"

#include "fork.h"
#include "log.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define STACK_BYTES ((size_t)128 << 10)
#define STOP_MS 1000

/* All but `stopping` under `lock`. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* `stopping` or `ended` */
    bool started, there, ended;
    atomic_bool stopping;
    pthread_t thread;
    void (*run)(void);
    long seconds;
} ticker = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct timespec clock_after(long ms)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += ms / 1000;
    time.tv_nsec += ms % 1000 * 1000000;
    if (time.tv_nsec >= 1000000000) time.tv_sec++, time.tv_nsec -= 1000000000;
    return time;
}

/* Sleeps for an interval, with the lock held in between; false: the thread is to end. */
static bool interval_wait(void)
{
    struct timespec end = clock_after(ticker.seconds * 1000);
    int status = 0;
    while (!ticker_stopping() && status == 0) status = pthread_cond_timedwait(&ticker.changed, &ticker.lock, &end);
    return !ticker_stopping();
}

static void *thread_run(void *unused)
{
    (void)unused;
    pthread_setname_np(pthread_self(), "hiermoe-stats");
    pthread_mutex_lock(&ticker.lock);
    while (interval_wait()) {
        pthread_mutex_unlock(&ticker.lock);
        ticker.run();
        pthread_mutex_lock(&ticker.lock);
    }
    ticker.ended = true;
    pthread_cond_broadcast(&ticker.changed);
    pthread_mutex_unlock(&ticker.lock);
    return NULL;
}

/* The static thread-local storage of all the job's libraries comes out of the stack, and may be megabytes. glibc tells
 * how much it is by a function without a declaration; without it the stack has the usual size. */
static void stack_make_small(pthread_attr_t *attributes)
{
    size_t (*least)(const pthread_attr_t *);
    *(void **)&least = dlsym(RTLD_DEFAULT, "__pthread_get_minstack");
    if (least != NULL) pthread_attr_setstacksize(attributes, STACK_BYTES + least(attributes));
}

/* With all signals blocked, which the thread inherits: the job's handlers run in the job's threads. */
static int thread_create(void)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int status = pthread_attr_init(&attributes);
    if (status != 0) return status;
    stack_make_small(&attributes);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    status = pthread_create(&ticker.thread, &attributes, thread_run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return status;
}

static void changed_open(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&ticker.changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void ticker_start(void (*run)(void), long seconds)
{
    int status = 0;
    pthread_mutex_lock(&ticker.lock);
    if (!ticker.started && !ticker_stopping()) {
        ticker.started = true;
        ticker.run = run;
        ticker.seconds = seconds;
        changed_open();
        status = thread_create();
        ticker.there = status == 0;
    }
    pthread_mutex_unlock(&ticker.lock);
    if (status != 0)
        log_say(HM_LOG_WARN, HM_RANK_NONE,
                "no thread to write statistics with (%s): they are written when communicators end", strerror(status));
}

bool ticker_stopping(void)
{
    return atomic_load_explicit(&ticker.stopping, memory_order_relaxed);
}

/* The process ends, perhaps from a signal handler that interrupted a holder of the lock: not waited for it longer than
 * for the thread. */
static bool lock_soon(void)
{
    for (int ms = 0; ms < STOP_MS; ms++) {
        if (pthread_mutex_trylock(&ticker.lock) == 0) return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

bool ticker_stop(void)
{
    struct timespec end = clock_after(STOP_MS);
    int status = 0;
    atomic_store(&ticker.stopping, true);
    if (!lock_soon()) return false;
    bool there = ticker.there;
    if (there) pthread_cond_broadcast(&ticker.changed);
    while (there && !ticker.ended && status == 0) status = pthread_cond_timedwait(&ticker.changed, &ticker.lock, &end);
    bool ended = !there || ticker.ended;
    ticker.there = there && !ended;
    pthread_mutex_unlock(&ticker.lock);
    if (there && ended) pthread_join(ticker.thread, NULL);
    return ended;
}

/* The thread stayed with the parent, and may have held the lock. */
static void ticker_after_fork(void)
{
    memset(&ticker, 0, sizeof ticker);
    ticker.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

__attribute__((constructor)) static void ticker_fork_prepare(void)
{
    static hm_fork_handler_t handler = {.run = ticker_after_fork};
    fork_handler_add(&handler);
}
