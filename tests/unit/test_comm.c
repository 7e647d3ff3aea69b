#define _GNU_SOURCE
#include "front_double.h"

#include <pthread.h>
#include <stdlib.h>

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
        if (!comm) continue;
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
        cmocka_unit_test_setup(size_of_non_blocking_communicator_is_not_asked, front_reset),
        cmocka_unit_test_setup(threads_find_while_others_drop_and_add, front_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
