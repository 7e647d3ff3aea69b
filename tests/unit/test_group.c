#define _GNU_SOURCE
/* Description: which calls of a group are held back, what the library and NCCL get of them, and in which order. */
#include "group_calls.h"

#include "base/fork.h"
#include "base/settings.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void whole_group_reaches_call_run_by_peer(void **state)
{
    (void)state;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.runs, 1);
    assert_ptr_equal(front_double.call.send[3], BUFF(3));
    assert_ptr_equal(front_double.call.recv[0], BUFF(1000));
    assert_int_equal(front_double.call.send_bytes[2], 48);
    assert_int_equal(front_double.call.recv_bytes[3], 92);
    assert_int_equal(front_double.call.refusal, HM_REASON_NONE);
    assert_string_equal(front_double.calls, "< > ");
}

static void refused_group_is_replayed_in_order(void **state)
{
    (void)state;
    front_double.answer = HM_ANSWER_LEAVE;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_string_equal(front_double.calls, "< > < R3 S3 R2 S2 R1 S1 R0 S0 > ");
    front_double.enter = false; /* left alone without asking: NCCL's group was never left */
    front_double.calls[0] = 0;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_string_equal(front_double.calls, "< R3 S3 R2 S2 R1 S1 R0 S0 > ");
}

static void replay_is_told_of_where_it_is_asked_for(void **state)
{
    (void)state;
    front_double.answer = HM_ANSWER_LEAVE;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.replayed, 0);
    front_double.calls[0] = 0;
    front_double.answer = HM_ANSWER_LEAVE_AND_TELL;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.replayed, 1);
    front_double.send = ncclRemoteError; /* what NCCL did not take is not timed */
    front_double.calls[0] = 0;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclRemoteError);
    assert_int_equal(front_double.replayed, 1);
}

static void named_call_is_told_of_once_it_is_made_where_it_is_asked_for(void **state)
{
    for (int name = 0; name < CALL_NAMES; name++) {
        comm_drop(HANDLE(1));
        front_reset(state);
        comm_add(HANDLE(1), &front_real, true);
        front_double.answer = HM_ANSWER_LEAVE;
        assert_int_equal(call_by_name(name), ncclSuccess);
        assert_string_equal(front_double.calls, "A ");
        assert_int_equal(front_double.replayed, 0);
        front_double.answer = HM_ANSWER_LEAVE_AND_TELL;
        assert_int_equal(call_by_name(name), ncclSuccess);
        assert_int_equal(front_double.replayed, 1);
        front_double.send = ncclRemoteError; /* what NCCL did not take is not timed */
        assert_int_equal(call_by_name(name), ncclRemoteError);
        assert_int_equal(front_double.replayed, 1);
        comm_drop(HANDLE(1)); /* nothing holds it any more */
        assert_int_equal(front_double.destroyed, 1);
    }
}

static void result_of_real_end_is_handed_on(void **state)
{
    (void)state;
    front_double.answer = HM_ANSWER_LEAVE;
    front_double.end = ncclInProgress;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclInProgress);
}

/* NCCL would say it again at the end; should it not, the error must not be lost. */
static void error_of_replayed_send_is_returned_at_end(void **state)
{
    (void)state;
    front_double.answer = HM_ANSWER_LEAVE;
    front_double.send = ncclRemoteError;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclRemoteError);
    front_double.send = ncclSuccess;
    front_double.calls[0] = 0;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclSuccess);
}

static void error_of_flushed_send_is_returned_at_end(void **state)
{
    (void)state;
    front_double.send = ncclRemoteError;
    group_begin();
    send_to(1, 1);
    assert_int_equal(group_flush(HM_REASON_MIXED), ncclSuccess);
    assert_int_equal(group_finish(), ncclRemoteError);
    front_double.send = ncclSuccess;
    front_double.calls[0] = 0;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclSuccess);
}

static int outer_open, alone;

static ncclResult_t outer_start(void)
{
    outer_open++;
    return ncclSuccess;
}

static ncclResult_t outer_end(void)
{
    return outer_open-- > 0 ? ncclSuccess : ncclInvalidUsage;
}

static ncclResult_t outer_send(const void *buffer, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                               cudaStream_t stream)
{
    (void)buffer, (void)count, (void)type, (void)peer, (void)comm, (void)stream;
    alone += outer_open == 0;
    return ncclSuccess;
}

/* Outside its own NCCL's group a send would wait for its receive. */
static void group_of_another_nccl_inside_leaves_the_outer_one_open(void **state)
{
    (void)state;
    hm_real_t outer = front_real;
    outer.ncclGroupStart = outer_start, outer.ncclGroupEnd = outer_end, outer.ncclSend = outer_send;
    outer_open = alone = 0;
    assert_int_equal(hook_ncclGroupStart(&outer, NULL), ncclSuccess);
    assert_int_equal(group_begin(), ncclSuccess);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(hook_ncclSend(&outer, BUFF(1), 1, ncclInt8, 1, HANDLE(50), NULL), ncclSuccess);
    assert_int_equal(hook_ncclGroupEnd(&outer, NULL), ncclSuccess);
    assert_int_equal(alone, 0);
    assert_int_equal(outer_open, 0);
    assert_string_equal(front_double.calls, "< > ");
}

/* NCCL hears of the start at once, so its refusal is the job's to see, and nothing is held back. */
static void group_that_nccl_will_not_open_is_none(void **state)
{
    (void)state;
    front_double.start = ncclSystemError;
    assert_int_equal(group_begin(), ncclSystemError);
    assert_int_equal(hm_group.depth, 0);
    assert_false(group_capturing());
    assert_string_equal(front_double.calls, "< ");
}

