/* Streams of the stand-in libnccl.so.2: NCCL calls of a process without GPUs run on CPU memory, in stream order.
 *
 * A stream is an opaque handle that goes wherever NCCL wants a cudaStream_t. NULL (and the handles 1 and 2, which CUDA
 * calls the legacy and the per-thread stream) is the default stream of the process. Any thread may call these. */
#ifndef HOSTNCCL_H
#define HOSTNCCL_H

#include "abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Creates a stream: a queue and one thread that runs it. *stream is set on success. 0, -ENOMEM, -EAGAIN. */
int hostncclStreamCreate(cudaStream_t *stream);

/* Waits until the stream is idle, then ends its thread. -EINVAL for a handle that is no stream or is the default one.
 */
int hostncclStreamDestroy(void *stream);

/* Runs fn(arg) on the stream's thread after everything enqueued before. 0, -EINVAL, -ENOMEM. */
int hostncclStreamEnqueue(void *stream, void (*fn)(void *arg), void *arg);

/* Waits until everything enqueued so far and since has run. 0: idle; 1: still busy after `seconds`; -EINVAL. Must not
 * be called on the stream's own thread. */
int hostncclStreamWait(void *stream, double seconds);

#ifdef __cplusplus
}
#endif
#endif
