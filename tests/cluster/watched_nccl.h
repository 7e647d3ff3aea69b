/* A NCCL in front of the stand-in one (HIERMOE_NCCL_LIB), which holds a thread at one of its steps inside the library
 * while its communicator is aborted, and ends the process where a handle is used after its end. A step is a call of
 * NCCL, or work that is put on a stream, but for what the job has asked for itself: from a call in a group to the
 * group's end an abort would be the job's own fault. */
#ifndef WATCHED_NCCL_H
#define WATCHED_NCCL_H

#include "hostnccl.h"

#include <stdbool.h>

typedef struct watched {
    /* The calling thread is held at its step number `step` from now on, until comm has ended, 50 ms at most. grouped:
     * the job's next call is the start of a group. */
    void (*arm)(ncclComm_t comm, int step, bool grouped);
    bool (*reached)(void); /* it is held, or was */
    void (*disarm)(void);
} watched_t;

extern const watched_t watched_nccl;

#endif
