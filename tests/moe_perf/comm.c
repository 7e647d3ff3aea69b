#include "comm.h"

#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LEFTOVER_SECONDS 60

int comm_failed(const char *what, ncclResult_t result)
{
    if (!result) return 0;
    say("%s: NCCL says: %s (%d)", what, ncclGetErrorString(result), (int)result);
    return -EIO;
}

/* Under another name first, so that nobody reads half an id. */
static int id_write(const char *path, const ncclUniqueId *id)
{
    char draft[4096];
    int status = 0;
    if (snprintf(draft, sizeof(draft), "%s.%ld", path, (long)getpid()) >= (int)sizeof(draft)) return -ENAMETOOLONG;
    FILE *file = fopen(draft, "wb");
    if (!file) {
        status = -errno;
        say("cannot write NCCL's unique id to %s: %s", draft, strerror(errno));
        return status;
    }
    if (fwrite(id, sizeof(*id), 1, file) != 1) status = -EIO;
    if (fclose(file)) status = -EIO;
    if (!status && rename(draft, path)) status = -errno;
    if (status) {
        say("cannot write NCCL's unique id to %s: %s", path, strerror(-status));
        unlink(draft);
    }
    return status;
}

static int id_read_once(const char *path, time_t oldest, ncclUniqueId *id)
{
    struct stat about;
    int status = -EAGAIN;
    FILE *file = fopen(path, "rb");
    if (!file) return -EAGAIN;
    if (!fstat(fileno(file), &about) && about.st_mtime >= oldest && fread(id, sizeof(*id), 1, file) == 1) status = 0;
    fclose(file);
    return status;
}

static int id_read(const char *path, double timeout, ncclUniqueId *id)
{
    time_t start = time(NULL);
    for (double waited = 0; waited < timeout; waited += 0.01) {
        if (!id_read_once(path, start - LEFTOVER_SECONDS, id)) return 0;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    say("expected rank 0 to leave NCCL's unique id in %s within %g s: is it running, and sees it the same file?", path,
        timeout);
    return -ETIMEDOUT;
}

/* Room for `bytes` of small exchanges. */
static int comm_room(mp_comm_t *comm, size_t bytes)
{
    if (bytes <= comm->small.bytes) return 0;
    if (comm->small.bytes) comm->device->free(&comm->small);
    return comm->device->alloc(bytes, &comm->small);
}

int comm_open(const mp_device_t *device, int ranks, int rank, const char *id_file, double timeout, mp_comm_t *comm)
{
    ncclUniqueId id;
    int status = 0;
    *comm = (mp_comm_t){.device = device, .ranks = ranks, .rank = rank, .timeout = timeout};
    if (!rank) {
        unlink(id_file);
        status = comm_failed("ncclGetUniqueId", ncclGetUniqueId(&id));
        if (!status) status = id_write(id_file, &id);
    } else {
        status = id_read(id_file, timeout, &id);
    }
    if (!status) status = comm_failed("ncclCommInitRank", ncclCommInitRank(&comm->comm, ranks, id, rank));
    if (status) comm->comm = NULL;
    if (!status) status = device->stream_create(&comm->stream);
    if (!status) status = comm_room(comm, 4096);
    if (!status) status = comm_barrier(comm);
    if (!rank) unlink(id_file);
    if (status) comm_close(comm, 0);
    return status;
}

void comm_close(mp_comm_t *comm, int clean)
{
    if (comm->comm) {
        if (clean)
            comm_failed("ncclCommDestroy", ncclCommDestroy(comm->comm));
        else
            ncclCommAbort(comm->comm);
    }
    if (comm->stream && clean) comm->device->stream_destroy(comm->stream);
    if (comm->small.bytes && clean) comm->device->free(&comm->small);
    *comm = (mp_comm_t){0};
}

int comm_wait(const mp_comm_t *comm)
{
    ncclResult_t error = ncclSuccess;
    int status = comm->device->stream_wait(comm->stream, comm->timeout);
    if (status) return status;
    status = comm_failed("ncclCommGetAsyncError", ncclCommGetAsyncError(comm->comm, &error));
    return status ? status : comm_failed("asynchronously", error);
}

/* Reduces the first `count` 8-byte values of comm->small in place, from and to its host image. */
static int comm_reduce(mp_comm_t *comm, size_t count, ncclDataType_t type, ncclRedOp_t op)
{
    int status = comm->device->upload(&comm->small, 8 * count);
    if (status) return status;
    status = comm_failed("ncclAllReduce", ncclAllReduce(comm->small.device, comm->small.device, count, type, op,
                                                        comm->comm, (cudaStream_t)comm->stream));
    if (!status) status = comm_wait(comm);
    return status ? status : comm->device->download(&comm->small, 8 * count);
}

int comm_barrier(mp_comm_t *comm)
{
    memset(comm->small.host, 0, 8);
    return comm_reduce(comm, 1, ncclUint64, ncclSum);
}

int comm_gather(mp_comm_t *comm, const void *mine, size_t bytes, void *all)
{
    size_t total = bytes * (size_t)comm->ranks;
    int status = comm_room(comm, total);
    if (status) return status;
    memset(comm->small.host, 0, total);
    memcpy(comm->small.host + (size_t)comm->rank * bytes, mine, bytes);
    status = comm_reduce(comm, total / 8, ncclUint64, ncclSum);
    if (!status) memcpy(all, comm->small.host, total);
    return status;
}

int comm_max(mp_comm_t *comm, double *values, size_t count)
{
    int status = comm_room(comm, 8 * count);
    if (status) return status;
    memcpy(comm->small.host, values, 8 * count);
    status = comm_reduce(comm, count, ncclFloat64, ncclMax);
    if (!status) memcpy(values, comm->small.host, 8 * count);
    return status;
}
