#include "fork.h"

#include "comm.h"
#include "group.h"
#include "log.h"
#include "real.h"
#include "settings.h"

#include <pthread.h>

bool hm_fork_child; /* written only while a child has but one thread */

static void child_enter(void)
{
    hm_fork_child = true;
    group_after_fork();
    real_after_fork();
    settings_after_fork();
}

static void watch(void)
{
    if (pthread_atfork(NULL, NULL, child_enter) != 0)
        log_say(HM_LOG_WARN, NULL, "pthread_atfork failed: a child that calls NCCL after fork may misbehave");
}

void fork_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
}
