/* The NCCL calls that the benchmark makes, as a job sees them: types from nccl_abi.h, functions from whichever
 * libnccl.so.2 is loaded. No NCCL or CUDA header is needed to build. */
#ifndef MP_NCCL_JOB_H
#define MP_NCCL_JOB_H

#include "door/nccl_abi.h"

#include <stddef.h>

ncclResult_t ncclGetVersion(int *version);
ncclResult_t ncclGetUniqueId(ncclUniqueId *id);
ncclResult_t ncclCommInitRank(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank);
ncclResult_t ncclCommDestroy(ncclComm_t comm);
ncclResult_t ncclCommAbort(ncclComm_t comm);
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error);
const char *ncclGetErrorString(ncclResult_t result);
ncclResult_t ncclGroupStart(void);
ncclResult_t ncclGroupEnd(void);
ncclResult_t ncclSend(const void *send, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream);
ncclResult_t ncclRecv(void *recv, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclAllReduce(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream);

/* Since NCCL 2.28; looked up when --pattern alltoall asks for it, so that older releases run the rest. */
typedef ncclResult_t (*mp_alltoall_t)(const void *send, void *recv, size_t count, ncclDataType_t type, ncclComm_t comm,
                                      cudaStream_t stream);

#endif
