/* The communicator of the run, made from a unique id that rank 0 leaves in a file, and small exchanges over it. */
#ifndef MP_COMM_H
#define MP_COMM_H

#include "device.h"
#include "nccl_job.h"

typedef struct mp_comm {
    const mp_device_t *device;
    int ranks, rank;
    double timeout; /* seconds for every wait */
    ncclComm_t comm;
    void *stream;
    mp_buffer_t small; /* grows as the exchanges below need */
} mp_comm_t;

/* Meets the other ranks. The file may lie anywhere that all ranks see; it is gone when this returns on rank 0. A file
 * that was there before is taken for a leftover if it is older than a minute. 0, or a negative errno, said. */
int comm_open(const mp_device_t *device, int ranks, int rank, const char *id_file, double timeout, mp_comm_t *comm);

/* clean: all work is done; otherwise the communicator is aborted. */
void comm_close(mp_comm_t *comm, int clean);

/* 0, or -EIO with the operation and NCCL's word for the error said. */
int comm_failed(const char *what, ncclResult_t result);

/* Until this rank's work on the stream is done. */
int comm_wait(const mp_comm_t *comm);

/* Returns when all ranks have called it. */
int comm_barrier(mp_comm_t *comm);

/* all[r * bytes] becomes rank r's `mine`; bytes is a multiple of 8. */
int comm_gather(mp_comm_t *comm, const void *mine, size_t bytes, void *all);

/* Each value becomes the largest of all ranks'. */
int comm_max(mp_comm_t *comm, double *values, size_t count);

#endif
