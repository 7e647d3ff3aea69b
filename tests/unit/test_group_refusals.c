/* Description: what one rank alone has, it says in the agreement; a group may hold more than one all-to-all. */
#define _GNU_SOURCE
#include "group_calls.h"

#include "base/settings.h"

#include <stdlib.h>
#include <string.h>

/* A send to and a receive from every rank, but for what `spoil` does to the last receive. */
static void capture_spoiled(cudaStream_t stream, ncclDataType_t type, int more)
{
    front_double.calls[0] = 0;
    front_double.answer = HM_ANSWER_LEAVE;
    assert_int_equal(group_begin(), ncclSuccess);
    for (int r = 0; r < 4; r++) {
        assert_int_equal(send_to(r, 1), ncclSuccess);
        if (r < 3) assert_int_equal(recv_from(r, 1), ncclSuccess);
    }
    assert_int_equal(hook_ncclRecv(&front_real, BUFF(1003), 23, type, 3, HANDLE(1), stream), ncclSuccess);
    for (int i = 0; i < more; i++) assert_int_equal(send_to(3, 1), ncclSuccess);
}

/* NCCL moves bytes: empty tensors of one rank may be of any type. */
static void types_may_be_mixed(void **state)
{
    (void)state;
    capture_spoiled(NULL, ncclFloat64, 0);
    front_double.answer = HM_ANSWER_DONE;
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.call.refusal, HM_REASON_NONE);
    assert_int_equal(front_double.call.recv_bytes[3], 8 * 23);
    assert_int_equal(front_double.call.recv_bytes[2], 4 * 22);
}

/* What one rank alone has goes to the agreement, and from there to NCCL as it was made. */
static void what_this_rank_cannot_is_said(void **state)
{
    (void)state;
    capture_spoiled(BUFF(7), ncclInt32, 0);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.call.refusal, HM_REASON_SECOND_STREAM);
    assert_string_equal(front_double.calls, "< > < S0 R0 S1 R1 S2 R2 S3 R3 > ");
    capture_spoiled(NULL, ncclInt32, 1);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.call.refusal, HM_REASON_REPEATED);
    assert_string_equal(front_double.calls, "< > < S0 R0 S1 R1 S2 R2 S3 R3 S3 > ");
    front_double.calls[0] = 0;
    group_begin();
    for (int r = 0; r < 4; r++) {
        hook_ncclSend(&front_real, NULL, (size_t)r, ncclInt32, r, HANDLE(1), NULL);
        recv_from(r, 1);
    }
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.call.refusal, HM_REASON_ARGUMENT);
    assert_int_equal(front_double.runs, 3);
}

static volatile int after; /* work behind a call keeps it from becoming a jump */

/* A function that is believed to issue whole all-to-alls leaves a leg out on this rank: the others count on it. */
__attribute__((noinline, visibility("default"))) ncclResult_t issuer_all_to_all(void);
ncclResult_t issuer_all_to_all(void)
{
    group_begin();
    for (int r = 0; r < 3; r++) send_to(r, 1), recv_from(r, 1);
    ncclResult_t result = hook_ncclGroupEnd(&front_real, __builtin_extract_return_addr(__builtin_return_address(0)));
    after++;
    return result;
}

__attribute__((noinline, visibility("default"))) ncclResult_t issuer_outside(void);
ncclResult_t issuer_outside(void)
{
    ncclResult_t result = issuer_all_to_all();
    after++;
    return result;
}

static void partial_group_of_an_issuer_is_said(void **state)
{
    (void)state;
    front_double.answer = HM_ANSWER_LEAVE;
    setenv("HIERMOE_TRUST", "issuer_outside", 1);
    settings_forget();
    assert_int_equal(issuer_outside(), ncclSuccess);
    assert_int_equal(front_double.runs, 1);
    assert_int_equal(front_double.call.refusal, HM_REASON_PARTIAL);
    setenv("HIERMOE_TRUST", "shape", 1);
    settings_forget();
    assert_int_equal(issuer_outside(), ncclSuccess);
    assert_int_equal(front_double.runs, 1);
}

static void lone_group_inside_a_group_is_one(void **state)
{
    (void)state;
    group_begin();
    group_begin();
    for (int r = 0; r < 4; r++) send_to(r, 1), recv_from(r, 1);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.runs, 0);
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.runs, 1);
    assert_int_equal(front_double.call.refusal, HM_REASON_NONE);
}

/* Two communicators' all-to-alls in one group: ranks of only one of them wait for this rank's word. */
static void each_communicator_of_a_group_is_told(void **state)
{
    (void)state;
    comm_add(HANDLE(2), &front_real, true);
    front_double.answer = HM_ANSWER_LEAVE;
    group_begin();
    for (int c = 1; c <= 2; c++) {
        group_begin();
        for (int r = 0; r < 4; r++) send_to(r, c), recv_from(r, c);
        group_finish();
    }
    hook_ncclAlltoAll(&front_real, BUFF(0), BUFF(500), 8, ncclInt32, HANDLE(2), NULL);
    front_double.calls[0] = 0;
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.runs, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(front_double.refusal[i], HM_REASON_SECOND_COMM);
    assert_string_equal(front_double.calls, "> < < S0 R0 S1 R1 S2 R2 S3 R3 > < S0 R0 S1 R1 S2 R2 S3 R3 > A > ");
    comm_drop(HANDLE(2));
}

