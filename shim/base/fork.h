/* Children of fork: NCCL and CUDA do not survive a fork, so in a child every call is passed on to NCCL as it came. */
#ifndef HM_FORK_H
#define HM_FORK_H

#include <stdbool.h>

extern bool hm_fork_child;

/* What a module has to put right in the child of a fork, such as a lock that a thread of the parent held. */
typedef struct hm_fork_handler {
    void (*run)(void);
    struct hm_fork_handler *next; /* set by fork_handler_add */
} hm_fork_handler_t;

/* Adds a handler, which must stay. Only for constructors: there is no lock. */
void fork_handler_add(hm_fork_handler_t *handler);

/* From here on a fork makes the child inert and runs all handlers in it, while it has one thread. Called with the first
 * NCCL call rather than by a constructor: a launcher that loads us and forks its ranks, none of them having used NCCL,
 * gets ranks that work. 0, or the errno of pthread_atfork. Any thread; calls after the first return the same. */
int fork_watch(void);

/* True in a child forked after fork_watch. */
static inline bool fork_child(void)
{
    return hm_fork_child;
}

#endif
