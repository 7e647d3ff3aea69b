/* The memory of records is reused for records only and never freed. So a thread may take a reference to a record that
 * it remembers from an earlier call without a lock, and see afterwards whether it is still the right one. */
#include "comm.h"

#include "base/fork.h"
#include "base/prometheus.h"
#include "base/settings.h"
#include "base/ticker.h"
#include "call.h"
#include "guide/layer.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

typedef struct hm_entry {
    hm_comm_t comm;
    UT_hash_handle hh;
    struct hm_entry *next_free;
    uint64_t told; /* sum of the counters in its last line; used by the thread that writes them */
} hm_entry_t;

#define HM_REMEMBERED 8

static hm_entry_t *table, *free_entries;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static unsigned made;    /* under lock */
static hm_stats_t ended; /* sums of communicators that are out of the table; under lock */

/* Held while a line of statistics is written; taken before `lock`. So no line follows a communicator's last one. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

/* What this thread found last for a handle; may be out of date. */
static _Thread_local struct {
    ncclComm_t handle;
    hm_comm_t *comm;
} remembered[HM_REMEMBERED];

static size_t remembered_at(ncclComm_t handle)
{
    return ((uintptr_t)handle * 0x9e3779b97f4a7c15u) >> 61;
}

/* A reference, unless the record is free. */
static bool comm_hold(hm_comm_t *comm)
{
    int users = atomic_load_explicit(&comm->users, memory_order_relaxed);
    while (users > 0)
        if (atomic_compare_exchange_weak_explicit(&comm->users, &users, users + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static void entry_free(hm_entry_t *entry)
{
    pthread_rwlock_wrlock(&lock);
    entry->next_free = free_entries;
    free_entries = entry;
    pthread_rwlock_unlock(&lock);
}

static hm_stats_owner_t comm_owner(const hm_comm_t *comm)
{
    hm_stats_owner_t owner = {.communicator = comm->number,
                              .rank = comm->rank,
                              .ranks = comm->ranks,
                              .nccl = comm->real->version,
                              .began_ms = comm->began_ms};
    if (atomic_load_explicit(&comm->seated, memory_order_acquire) != 0) owner.seat = comm->seat;
    return owner;
}

static void comm_write(const hm_comm_t *comm)
{
    hm_stats_owner_t owner = comm_owner(comm);
    stats_write(&comm->stats, &owner, HM_STATS_END);
}

/* Counters of the first communicator from number `from` on that changed since its last line. The table is in the order
 * of numbers. */
static bool changed_find(unsigned from, hm_stats_owner_t *owner, hm_stats_t *stats)
{
    bool found = false;
    pthread_rwlock_rdlock(&lock);
    for (hm_entry_t *entry = table; entry != NULL && !found; entry = entry->hh.next) {
        if (entry->comm.number < from) continue;
        uint64_t sum = stats_copy(stats, &entry->comm.stats);
        found = sum != entry->told;
        entry->told = sum;
        *owner = comm_owner(&entry->comm);
    }
    pthread_rwlock_unlock(&lock);
    return found;
}

/* A line for each communicator whose counters changed. Works on copies: a reference would let this thread be the one
 * that frees a communicator. */
static void changes_write(void)
{
    bool more = true;
    hm_stats_t stats;
    hm_stats_owner_t owner = {.communicator = 0};
    for (unsigned from = 0; more && !ticker_stopping(); from = owner.communicator + 1) {
        pthread_mutex_lock(&writing);
        more = changed_find(from, &owner, &stats);
        if (more) stats_write(&stats, &owner, HM_STATS_INTERVAL);
        pthread_mutex_unlock(&writing);
    }
}

/* The counters of all communicators that there are or were. */
static void process_write(void)
{
    hm_stats_t whole;
    if (settings_get()->prometheus_file == NULL) return;
    pthread_rwlock_rdlock(&lock);
    stats_copy(&whole, &ended);
    for (hm_entry_t *entry = table; entry != NULL; entry = entry->hh.next) stats_sum(&whole, &entry->comm.stats);
    pthread_rwlock_unlock(&lock);
    prometheus_write(&whole);
}

static void reports_write(void)
{
    changes_write();
    if (!ticker_stopping()) process_write();
}

static void reports_begin(void)
{
    const hm_settings_t *settings = settings_get();
    if ((settings->stats_file != NULL || settings->prometheus_file != NULL) && settings->stats_interval > 0)
        ticker_start(reports_write, settings->stats_interval);
}

/* Apart from comm_release, to keep that small. */
__attribute__((noinline)) static void comm_end(hm_comm_t *comm)
{
    layers_forget(comm->handle);
    pthread_mutex_lock(&writing);
    comm_write(comm);
    pthread_mutex_unlock(&writing);
    state_destroy(comm);
    entry_free((hm_entry_t *)comm);
}

void comm_release(hm_comm_t *comm)
{
    if (atomic_fetch_sub_explicit(&comm->users, 1, memory_order_acq_rel) == 1) comm_end(comm);
}

static hm_entry_t *entry_take(void)
{
    hm_entry_t *entry = free_entries;
    if (entry == NULL) return calloc(1, sizeof *entry);
    free_entries = entry->next_free;
    return entry;
}

/* Sets all but `users`: a thread that remembers the record's earlier use may look at that now. */
static void entry_fill(hm_entry_t *entry, ncclComm_t handle, const hm_real_t *real, bool blocking, int ranks, int rank)
{
    hm_comm_t *comm = &entry->comm;
    entry->told = 0;
    comm->handle = handle;
    comm->real = real;
    comm->blocking = blocking;
    comm->ranks = ranks;
    comm->rank = rank;
    comm->number = made++;
    comm->began_ms = stats_now_ms();
    comm->state = NULL;
    memset(&comm->stats, 0, sizeof comm->stats);
    atomic_store_explicit(&comm->seated, 0, memory_order_relaxed);
    atomic_store_explicit(&comm->aborted, 0, memory_order_relaxed);
    atomic_store_explicit(&comm->fate, 0, memory_order_relaxed);
    atomic_store_explicit(&comm->use, HM_USE_NONE, memory_order_relaxed);
    atomic_store_explicit(&comm->cancelled, 0, memory_order_relaxed);
}

/* false: no memory, and the entry is not in the table. */
static bool entry_insert(hm_entry_t *entry)
{
    HASH_ADD_PTR(table, comm.handle, entry);
    if (entry->hh.tbl == NULL) return false;
    atomic_store_explicit(&entry->comm.users, 1, memory_order_release);
    return true;
}

/* Takes a handle's entry out of the table, under the write lock; the caller gets the table's reference. */
static hm_comm_t *entry_remove(ncclComm_t handle)
{
    hm_entry_t *entry = NULL;
    HASH_FIND_PTR(table, &handle, entry);
    if (entry == NULL) return NULL;
    HASH_DEL(table, entry);
    stats_sum(&ended, &entry->comm.stats); /* what calls under way will add is lost: sums must never shrink */
    atomic_store(&entry->comm.cancelled, 1);
    return &entry->comm;
}

/* Replaces an older record of the handle: NCCL may give the memory of an ended communicator to the next one. */
static bool comm_insert(ncclComm_t handle, const hm_real_t *real, bool blocking, int ranks, int rank)
{
    bool done = false;
    pthread_rwlock_wrlock(&lock);
    hm_comm_t *old = entry_remove(handle);
    hm_entry_t *entry = entry_take();
    if (entry != NULL) {
        entry_fill(entry, handle, real, blocking, ranks, rank);
        done = entry_insert(entry);
        if (!done) {
            entry->next_free = free_entries;
            free_entries = entry;
        }
    }
    pthread_rwlock_unlock(&lock);
    if (old != NULL) comm_release(old);
    return done;
}

void comm_add(ncclComm_t handle, const hm_real_t *real, bool blocking)
{
    int ranks = 0, rank = 0;
    if (blocking && (real->ncclCommCount == NULL || real->ncclCommCount(handle, &ranks) != ncclSuccess ||
                     real->ncclCommUserRank == NULL || real->ncclCommUserRank(handle, &rank) != ncclSuccess))
        ranks = 0;
    log_complaints(ranks > 0 ? rank : HM_RANK_NONE);
    if (comm_insert(handle, real, blocking, ranks, rank))
        reports_begin();
    else
        log_say(HM_LOG_WARN, HM_RANK_NONE,
                "no memory to record a communicator: rank %d of %d leaves its calls alone, and "
                "the other ranks will wait for it",
                rank, ranks);
}

hm_comm_t *comm_find(ncclComm_t handle)
{
    size_t at = remembered_at(handle);
    hm_comm_t *comm = remembered[at].comm;
    if (remembered[at].handle == handle && comm != NULL && comm_hold(comm)) {
        if (comm->handle == handle && !atomic_load_explicit(&comm->cancelled, memory_order_acquire)) return comm;
        comm_release(comm);
    }
    hm_entry_t *entry = NULL;
    pthread_rwlock_rdlock(&lock);
    HASH_FIND_PTR(table, &handle, entry);
    if (entry != NULL) atomic_fetch_add_explicit(&entry->comm.users, 1, memory_order_relaxed);
    pthread_rwlock_unlock(&lock);
    if (entry == NULL) return NULL;
    remembered[at].handle = handle;
    remembered[at].comm = &entry->comm;
    return &entry->comm;
}

const hm_real_t *comm_real(ncclComm_t handle, const hm_real_t *other)
{
    hm_comm_t *comm = handle != NULL ? comm_find(handle) : NULL;
    if (comm == NULL) return other;
    const hm_real_t *real = comm->real;
    comm_release(comm);
    return real;
}

void comm_say(hm_log_t level, const hm_comm_t *comm, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_list(level, comm != NULL && comm->ranks > 0 ? comm->rank : HM_RANK_NONE, format, arguments);
    va_end(arguments);
}

void comm_leave(hm_comm_t *comm, hm_reason_t reason)
{
    if (stats_left_count(&comm->stats, reason))
        comm_say(HM_LOG_INFO, comm, "communicator %u: call left alone: %s", comm->number, stats_reason_text(reason));
}

void comm_cancel(ncclComm_t handle)
{
    hm_comm_t *comm = comm_find(handle);
    if (comm == NULL) return;
    atomic_store(&comm->aborted, 1); /* NCCL's work ends here, but ranks of the node may still read this one's memory */
    atomic_store(&comm->cancelled, 1);
    comm_use_wait(comm);
    comm_release(comm);
}

hm_comm_t *comm_take(ncclComm_t handle)
{
    pthread_rwlock_wrlock(&lock);
    hm_comm_t *comm = entry_remove(handle);
    pthread_rwlock_unlock(&lock);
    if (comm != NULL) comm_use_wait(comm);
    return comm;
}

void comm_drop(ncclComm_t handle)
{
    hm_comm_t *comm = comm_take(handle);
    if (comm != NULL) comm_release(comm);
}

/* Jobs often end without destroying their communicators; their counters must not be lost. Other threads may still run,
 * or may have died with the lock held: no wait is long, and nothing is freed. */
__attribute__((destructor)) static void comm_write_all(void)
{
    if (!ticker_stop()) return; /* its line does not get into the file, nor would ours */
    if (pthread_rwlock_tryrdlock(&lock) != 0) return;
    for (hm_entry_t *entry = table; entry != NULL; entry = entry->hh.next) comm_write(&entry->comm);
    pthread_rwlock_unlock(&lock);
}

/* The parent's communicators stay with the parent: their records are neither written nor freed here. */
static void comm_after_fork(void)
{
    lock = (pthread_rwlock_t)PTHREAD_RWLOCK_INITIALIZER;
    writing = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    table = NULL;
    memset(&ended, 0, sizeof ended);
    memset(remembered, 0, sizeof remembered);
}

__attribute__((constructor)) static void comm_fork_prepare(void)
{
    static hm_fork_handler_t handler = {.run = comm_after_fork};
    fork_handler_add(&handler);
}
