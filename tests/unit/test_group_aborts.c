/* Description: a watchdog aborts the communicator while the ranks agree on a call, or while NCCL gets what they left
 * alone: NCCL never gets a handle that it has freed, and the job hears of it. */
#include "group_calls.h"

#include <stdlib.h>
#include <string.h>

static void abort_now(const hm_call_t *call)
{
    comm_cancel(call->comm->handle);
}

/* call_run has looked for an abort a moment ago: this one it has missed. */
static int abort_set_up(void **state)
{
    front_double.inside = NULL;
    group_set_up(state);
    front_double.answer = HM_ANSWER_LEAVE;
    front_double.inside = abort_now;
    return 0;
}

static void group_is_not_made(void **state)
{
    (void)state;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclInvalidUsage);
    assert_string_equal(front_double.calls, "< > ");
}

static void flushed_group_is_not_made(void **state)
{
    (void)state;
    assert_int_equal(group_begin(), ncclSuccess);
    assert_int_equal(call_by_name(0), ncclSuccess);
    assert_int_equal(group_flush(HM_REASON_MIXED), ncclInvalidUsage);
    assert_int_equal(front_double.runs, 1);
    assert_string_equal(front_double.calls, "> < "); /* open, as it was for the job */
    assert_int_equal(group_finish(), ncclSuccess);
}

static void named_call_is_not_made(void **state)
{
    for (int name = 0; name < CALL_NAMES; name++) {
        abort_set_up(state);
        assert_int_equal(call_by_name(name), ncclInvalidUsage);
        assert_int_equal(front_double.runs, 1);
        assert_string_equal(front_double.calls, "");
        comm_drop(HANDLE(1)); /* nothing holds it any more */
        assert_int_equal(front_double.destroyed, 1);
    }
}

/* The thread that holds the group gives up itself: nobody is asked about what is held. */
static int aborts;

static ncclResult_t aborted(ncclComm_t comm)
{
    (void)comm;
    aborts++;
    return ncclSuccess;
}

static ncclResult_t revoked(ncclComm_t comm, int flags)
{
    (void)flags;
    return aborted(comm);
}

static void own_abort_inside_a_group_asks_nobody(void **state)
{
    hm_real_t real = front_real;
    real.ncclCommAbort = aborted;
    real.ncclCommRevoke = revoked;
    for (int name = 0; name < CALL_NAMES; name++)
        for (int revokes = 0; revokes < 2; revokes++) {
            group_set_up(state);
            aborts = 0;
            assert_int_equal(group_begin(), ncclSuccess);
            assert_int_equal(call_by_name(name), ncclSuccess);
            if (revokes) assert_int_equal(hook_ncclCommRevoke(&real, HANDLE(1), 0), ncclSuccess);
            if (!revokes) assert_int_equal(hook_ncclCommAbort(&real, HANDLE(1)), ncclSuccess);
            assert_int_equal(aborts, 1);
            assert_int_equal(front_double.runs, 0);
            assert_non_null(strchr(front_double.calls, 'A')); /* as the job made it before */
            group_finish();
        }
}

/* The ranks of another communicator may be about to agree: they hear of its call. */
static void own_abort_still_asks_ranks_of_others(void **state)
{
    hm_real_t real = front_real;
    real.ncclCommAbort = aborted;
    group_set_up(state);
    comm_add(HANDLE(2), &front_real, true);
    front_double.answer = HM_ANSWER_LEAVE;
    assert_int_equal(group_begin(), ncclSuccess);
    assert_int_equal(call_by_name(0), ncclSuccess);
    assert_int_equal(hook_ncclCommAbort(&real, HANDLE(2)), ncclSuccess);
    assert_int_equal(front_double.runs, 1);
    assert_int_equal(group_finish(), ncclSuccess);
}

static int use[16], uses;

static void use_note(ncclComm_t handle)
{
    hm_comm_t *comm = comm_find(handle);
    use[uses++] = atomic_load(&comm->use);
    comm_release(comm);
}

static int use_set_up(void **state)
{
    group_set_up(state);
    front_double.answer = HM_ANSWER_LEAVE;
    front_double.made = use_note;
    uses = 0;
    return 0;
}

/* An abort waits while the communicator is in use, and no longer. */
static void use_check(int calls, int kind)
{
    assert_int_equal(uses, calls);
    for (int i = 0; i < calls; i++) assert_int_equal(use[i], kind);
    hm_comm_t *comm = comm_find(HANDLE(1));
    assert_int_equal(atomic_load(&comm->use), HM_USE_NONE);
    comm_release(comm);
}

static void abort_waits_for_a_group(void **state)
{
    (void)state;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclSuccess);
    use_check(8, HM_USE_SHORT);
}

static void abort_waits_for_a_flushed_group(void **state)
{
    (void)state;
    assert_int_equal(group_begin(), ncclSuccess);
    assert_int_equal(call_by_name(0), ncclSuccess);
    assert_int_equal(group_flush(HM_REASON_MIXED), ncclSuccess);
    assert_int_equal(front_double.runs, 1);
    use_check(1, HM_USE_SHORT);
    assert_int_equal(group_finish(), ncclSuccess);
}

static void abort_waits_for_a_named_call(void **state)
{
    for (int name = 0; name < CALL_NAMES; name++) {
        use_set_up(state);
        assert_int_equal(call_by_name(name), ncclSuccess);
        use_check(1, HM_USE_LONG);
    }
}

int main(void)
{
    setenv("HIERMOE_TRUST", "shape", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(group_is_not_made, abort_set_up),
        cmocka_unit_test_setup(flushed_group_is_not_made, abort_set_up),
        cmocka_unit_test_setup(named_call_is_not_made, abort_set_up),
        cmocka_unit_test(own_abort_inside_a_group_asks_nobody),
        cmocka_unit_test(own_abort_still_asks_ranks_of_others),
        cmocka_unit_test_setup(abort_waits_for_a_group, use_set_up),
        cmocka_unit_test_setup(abort_waits_for_a_flushed_group, use_set_up),
        cmocka_unit_test_setup(abort_waits_for_a_named_call, use_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
