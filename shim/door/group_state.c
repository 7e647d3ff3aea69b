#include "group_state.h"

#include "base/fork.h"
#include "guide/announce.h"

_Thread_local hm_group_t hm_group;

void group_push(hm_group_t *group, const hm_real_t *real)
{
    if (group->depth < HM_GROUP_DEPTH) group->real[group->depth] = real;
    group->depth++;
}

const hm_real_t *group_pop(hm_group_t *group, const hm_real_t *real)
{
    if (group->depth == 0) return real;
    group->depth--;
    return group->depth < HM_GROUP_DEPTH ? group->real[group->depth] : real;
}

void group_capture(hm_group_t *group)
{
    if (group->legs == NULL) group->legs = legs_mine();
    group->legs->count = 0;
    group->legs->listed = 0;
    group->capturing = true;
    group->error = ncclSuccess;
    group->comms = group->segments = group->segmented = 0;
}

void group_uncapture(hm_group_t *group)
{
    for (int i = 0; i < group->comms; i++) comm_release(group->comm[i]);
    group->comms = 0;
    group->capturing = false;
}

ncclResult_t group_leave(void)
{
    hm_group_t *group = &hm_group;
    if (group->outside) return ncclSuccess;
    group->outside = true;
    return group->real[0]->ncclGroupEnd();
}

ncclResult_t group_return(hm_group_t *group)
{
    if (!group->outside) return ncclSuccess;
    group->outside = false;
    return group->real[0]->ncclGroupStart();
}

hm_answer_t group_run(const hm_call_t *call, ncclResult_t *result)
{
    hm_group_t *group = &hm_group;
    /* Cancelled since the group began: NCCL may have freed the handle. */
    if (atomic_load_explicit(&call->comm->cancelled, memory_order_acquire) != 0) {
        *result = ncclInvalidUsage;
        return HM_ANSWER_DONE;
    }
    group->busy = true; /* should a call come from inside call_run: it is not captured over the record */
    hm_answer_t answer = call_run(call, result);
    group->busy = false;
    if (group->announced) group->announced = announce_pass(call->comm->handle);
    return answer;
}

void group_memory_lack(hm_comm_t *comm)
{
    comm_say(HM_LOG_WARN, comm, "no memory to record a group of %d ranks: this call and later ones fail", comm->ranks);
    comm_fail(comm, ncclSystemError);
}

/* The forking thread's open groups stay with the parent. */
static void group_after_fork(void)
{
    hm_group = (hm_group_t){.depth = 0};
}

__attribute__((constructor)) static void group_fork_prepare(void)
{
    static hm_fork_handler_t handler = {.run = group_after_fork};
    fork_handler_add(&handler);
}
