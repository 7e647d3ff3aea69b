/* Children of fork: NCCL and CUDA do not survive a fork, so after it every call is plainly passed on. */
#ifndef HM_FORK_H
#define HM_FORK_H

#include <stdbool.h>

extern bool hm_fork_child;

/* From here on a fork makes the child inert. Called with the first NCCL call rather than by a constructor: a launcher
 * that loads us and forks its ranks, none of them having used NCCL, gets ranks that work. */
void fork_watch(void);

/* True in a child forked after fork_watch. */
static inline bool fork_child(void)
{
    return hm_fork_child;
}

#endif
