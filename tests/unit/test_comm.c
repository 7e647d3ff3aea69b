#define _GNU_SOURCE
#include "front_double.h"

#include "door/hooks.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

static void unknown_handle_is_not_found(void **state)
{
    (void)state;
    assert_null(comm_find(HANDLE(50)));
    assert_null(comm_find(NULL));
    comm_drop(HANDLE(50));
    comm_cancel(HANDLE(50));
    assert_ptr_equal(comm_real(HANDLE(50), &front_real), &front_real);
}

static void new_communicator_of_an_old_handle(void **state)
{
    (void)state;
    comm_add(HANDLE(1), &front_real, true);
    hm_comm_t *old = comm_find(HANDLE(1));
    assert_int_equal(old->ranks, 4);
    comm_drop(HANDLE(1));
    assert_int_equal(old->cancelled, 1);
    assert_null(comm_find(HANDLE(1)));
    front_double.ranks = 7;
    comm_add(HANDLE(1), &front_real, true);
    hm_comm_t *new = comm_find(HANDLE(1));
    assert_ptr_not_equal(old, new);
    assert_int_equal(new->ranks, 7);
    assert_int_equal(new->cancelled, 0);
    assert_int_not_equal(new->number, old->number);
    assert_int_equal(front_double.destroyed, 0);
    comm_release(old);
    assert_int_equal(front_double.destroyed, 1);
    comm_release(new);
    comm_drop(HANDLE(1));
    assert_int_equal(front_double.destroyed, 2);
}

/* A destroy that we did not see, made through dlsym: the handle comes again. */
static void handle_added_twice(void **state)
{
    (void)state;
    comm_add(HANDLE(2), &front_real, true);
    comm_release(comm_find(HANDLE(2)));
    front_double.ranks = 2;
    comm_add(HANDLE(2), &front_real, true);
    hm_comm_t *comm = comm_find(HANDLE(2));
    assert_int_equal(comm->ranks, 2);
    assert_int_equal(front_double.destroyed, 1);
    comm_release(comm);
    comm_drop(HANDLE(2));
}

static void reused_record_is_not_taken_for_the_old_communicator(void **state)
{
    (void)state;
    comm_add(HANDLE(3), &front_real, true);
    hm_comm_t *first = comm_find(HANDLE(3));
    comm_release(first);
    comm_drop(HANDLE(3));
    comm_add(HANDLE(4), &front_real, true);
    hm_comm_t *second = comm_find(HANDLE(4));
    assert_ptr_equal(first, second); /* the memory is the same */
    assert_null(comm_find(HANDLE(3)));
    comm_release(second);
    comm_drop(HANDLE(4));
}

static void cancelled_communicator_stays_known(void **state)
{
    (void)state;
    comm_add(HANDLE(5), &front_real, true);
    comm_cancel(HANDLE(5));
    hm_comm_t *comm = comm_find(HANDLE(5));
    assert_non_null(comm);
    assert_int_equal(comm->cancelled, 1);
    assert_int_equal(comm->aborted, 1); /* its scratch stays: NCCL ended, near ranks may still read it */
    comm_release(comm);
    comm_drop(HANDLE(5));
}

static void size_of_non_blocking_communicator_is_not_asked(void **state)
{
    (void)state;
    comm_add(HANDLE(6), &front_real, false);
    hm_comm_t *comm = comm_find(HANDLE(6));
    assert_int_equal(comm->ranks, 0);
    assert_false(comm->blocking);
    comm_release(comm);
    comm_drop(HANDLE(6));
}

static ncclResult_t ended(ncclComm_t comm)
{
    (void)comm;
    return ncclSuccess;
}

/* Only after an abort may other ranks still be at work on memory of this one. */
static void end_by_abort_is_told_from_others(void **state)
{
    hm_real_t real = front_real;
    (void)state;
    real.ncclCommAbort = real.ncclCommDestroy = real.ncclCommFinalize = ended;
    comm_add(HANDLE(7), &real, true);
    assert_int_equal(hook_ncclCommDestroy(&real, HANDLE(7)), ncclSuccess);
    comm_add(HANDLE(7), &real, true);
    assert_int_equal(hook_ncclCommFinalize(&real, HANDLE(7)), ncclSuccess);
    assert_int_equal(front_double.destroyed, 2);
    assert_int_equal(front_double.aborted, 0);
    comm_add(HANDLE(7), &real, true);
    assert_int_equal(hook_ncclCommAbort(&real, HANDLE(7)), ncclSuccess);
    assert_int_equal(front_double.destroyed, 3);
    assert_int_equal(front_double.aborted, 1);
}

