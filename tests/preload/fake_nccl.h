/* NCCL's prototypes as a job sees them, and what the stand-in NCCL has besides. */
#ifndef HM_TEST_FAKE_NCCL_H
#define HM_TEST_FAKE_NCCL_H

#include "door/nccl_abi.h"

#define HM_CALL(name, params, args, comm, treatment) ncclResult_t name params;
#define HM_QUERY(ret, name, params) ret name params;
#include "door/calls.def"
#define HM_CALL(name, params, args, comm, treatment) ncclResult_t p##name params;
#include "door/calls.def"

/* Adds a line to the list of calls. */
void fake_note(const char *line);

#endif
