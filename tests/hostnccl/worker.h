/* UCX workers that sleep while they wait. */
#ifndef HOST_WORKER_H
#define HOST_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <ucp/api/ucp.h>

/* What one set of endpoints is progressed by. One thread at a time. */
typedef struct host_worker {
    ucp_worker_h ucp;
    ucp_worker_h far; /* for ranks of other nodes, where there can be some; else NULL */
    int fd, far_fd;
} host_worker_t;

/* Between nodes, UCX sends messages up to this size without asking first. */
#define HOST_EAGER_BYTES ((size_t)512 << 10)

/* Seconds of a clock that never jumps. */
double worker_clock(void);

/* Seconds an operation may stay unmatched: HOSTNCCL_TIMEOUT, 600 by default. */
double worker_timeout(void);

/* Opens a worker: `net_only` never uses anything but TCP, otherwise shared memory is there for the asking, and `far`
 * beside it. */
ucs_status_t worker_open(bool net_only, host_worker_t *worker);

/* Destroys the worker. A zeroed one is left alone. */
void worker_close(host_worker_t *worker);

/* Copies the worker's address, or that of `far` for ranks of other nodes. UCS_ERR_BUFFER_TOO_SMALL if longer than size.
 */
ucs_status_t worker_address(const host_worker_t *worker, bool far, void *address, size_t size, size_t *length);

/* Makes progress. Whether there was any to make. */
bool worker_progress(const host_worker_t *worker);

/* Makes progress, or sleeps until there is some to make, worker_wake is called or the clock reaches `until`.
 * *cancelled is looked at between arming and sleeping, so set it before worker_wake. */
void worker_step(const host_worker_t *worker, const atomic_int *cancelled, double until);

/* Ends a sleep in worker_step. Any thread. */
void worker_wake(const host_worker_t *worker);

/* Has everything that was handed to UCX so far leave this process. `until` bounds the wait; once *lost (may be NULL) is
 * not 0, a second does. */
ucs_status_t worker_flush(const host_worker_t *worker, const atomic_int *cancelled, const atomic_int *lost,
                          double until);

/* Closes an endpoint without waiting for its peer. */
void worker_endpoint_close(const host_worker_t *worker, ucp_ep_h endpoint);

#endif