static void named_call_inside_a_group_is_one(void **state)
{
    for (int name = 0; name < CALL_NAMES; name++) {
        group_set_up(state);
        group_begin();
        assert_int_equal(call_by_name(name), ncclSuccess);
        assert_int_equal(front_double.runs, 0);
        assert_int_equal(group_finish(), ncclSuccess);
        assert_int_equal(front_double.runs, 1);
        assert_int_equal(front_double.call.refusal, HM_REASON_NONE);
        assert_int_equal(front_double.call.send_bytes[3], 64);
        assert_ptr_equal(front_double.call.recv[1], (char *)BUFF(2) + 64);
    }
}

static ncclResult_t lists_send(size_t *counts, const size_t *starts)
{
    return hook_ncclAllToAllv(&front_real, BUFF(0), counts, starts, BUFF(500), counts, starts, ncclInt32, HANDLE(1),
                              NULL);
}

/* The job may change its lists once the call has returned, whatever becomes of the call later. */
static void lists_inside_a_group_are_copied(void **state)
{
    static const size_t starts[4] = {0, 1, 3, 6};
    (void)state;
    front_double.answer = HM_ANSWER_LEAVE;
    group_begin();
    for (size_t call = 1; call <= 3; call++) {
        size_t counts[4] = {1 * call, 2 * call, 3 * call, 4 * call};
        assert_int_equal(lists_send(counts, starts), ncclSuccess);
        memset(counts, 0, sizeof counts);
    }
    assert_string_equal(front_double.calls, "< ");
    assert_int_equal(group_finish(), ncclSuccess);
    assert_int_equal(front_double.runs, 3);
    assert_int_equal(front_double.call.send_bytes[3], 4 * 12);
    assert_ptr_equal(front_double.call.recv[2], (char *)BUFF(500) + 4 * 3);
    assert_string_equal(front_double.calls, "< > < A A A > ");
    assert_int_equal(front_double.count, 12);
}

/* NCCL is to refuse it; the all-to-all before it is said first. */
static void lists_that_are_none_are_handed_on(void **state)
{
    size_t counts[4] = {1, 1, 1, 1};
    (void)state;
    front_double.answer = HM_ANSWER_LEAVE;
    group_begin();
    assert_int_equal(call_by_name(0), ncclSuccess);
    assert_int_equal(lists_send(counts, NULL), ncclSuccess);
    assert_int_equal(front_double.refusal[0], HM_REASON_ARGUMENT);
    assert_string_equal(front_double.calls, "> < A A ");
    assert_int_equal(group_finish(), ncclSuccess);
}

/* Something that cannot be held back joins a group: the all-to-all before it is said first. */
static void flush_says_what_came_before(void **state)
{
    (void)state;
    front_double.answer = HM_ANSWER_LEAVE;
    group_begin();
    group_begin();
    for (int r = 0; r < 4; r++) send_to(r, 1), recv_from(r, 1);
    group_finish();
    front_double.calls[0] = 0;
    assert_int_equal(group_flush(HM_REASON_MIXED), ncclSuccess);
    assert_int_equal(front_double.runs, 1);
    assert_int_equal(front_double.call.refusal, HM_REASON_MIXED);
    assert_string_equal(front_double.calls, "> < < S0 R0 S1 R1 S2 R2 S3 R3 > ");
    assert_int_equal(group_finish(), ncclSuccess);
    assert_string_equal(front_double.calls, "> < < S0 R0 S1 R1 S2 R2 S3 R3 > > ");
}

/* A group that holds something else goes to NCCL call by call. Those by name are counted as well. */
static void named_calls_of_a_flushed_group_are_counted(void **state)
{
    for (int name = 0; name < CALL_NAMES; name++) {
        group_set_up(state);
        group_begin();
        assert_int_equal(group_flush(HM_REASON_MIXED), ncclSuccess);
        assert_int_equal(call_by_name(name), ncclSuccess);
        assert_int_equal(call_by_name(name), ncclSuccess);
        assert_int_equal(group_finish(), ncclSuccess);
        hm_comm_t *comm = comm_find(HANDLE(1));
        assert_non_null(comm);
        assert_int_equal(comm->stats.left[HM_REASON_MIXED], 2);
        comm_release(comm);
        assert_int_equal(front_double.runs, 0);
    }
}

int main(void)
{
    setenv("HIERMOE_TRUST", "shape", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(types_may_be_mixed, group_set_up),
        cmocka_unit_test_setup(what_this_rank_cannot_is_said, group_set_up),
        cmocka_unit_test_setup(partial_group_of_an_issuer_is_said, group_set_up),
        cmocka_unit_test_setup(lone_group_inside_a_group_is_one, group_set_up),
        cmocka_unit_test_setup(each_communicator_of_a_group_is_told, group_set_up),
        cmocka_unit_test_setup(named_call_inside_a_group_is_one, group_set_up),
        cmocka_unit_test_setup(lists_inside_a_group_are_copied, group_set_up),
        cmocka_unit_test_setup(lists_that_are_none_are_handed_on, group_set_up),
        cmocka_unit_test_setup(named_calls_of_a_flushed_group_are_counted, group_set_up),
        cmocka_unit_test_setup(flush_says_what_came_before, group_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
