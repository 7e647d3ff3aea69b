/* Description: what communicators and threads hold in the front is what shim/MEMORY.md says. */
#define _GNU_SOURCE
#include "counted.h"
#include "front_double.h"

#include "door/legs.h"

#include <link.h>
#include <pthread.h>
#include <string.h>

/* A second set of communicators finds the records of the first. */
static void memory_of_communicators(void **state)
{
    size_t c = 1000, records = 0;
    (void)state;
    counted_switch(true);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < c; i++) comm_add(HANDLE(i), &front_real, true);
        COUNTED_BELOW(counted.held[COUNTED_HOST], 2560 * c);
        for (size_t i = 0; i < c; i++) comm_drop(HANDLE(i));
        if (round == 0) records = counted.held[COUNTED_HOST];
        assert_int_equal(counted.held[COUNTED_HOST], records);
    }
    counted_switch(false);
    assert_true(records > 0);
}

static void *group_record(void *argument)
{
    size_t n = *(size_t *)argument;
    counted_switch(true);
    assert_non_null(legs_record((int)n));
    for (size_t i = 0; i < 2 * n; i++) assert_true(legs_add(legs_mine(), &(hm_leg_t){.peer = (int)(i / 2)}));
    counted_switch(false);
    *(size_t *)argument = counted.held[COUNTED_HOST];
    return NULL;
}

static void memory_of_threads(void **state)
{
    static const size_t ranks[] = {8, 64, 100, 256, 1000, 1024};
    (void)state;
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        size_t n = ranks[i], before = counted.held[COUNTED_HOST], bytes = n;
        pthread_t thread;
        pthread_create(&thread, NULL, group_record, &bytes);
        pthread_join(thread, NULL);
        assert_int_equal(counted.held[COUNTED_HOST], before); /* it went with the thread */
        bytes -= before;
        if (n <= HM_INLINE_PEERS)
            assert_int_equal(bytes, 0);
        else
            COUNTED_BELOW(bytes, 289 * n);
    }
}

static void *group_lists(void *argument)
{
    size_t n = *(size_t *)argument;
    static size_t list[1024];
    hm_comm_t comm = {.ranks = (int)n};
    hm_lists_t lists = {list, list, list, list};
    hm_leg_t leg = {.comm = &comm, .kind = HM_LEG_ALLTOALL_LISTS};
    counted_switch(true);
    assert_true(legs_add(legs_mine(), &leg) && legs_lists_keep(legs_mine(), &lists));
    counted_switch(false);
    *(size_t *)argument = counted.held[COUNTED_HOST];
    return NULL;
}

static void memory_of_lists(void **state)
{
    (void)state;
    for (size_t n = 8; n <= 1024; n *= 2) {
        size_t before = counted.held[COUNTED_HOST], bytes = n;
        pthread_t thread;
        pthread_create(&thread, NULL, group_lists, &bytes);
        pthread_join(thread, NULL);
        assert_int_equal(counted.held[COUNTED_HOST], before); /* they went with the thread */
        COUNTED_BELOW(bytes - before, 64 * n);
    }
}

static int tls_find(struct dl_phdr_info *info, size_t size, void *bytes)
{
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS) *(size_t *)bytes = info->dlpi_phdr[i].p_memsz;
    return 1; /* the first one is the program, which the front is part of */
}

static void memory_of_every_thread(void **state)
{
    size_t bytes = 0;
    (void)state;
    dl_iterate_phdr(tls_find, &bytes);
    COUNTED_BELOW(bytes, 16384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(memory_of_communicators, front_reset),
        cmocka_unit_test_setup(memory_of_threads, front_reset),
        cmocka_unit_test_setup(memory_of_lists, front_reset),
        cmocka_unit_test_setup(memory_of_every_thread, front_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
