/* What unit tests of the front put behind it: an call_run that notes its call, and an NCCL that notes all of its. */
#ifndef HM_TEST_FRONT_DOUBLE_H
#define HM_TEST_FRONT_DOUBLE_H

#include "door/call.h"
#include "door/comm.h"
#include "door/real.h"

/* cmocka needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct hm_double {
    int runs, destroyed, replayed;
    int aborted;            /* of the destroyed: those that ncclCommAbort ended */
    bool enter;             /* call_run leaves NCCL's group, as it does before it asks other ranks */
    hm_reason_t refusal[8]; /* of the calls */
    int refusals;
    hm_answer_t answer;                    /* of call_run */
    void (*inside)(const hm_call_t *call); /* called by call_run */
    hm_call_t call;                        /* the latest */
    void (*made)(ncclComm_t comm);         /* called by NCCL for each send, receive and all-to-all */
    char calls[4096];                      /* what NCCL was asked: "S1 R1 < > " ... */
    size_t count;                          /* elements for the last rank of the latest all-to-all by name */
    ncclResult_t start, end, send;         /* what NCCL answers */
    int ranks;                             /* size of every communicator */
} hm_double_t;

extern hm_double_t front_double;
extern const hm_real_t front_real;

/* Everything as at the start: accepting, four ranks, no calls. */
int front_reset(void **state);

#define HANDLE(n) ((ncclComm_t)(uintptr_t)(0x1000 + 16 * (n)))

#endif
