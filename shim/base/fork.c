#include "fork.h"

#include <pthread.h>
#include <stddef.h>

static hm_fork_handler_t *handlers;
static int failure; /* of pthread_atfork */

void fork_handler_add(hm_fork_handler_t *handler)
{
    handler->next = handlers;
    handlers = handler;
}

static void child_enter(void)
{
    for (const hm_fork_handler_t *handler = handlers; handler != NULL; handler = handler->next) handler->run();
}

static void watch(void)
{
    failure = pthread_atfork(NULL, NULL, child_enter);
}

int fork_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
    return failure;
}
