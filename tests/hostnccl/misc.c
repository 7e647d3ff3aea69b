#include "comm.h"
#include "export.h"
#include "group.h"
#include "say.h"

#include <stdlib.h>

#define HOST_VERSION 22809

HOSTNCCL_API(ncclResult_t, ncclGetVersion, (int *version))
{
    if (!version) return say_error(ncclInvalidArgument, "ncclGetVersion: NULL where the version goes");
    *version = HOST_VERSION;
    return ncclSuccess;
}

HOSTNCCL_API(const char *, ncclGetErrorString, (ncclResult_t result))
{
    switch ((int)result) {
    case ncclSuccess:
        return "no error";
    case ncclUnhandledCudaError:
        return "unhandled device error";
    case ncclSystemError:
        return "system error";
    case ncclInternalError:
        return "internal error";
    case ncclInvalidArgument:
        return "invalid argument";
    case ncclInvalidUsage:
        return "invalid usage";
    case ncclRemoteError:
        return "another rank failed or fell silent";
    case ncclInProgress:
        return "still in progress";
    default:
        return "unknown result code";
    }
}

HOSTNCCL_API(const char *, ncclGetLastError, (ncclComm_t comm))
{
    return comm_alive(comm) && atomic_load(&comm->async) ? comm->text : say_last();
}

HOSTNCCL_API(void, ncclResetDebugInit, (void)) {}

static ncclResult_t query(const struct ncclComm *comm, const void *into, const char *call)
{
    if (!comm_alive(comm)) return say_error(ncclInvalidArgument, "%s: not a communicator", call);
    if (!into) return say_error(ncclInvalidArgument, "%s: NULL where the answer goes", call);
    return ncclSuccess;
}

HOSTNCCL_API(ncclResult_t, ncclCommGetAsyncError, (ncclComm_t comm, ncclResult_t *asyncError))
{
    ncclResult_t result = query(comm, asyncError, "ncclCommGetAsyncError");
    if (result == ncclSuccess) *asyncError = (ncclResult_t)atomic_load(&comm->async);
    return result;
}

HOSTNCCL_API(ncclResult_t, ncclCommCount, (const ncclComm_t comm, int *count))
{
    ncclResult_t result = query(comm, count, "ncclCommCount");
    if (result == ncclSuccess) *count = comm->ranks;
    return result;
}

HOSTNCCL_API(ncclResult_t, ncclCommUserRank, (const ncclComm_t comm, int *rank))
{
    ncclResult_t result = query(comm, rank, "ncclCommUserRank");
    if (result == ncclSuccess) *rank = comm->rank;
    return result;
}

/* No device here: the rank's number among the ranks of its node, as jobs number their devices. */
HOSTNCCL_API(ncclResult_t, ncclCommCuDevice, (const ncclComm_t comm, int *device))
{
    ncclResult_t result = query(comm, device, "ncclCommCuDevice");
    if (result == ncclSuccess) *device = comm->local_rank;
    return result;
}

HOSTNCCL_API(ncclResult_t, ncclMemAlloc, (void **ptr, size_t size))
{
    if (!ptr) return say_error(ncclInvalidArgument, "ncclMemAlloc: NULL where the pointer goes");
    void *memory = NULL;
    if (posix_memalign(&memory, NCCL_WIN_REQUIRED_ALIGNMENT, size ? size : 1) != 0)
        return say_error(ncclSystemError, "ncclMemAlloc: no memory for %zu bytes", size);
    *ptr = memory;
    return ncclSuccess;
}

HOSTNCCL_API(ncclResult_t, ncclMemFree, (void *ptr))
{
    free(ptr);
    return ncclSuccess;
}

/* Registration speeds up what this library does not have; NCCL too answers so where it cannot register. */
HOSTNCCL_API(ncclResult_t, ncclCommRegister, (const ncclComm_t comm, void *buff, size_t size, void **handle))
{
    (void)buff, (void)size;
    ncclResult_t result = query(comm, handle, "ncclCommRegister");
    if (result == ncclSuccess) *handle = NULL;
    return result;
}

HOSTNCCL_API(ncclResult_t, ncclCommDeregister, (const ncclComm_t comm, void *handle))
{
    (void)handle;
    return query(comm, comm, "ncclCommDeregister");
}

HOSTNCCL_API(ncclResult_t, ncclCommWindowRegister,
             (ncclComm_t comm, void *buff, size_t size, ncclWindow_t *win, int winFlags))
{
    (void)buff, (void)size, (void)winFlags;
    ncclResult_t result = query(comm, win, "ncclCommWindowRegister");
    if (result == ncclSuccess) *win = NULL;
    return result;
}

HOSTNCCL_API(ncclResult_t, ncclCommWindowDeregister, (ncclComm_t comm, ncclWindow_t win))
{
    (void)win;
    return query(comm, comm, "ncclCommWindowDeregister");
}

HOSTNCCL_API(ncclResult_t, ncclRedOpCreatePreMulSum,
             (ncclRedOp_t * op, void *scalar, ncclDataType_t datatype, ncclScalarResidence_t residence,
              ncclComm_t comm))
{
    (void)op, (void)scalar, (void)datatype, (void)residence, (void)comm;
    return group_note(
        say_error(ncclInvalidUsage, "ncclRedOpCreatePreMulSum: this library has built-in operations only"));
}

HOSTNCCL_API(ncclResult_t, ncclRedOpDestroy, (ncclRedOp_t op, ncclComm_t comm))
{
    (void)comm;
    return group_note(say_error(ncclInvalidArgument, "ncclRedOpDestroy: %d was not created", (int)op));
}
