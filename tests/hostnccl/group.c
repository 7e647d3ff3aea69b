#include "group.h"

#include "export.h"
#include "say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct init {
    struct init *next;
    host_init_t *run;
    void *arg;
    ncclResult_t result;
    char text[HOST_TEXT];
} init_t;

static _Thread_local struct {
    int depth;
    ncclResult_t error;
    host_task_t *tasks;
    size_t count, room;
    init_t *inits, **inits_tail;
} group;

ncclResult_t group_note(ncclResult_t result)
{
    if (group.depth && result != ncclSuccess && group.error == ncclSuccess) group.error = result;
    return result;
}

ncclResult_t group_add(const host_task_t *tasks, size_t count)
{
    if (!group.depth) {
        host_task_t *copy = malloc(count * sizeof *copy);
        if (!copy) return say_error(ncclSystemError, "no memory for a group");
        memcpy(copy, tasks, count * sizeof *copy);
        ncclResult_t result = launch_tasks(copy, count);
        free(copy);
        return result;
    }
    if (group.count + count > group.room) {
        size_t room = 2 * (group.count + count);
        host_task_t *grown = realloc(group.tasks, room * sizeof *grown);
        if (!grown) return group_note(say_error(ncclSystemError, "no memory for a group"));
        group.tasks = grown;
        group.room = room;
    }
    memcpy(group.tasks + group.count, tasks, count * sizeof *tasks);
    group.count += count;
    return ncclSuccess;
}

ncclResult_t group_init(host_init_t *run, void *arg)
{
    init_t *init = calloc(1, sizeof *init);
    if (!init) return group_note(say_error(ncclSystemError, "no memory for a communicator"));
    init->run = run;
    init->arg = arg;
    if (group.depth) {
        if (!group.inits) group.inits_tail = &group.inits;
        *group.inits_tail = init;
        group.inits_tail = &init->next;
        return ncclSuccess;
    }
    ncclResult_t result = run(arg, init->text);
    if (result != ncclSuccess) say_error(result, "%s", init->text);
    free(init);
    return result;
}

static void *init_main(void *arg)
{
    init_t *init = arg;
    init->result = init->run(init->arg, init->text);
    return NULL;
}

/* Ranks of one communicator may be made by one thread, so all must run at the same time. */
static ncclResult_t inits_run(init_t *inits)
{
    size_t count = 0, started = 0;
    for (init_t *init = inits; init; init = init->next) count++;
    pthread_t *threads = calloc(count ? count : 1, sizeof *threads);
    for (init_t *init = inits; init; init = init->next) {
        bool inline_run = !init->next || !threads || pthread_create(&threads[started], NULL, init_main, init) != 0;
        if (inline_run)
            init_main(init);
        else
            started++;
    }
    for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
    free(threads);
    ncclResult_t result = ncclSuccess;
    for (init_t *next, *init = inits; init; init = next) {
        next = init->next;
        if (init->result != ncclSuccess && result == ncclSuccess) result = say_error(init->result, "%s", init->text);
        free(init);
    }
    return result;
}

/* `run` false: the group is thrown away; communicators are made all the same, as their handles are out already. */
static ncclResult_t group_end(bool run)
{
    host_task_t *tasks = group.tasks;
    init_t *inits = group.inits;
    size_t count = group.count;
    ncclResult_t result = group.error;
    memset(&group, 0, sizeof group);
    if (inits) {
        ncclResult_t made = inits_run(inits);
        if (result == ncclSuccess) result = made;
    }
    if (result == ncclSuccess && run) result = launch_tasks(tasks, count);
    free(tasks);
    return result;
}

HOSTNCCL_API(ncclResult_t, ncclGroupStart, (void))
{
    group.depth++;
    return ncclSuccess;
}

HOSTNCCL_API(ncclResult_t, ncclGroupEnd, (void))
{
    if (!group.depth) return say_error(ncclInvalidUsage, "ncclGroupEnd: no group is open");
    if (group.depth > 1) {
        group.depth--;
        return ncclSuccess;
    }
    return group_end(true);
}

HOSTNCCL_API(ncclResult_t, ncclGroupSimulateEnd, (ncclSimInfo_t * info))
{
    if (!group.depth) return say_error(ncclInvalidUsage, "ncclGroupSimulateEnd: no group is open");
    if (group.depth > 1) {
        group.depth--;
        return ncclSuccess;
    }
    if (info) info->estimatedTime = NCCL_UNDEF_FLOAT; /* this library has no model of time */
    return group_end(false);
}
