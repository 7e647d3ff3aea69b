/* Children of fork are processes of their own: what the parent's communicators and threads left behind is forgotten,
 * and communicators that a child makes itself are treated like any other, so that a launcher that forks its ranks gets
 * ranks that agree. Calls on communicators of the parent are passed on to NCCL as they came. */
#ifndef HM_FORK_H
#define HM_FORK_H

/* What a module has to put right in the child of a fork, such as a lock that a thread of the parent held. */
typedef struct hm_fork_handler {
    void (*run)(void);
    struct hm_fork_handler *next; /* set by fork_handler_add */
} hm_fork_handler_t;

/* Adds a handler, which must stay. Only for constructors: there is no lock. */
void fork_handler_add(hm_fork_handler_t *handler);

/* From here on a fork runs all handlers in the child, while it has one thread. Called with the first NCCL call: before
 * it there is nothing to put right. 0, or the errno of pthread_atfork. Any thread; calls after the first return the
 * same. */
int fork_watch(void);

#endif
