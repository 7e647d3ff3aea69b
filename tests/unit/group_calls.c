#include "group_calls.h"

ncclResult_t send_to(int peer, int comm)
{
    return hook_ncclSend(&front_real, BUFF(peer), 10 + (size_t)peer, ncclInt32, peer, HANDLE(comm), NULL);
}

ncclResult_t recv_from(int peer, int comm)
{
    return hook_ncclRecv(&front_real, BUFF(1000 + peer), 20 + (size_t)peer, ncclInt32, peer, HANDLE(comm), NULL);
}

ncclResult_t group_begin(void)
{
    return hook_ncclGroupStart(&front_real, NULL);
}

ncclResult_t group_finish(void)
{
    return hook_ncclGroupEnd(&front_real, NULL);
}

void capture_all(int ranks, int comm)
{
    front_double.calls[0] = 0;
    assert_int_equal(group_begin(), ncclSuccess);
    for (int r = ranks - 1; r >= 0; r--) {
        assert_int_equal(recv_from(r, comm), ncclSuccess);
        assert_int_equal(send_to(r, comm), ncclSuccess);
    }
    assert_string_equal(front_double.calls, "< "); /* NCCL knows of the group, not of what is in it */
}

ncclResult_t call_by_name(int name)
{
    static const size_t counts[4] = {16, 16, 16, 16}, starts[4] = {0, 16, 32, 48};
    ncclComm_t comm = HANDLE(1);
    front_double.calls[0] = 0;
    switch (name) {
    case 0:
        return hook_ncclAlltoAll(&front_real, BUFF(1), BUFF(2), 16, ncclInt32, comm, NULL);
    case 1:
        return hook_ncclAllToAll(&front_real, BUFF(1), BUFF(2), 16, ncclInt32, comm, NULL);
    case 2:
        return hook_ncclAlltoAllConfig(&front_real, BUFF(1), BUFF(2), 16, ncclInt32, comm, NULL, NULL);
    default:
        return hook_ncclAllToAllv(&front_real, BUFF(1), counts, starts, BUFF(2), counts, starts, ncclInt32, comm, NULL);
    }
}

int group_set_up(void **state)
{
    comm_drop(HANDLE(1));
    hm_group = (hm_group_t){.depth = 0};
    front_reset(state);
    comm_add(HANDLE(1), &front_real, true);
    return 0;
}