static void *large(void *unused)
{
    (void)unused;
    front_double.ranks = 300;
    comm_add(HANDLE(2), &front_real, true);
    for (int i = 0; i < 2; i++) {
        capture_all(300, 2);
        assert_int_equal(group_finish(), ncclSuccess);
    }
    assert_ptr_equal(front_double.call.recv[299], BUFF(1299));
    assert_int_equal(front_double.call.send_bytes[64], 4 * 74);
    comm_drop(HANDLE(2));
    return front_double.runs == 2 ? BUFF(0) : NULL;
}

/* Room for more than 64 peers is freed with its thread (a leak checker must agree). */
static void large_group_in_a_thread(void **state)
{
    pthread_t thread;
    void *result = NULL;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, large, NULL), 0);
    pthread_join(thread, &result);
    assert_non_null(result);
}

static void *drop(void *unused)
{
    (void)unused;
    comm_drop(HANDLE(1));
    return NULL;
}

/* A watchdog's abort between the calls of a group: the record stays, NCCL does not get a handle that it has freed. */
static void communicator_dropped_while_captured(void **state)
{
    pthread_t thread;
    (void)state;
    capture_all(4, 1);
    pthread_create(&thread, NULL, drop, NULL);
    pthread_join(thread, NULL);
    assert_int_equal(front_double.destroyed, 0);
    assert_int_equal(group_finish(), ncclInvalidUsage);
    assert_int_equal(front_double.destroyed, 1);
    assert_int_equal(front_double.runs, 0);
    assert_string_equal(front_double.calls, "< > ");
}

static void call_again(const hm_call_t *call)
{
    const void *before = call->send[2];
    group_begin();
    hook_ncclSend(&front_real, BUFF(99), 1, ncclInt32, 2, HANDLE(1), NULL);
    group_finish();
    assert_ptr_equal(call->send[2], before);
}

/* A call from inside call_run goes straight to NCCL and leaves the record alone. */
static void call_from_inside_call_run(void **state)
{
    (void)state;
    front_double.inside = call_again;
    capture_all(4, 1);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_string_equal(front_double.calls, "< < S2 > > ");
    front_double.calls[0] = 0;
    assert_int_equal(hook_ncclAlltoAll(&front_real, BUFF(0), BUFF(500), 8, ncclInt32, HANDLE(1), NULL), ncclSuccess);
    assert_string_equal(front_double.calls, "< S2 > ");
    assert_int_equal(front_double.runs, 2);
    assert_int_equal(hm_group.depth, 0);
}

/* A fork in the middle of a group: of the parent's communicators the child knows nothing, its own are as any other, and
 * the parent's group is captured as before. Children that left all alone had ranks that waited for them. */
static void child_of_fork_starts_anew(void **state)
{
    int status = -1;
    (void)state;
    assert_int_equal(fork_watch(), 0);
    group_begin();
    send_to(1, 1);
    pid_t child = fork();
    if (child == 0) {
        front_double.calls[0] = 0;
        group_begin();
        send_to(1, 1);
        group_finish();
        bool passed = strcmp(front_double.calls, "< S1 > ") == 0 && front_double.runs == 0;
        comm_add(HANDLE(9), &front_real, true);
        capture_all(4, 9);
        _exit(group_finish() == ncclSuccess && passed && front_double.runs == 1 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_string_equal(front_double.calls, "< ");
    assert_int_equal(group_finish(), ncclSuccess);
    assert_string_equal(front_double.calls, "< S1 > ");
}

static void reasons_are_counted_per_communicator(void **state)
{
    (void)state;
    group_begin();
    send_to(1, 1);
    group_finish();
    hm_comm_t *comm = comm_find(HANDLE(1));
    assert_int_equal(comm->stats.left[HM_REASON_PARTIAL], 1);
    comm_release(comm);
    assert_string_equal(stats_reason_name(HM_REASON_SECOND_COMM), "second_comm");
    assert_string_equal(stats_reason_text(HM_REASON_SECOND_COMM), "the group uses more than one communicator");
}

/* A call that reaches NCCL by another way finds the group open. */
static void start_reaches_nccl_at_once(void **state)
{
    (void)state;
    group_begin();
    assert_string_equal(front_double.calls, "< ");
    send_to(1, 1);
    assert_string_equal(front_double.calls, "< ");
    group_finish();
    assert_string_equal(front_double.calls, "< S1 > ");
}

int main(void)
{
    setenv("HIERMOE_TRUST", "shape", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(whole_group_reaches_call_run_by_peer, group_set_up),
        cmocka_unit_test_setup(refused_group_is_replayed_in_order, group_set_up),
        cmocka_unit_test_setup(replay_is_told_of_where_it_is_asked_for, group_set_up),
        cmocka_unit_test_setup(named_call_is_told_of_once_it_is_made_where_it_is_asked_for, group_set_up),
        cmocka_unit_test_setup(result_of_real_end_is_handed_on, group_set_up),
        cmocka_unit_test_setup(error_of_replayed_send_is_returned_at_end, group_set_up),
        cmocka_unit_test_setup(error_of_flushed_send_is_returned_at_end, group_set_up),
        cmocka_unit_test_setup(group_of_another_nccl_inside_leaves_the_outer_one_open, group_set_up),
        cmocka_unit_test_setup(group_that_nccl_will_not_open_is_none, group_set_up),
        cmocka_unit_test_setup(large_group_in_a_thread, group_set_up),
        cmocka_unit_test_setup(communicator_dropped_while_captured, group_set_up),
        cmocka_unit_test_setup(call_from_inside_call_run, group_set_up),
        cmocka_unit_test_setup(child_of_fork_starts_anew, group_set_up),
        cmocka_unit_test_setup(reasons_are_counted_per_communicator, group_set_up),
        cmocka_unit_test_setup(start_reaches_nccl_at_once, group_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