typedef struct use {
    hm_comm_t *comm;
    void (*lengthen)(hm_comm_t *comm);
    atomic_bool begun, ending;
} use_t;

/* Uses the handle for half a second. */
static void *handle_use(void *memory)
{
    use_t *use = memory;
    if (!comm_use_begin(use->comm)) return NULL;
    if (use->lengthen != NULL) use->lengthen(use->comm);
    atomic_store(&use->begun, true);
    nanosleep(&(struct timespec){.tv_nsec = 500 * 1000000}, NULL);
    atomic_store(&use->ending, true);
    comm_use_end(use->comm);
    return NULL;
}

/* NCCL ends a call that waits for other ranks; one that does not is over soon, and may not meet with a freed handle. */
static void end_waits_for_short_uses_of_the_handle(void **state)
{
    (void)state;
    for (int taken = 0; taken < 2; taken++)
        for (int longer = 0; longer < 2; longer++) {
            pthread_t thread;
            comm_add(HANDLE(11), &front_real, true);
            use_t use = {.comm = comm_find(HANDLE(11)), .lengthen = longer ? comm_use_lengthen : NULL};
            assert_int_equal(pthread_create(&thread, NULL, handle_use, &use), 0);
            while (!atomic_load(&use.begun)) sched_yield();
            hm_comm_t *comm = taken ? comm_take(HANDLE(11)) : NULL;
            if (!taken) comm_cancel(HANDLE(11));
            assert_int_equal(atomic_load(&use.ending), !longer);
            pthread_join(thread, NULL);
            assert_false(comm_use_begin(use.comm));
            comm_release(use.comm);
            if (taken)
                comm_release(comm);
            else
                comm_drop(HANDLE(11));
        }
}

static int cancelled_meanwhile;

static ncclResult_t shrunk(ncclComm_t comm, int *excluded, int count, ncclComm_t *child, ncclConfig_t *config,
                           int flags)
{
    (void)excluded, (void)count, (void)config, (void)flags;
    hm_comm_t *parent = comm_find(comm);
    cancelled_meanwhile = parent->cancelled;
    comm_release(parent);
    *child = HANDLE(9);
    return ncclSuccess;
}

/* NCCL ends what the parent is at, so waits of ours must end as well. */
static void shrink_with_abort_ends_waits_of_the_parent(void **state)
{
    hm_real_t real = front_real;
    ncclComm_t child;
    (void)state;
    real.ncclCommShrink = shrunk;
    comm_add(HANDLE(8), &real, true);
    assert_int_equal(hook_ncclCommShrink(&real, HANDLE(8), NULL, 0, &child, NULL, 0), ncclSuccess);
    assert_int_equal(cancelled_meanwhile, 0);
    assert_int_equal(hook_ncclCommShrink(&real, HANDLE(8), NULL, 0, &child, NULL, HM_NCCL_SHRINK_ABORT), ncclSuccess);
    assert_int_equal(cancelled_meanwhile, 1);
    comm_drop(HANDLE(9));
    comm_drop(HANDLE(8));
}

static ncclResult_t made(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    (void)ranks, (void)id, (void)rank, (void)config;
    *comm = HANDLE(10);
    return ncclSuccess;
}

/* Of a new communicator with such a config; environment NULL: not set. */
static bool blocking_with(const hm_real_t *real, const char *environment, int blocking)
{
    ncclUniqueId id = {{0}};
    ncclConfig_t config = {sizeof config, 0xcafebeef, 22809, blocking};
    ncclComm_t comm;
    unsetenv("NCCL_COMM_BLOCKING");
    if (environment != NULL) setenv("NCCL_COMM_BLOCKING", environment, 1);
    assert_int_equal(hook_ncclCommInitRankConfig(real, &comm, 4, id, 0, &config), ncclSuccess);
    unsetenv("NCCL_COMM_BLOCKING");
    hm_comm_t *known = comm_find(comm);
    assert_non_null(known);
    bool blocks = known->blocking;
    comm_release(known);
    comm_drop(comm);
    return blocks;
}

