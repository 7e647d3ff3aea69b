#include "segment.h"

#include "base/settings.h"

void segment_close(hm_group_t *group, bool ended, const void *return_address)
{
    const hm_legs_t *legs = group->legs;
    int count = legs->count - group->segmented;
    if (count == 0) return;
    hm_segment_t segment = {.first = group->segmented, .count = count, .belief = HM_BELIEF_NOBODY};
    const hm_leg_t *leg = &legs->leg[segment.first];
    if (leg_whole(leg))
        segment.belief = HM_BELIEF_ISSUER; /* the call itself says that all ranks make it */
    else if (ended)
        segment.belief = caller_belief(return_address, count >= 2 * leg->comm->ranks);
    group->segmented = legs->count;
    group->segment[group->segments++] = segment;
}

bool segments_full(const hm_group_t *group)
{
    return group->segments + 2 > HM_GROUP_SEGMENTS;
}

/* Whether a segment's legs on a communicator are something that the other ranks wait to agree on: *call, laid out. */
static bool segment_joins(const hm_group_t *group, const hm_segment_t *segment, hm_comm_t *comm, hm_call_t *call)
{
    bool whole;
    const hm_leg_t *leg = &group->legs->leg[segment->first];
    if (segment->belief == HM_BELIEF_NOBODY) return false;
    int i = 0;
    while (i < segment->count && leg[i].comm != comm) i++;
    if (i == segment->count) return false;
    if (legs_lay(leg, segment->count, comm, call, &whole) != HM_REASON_NO_RECORD)
        return whole || segment->belief == HM_BELIEF_ISSUER;
    group_memory_lack(comm);
    *call = (hm_call_t){.comm = comm, .refusal = HM_REASON_NO_RECORD};
    return true;
}

ncclResult_t segments_refuse(hm_group_t *group, hm_reason_t reason, ncclComm_t ending, bool *joined)
{
    *joined = false;
    for (int s = 0; s < group->segments; s++) {
        for (int c = 0; c < group->comms; c++) {
            hm_call_t call;
            ncclResult_t result = ncclSuccess;
            if (group->comm[c]->handle == ending) continue;
            if (!segment_joins(group, &group->segment[s], group->comm[c], &call)) continue;
            *joined = true;
            if (call.refusal == HM_REASON_NONE) call.refusal = reason;
            call.enter = group_leave;
            if (group_run(&call, &result) == HM_ANSWER_DONE && result != ncclSuccess) return result;
        }
    }
    return ncclSuccess;
}

void comms_leave(const hm_group_t *group, hm_reason_t reason)
{
    for (int i = 0; i < group->comms; i++) comm_leave(group->comm[i], reason);
}

/* Once for each communicator; the log says the same words once in a process. Rank 0 speaks for the others unless the
 * function has no name here: then they may know it by one. */
static void stranger_say(const hm_group_t *group, hm_comm_t *comm, const void *caller)
{
    hm_call_t call;
    char names[700];
    bool whole = false;
    if (settings_get()->mode == HM_MODE_OFF || comm->stats.left[HM_REASON_UNTRUSTED] != 0) return;
    const hm_segment_t *segment = &group->segment[0];
    if (legs_lay(group->legs->leg + segment->first, segment->count, comm, &call, &whole) != HM_REASON_NONE) return;
    bool named = caller_describe(caller, names, sizeof names);
    comm_say(
        named && comm->rank > 0 ? HM_LOG_INFO : HM_LOG_WARN, comm,
        "an all-to-all is left alone, as its caller is not known to issue whole ones on every rank: %s; if it does, "
        "set HIERMOE_TRUST to a part of its name, or to shape",
        names);
}

/* What becomes of a group that is one segment on one communicator, as nearly all are. */
static hm_answer_t segment_run(hm_group_t *group, const void *caller, ncclResult_t *result)
{
    hm_call_t call;
    hm_comm_t *comm = group->comm[0];
    const hm_segment_t *segment = &group->segment[0];
    if (!segment_joins(group, segment, comm, &call)) {
        bool stranger = segment->belief == HM_BELIEF_NOBODY && segment->count == 2 * comm->ranks;
        if (stranger) stranger_say(group, comm, caller);
        comm_leave(comm, stranger ? HM_REASON_UNTRUSTED : HM_REASON_PARTIAL);
        return HM_ANSWER_LEAVE;
    }
    call.enter = group_leave;
    return group_run(&call, result);
}

hm_answer_t segments_decide(hm_group_t *group, const void *caller, ncclResult_t *result)
{
    bool joined;
    if (group->segments == 0) return HM_ANSWER_LEAVE;
    if (group->segments == 1 && group->comms == 1) return segment_run(group, caller, result);
    hm_reason_t reason = group->comms > 1 ? HM_REASON_SECOND_COMM : HM_REASON_NESTED;
    *result = segments_refuse(group, reason, NULL, &joined);
    if (*result == ncclSuccess && !joined) comms_leave(group, reason);
    return *result == ncclSuccess ? HM_ANSWER_LEAVE : HM_ANSWER_DONE;
}
