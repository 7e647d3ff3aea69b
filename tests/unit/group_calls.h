/* Calls of a job on communicators of the front's double, and a set-up with one communicator: HANDLE(1). */
#ifndef HM_TEST_GROUP_CALLS_H
#define HM_TEST_GROUP_CALLS_H

#include "front_double.h"

#include "door/group.h"
#include "door/hooks.h"

#define BUFF(n) ((void *)(uintptr_t)(0x100000 + (n)))

/* 10 + peer elements from BUFF(peer); 20 + peer elements to BUFF(1000 + peer). */
ncclResult_t send_to(int peer, int comm);
ncclResult_t recv_from(int peer, int comm);

ncclResult_t group_begin(void);
ncclResult_t group_finish(void);

/* A send to and a receive from every rank, last rank first, of a group that stays open. */
void capture_all(int ranks, int comm);

/* An all-to-all of HANDLE(1) by one of CALL_NAMES names. */
#define CALL_NAMES 4
ncclResult_t call_by_name(int name);

/* No group is open, everything is as front_reset leaves it, and HANDLE(1) is a communicator. */
int group_set_up(void **state);

#endif