/* As in NCCL: the environment before the config, the config before the default. Text is read by strtoll: what begins
 * with no number is 0. Each in a copy of NCCL of its own, since a copy reads it once. */
static void environment_decides_what_blocks(void **state)
{
    static const struct {
        const char *environment;
        int config;
        bool blocks;
    } cases[] = {
        {NULL, HM_NCCL_UNDEF_INT, true},
        {NULL, 0, false},
        {"", 0, false},
        {"1", 0, true},
        {"0", 1, false},
        {"0x1", 0, true},
        {" 1 ", 0, true},
        {"1yes", 0, true},
        {"yes", 1, false},
        {"2", 1, true},
        {"-1", 0, false},
        {"4294967296", 1, false},
        {"99999999999999999999", 1, true},
    };
    hm_real_t real = front_real;
    (void)state;
    real.ncclCommInitRankConfig = made;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        real.number = 1 + (int)i;
        assert_true(real.number < HM_REALS);
        assert_int_equal(blocking_with(&real, cases[i].environment, cases[i].config), cases[i].blocks);
    }
}

/* A rank whose environment changes later must not differ from the others. */
static void environment_is_read_once(void **state)
{
    hm_real_t real = front_real;
    (void)state;
    real.ncclCommInitRankConfig = made;
    real.number = HM_REALS - 1;
    assert_true(blocking_with(&real, NULL, HM_NCCL_UNDEF_INT));
    assert_true(blocking_with(&real, "0", HM_NCCL_UNDEF_INT));
    real.number = HM_REALS - 2;
    assert_false(blocking_with(&real, "0", HM_NCCL_UNDEF_INT));
    assert_false(blocking_with(&real, "1", 1));
    assert_false(blocking_with(&real, NULL, 1));
}

#define THREADS 4
#define ROUNDS 20000
#define HANDLES 3

static void *find_and_drop(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < ROUNDS; i++) {
        int n = 20 + (int)(rand_r(&seed) % HANDLES);
        if (rand_r(&seed) % 64 == 0)
            comm_drop(HANDLE(n));
        else if (rand_r(&seed) % 8 == 0)
            comm_add(HANDLE(n), &front_real, true);
        hm_comm_t *comm = comm_find(HANDLE(n));
        if (comm == NULL) continue;
        if (comm->handle != HANDLE(n) || comm->ranks != 4) return argument;
        comm_release(comm);
    }
    return NULL;
}

static void threads_find_while_others_drop_and_add(void **state)
{
    pthread_t thread[THREADS];
    (void)state;
    for (uintptr_t i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, find_and_drop, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(thread[i], &wrong);
        assert_null(wrong);
    }
    for (int n = 0; n < HANDLES; n++) {
        comm_drop(HANDLE(20 + n));
        assert_null(comm_find(HANDLE(20 + n)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(unknown_handle_is_not_found, front_reset),
        cmocka_unit_test_setup(new_communicator_of_an_old_handle, front_reset),
        cmocka_unit_test_setup(handle_added_twice, front_reset),
        cmocka_unit_test_setup(reused_record_is_not_taken_for_the_old_communicator, front_reset),
        cmocka_unit_test_setup(cancelled_communicator_stays_known, front_reset),
        cmocka_unit_test_setup(end_waits_for_short_uses_of_the_handle, front_reset),
        cmocka_unit_test_setup(size_of_non_blocking_communicator_is_not_asked, front_reset),
        cmocka_unit_test_setup(end_by_abort_is_told_from_others, front_reset),
        cmocka_unit_test_setup(shrink_with_abort_ends_waits_of_the_parent, front_reset),
        cmocka_unit_test_setup(environment_decides_what_blocks, front_reset),
        cmocka_unit_test_setup(environment_is_read_once, front_reset),
        cmocka_unit_test_setup(threads_find_while_others_drop_and_add, front_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
