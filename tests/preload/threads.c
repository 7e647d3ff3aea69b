/* Four threads, each with a communicator of its own, start to use NCCL at the same moment: exchanges, whole
 * all-to-alls, communicators that come and go. */
#define _GNU_SOURCE
#include "fake_nccl.h"

#include <pthread.h>

#define THREADS 4
#define ROUNDS 50

static pthread_barrier_t barrier;
static char data[8];

static void *use(void *argument)
{
    ncclUniqueId id = {{0}};
    ncclComm_t comm;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < ROUNDS; i++) {
        if (ncclCommInitRank(&comm, 4, id, 0) != ncclSuccess) return argument;
        ncclSend(data, 8, ncclInt8, 1, comm, NULL);
        ncclGroupStart();
        ncclSend(data, 8, ncclInt8, 1, comm, NULL);
        ncclRecv(data, 8, ncclInt8, 1, comm, NULL);
        ncclGroupEnd();
        ncclGroupStart();
        for (int r = 0; r < 4; r++) {
            ncclSend(data, 8, ncclInt8, r, comm, NULL);
            ncclRecv(data, 8, ncclInt8, r, comm, NULL);
        }
        if (ncclGroupEnd() != ncclSuccess || ncclCommDestroy(comm) != ncclSuccess) return argument;
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    int bad = 0;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, use, data);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(thread[i], &wrong);
        bad += wrong != NULL;
    }
    return bad;
}
