#include "worker.h"

#include "iface.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_once_t contexts_once = PTHREAD_ONCE_INIT;
static ucp_context_h context_net, context_data;
static ucs_status_t contexts_status;
static char device[64]; /* the network interface; empty: UCX chooses */

double worker_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double worker_timeout(void)
{
    const char *text = getenv("HOSTNCCL_TIMEOUT");
    double seconds = text ? strtod(text, NULL) : 0;
    return seconds > 0 ? seconds : 600;
}

/* The environment has the last word, as with UCX itself. */
static void context_default(ucp_config_t *config, const char *name, const char *value)
{
    char variable[64];
    snprintf(variable, sizeof variable, "UCX_%s", name);
    if (getenv(variable)) return;
    ucs_status_t status = ucp_config_modify(config, name, value);
    if (status != UCS_OK)
        fprintf(stderr, "hostnccl: UCX does not take %s=%s: %s\n", name, value, ucs_status_string(status));
}

static ucs_status_t context_open(bool net_only, ucp_context_h *context)
{
    ucp_config_t *config;
    ucs_status_t status = ucp_config_read(NULL, NULL, &config);
    if (status != UCS_OK) return status;
    if (device[0] != '\0') context_default(config, "NET_DEVICES", device);
    if (net_only) {
        ucp_config_modify(config, "TLS", "tcp");
        /* Over TCP its rendezvous takes half as long again as the wire does (8 MB to three peers at 1 Gbit/s: 65 ms,
         * without 53, the wire 50). In shared memory it is what wakes the peer in time. */
        context_default(config, "RNDV_THRESH", "513K");
        /* Its sends without a copy end the process when the peer closes under them (uct_iface.h:884 in 1.13). */
        context_default(config, "ZCOPY_THRESH", "inf");
    } else {
        context_default(config, "TLS", "tcp,sm");
    }
    context_default(config, "SOCKADDR_TLS_PRIORITY", "tcp");
    ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_MT_WORKERS_SHARED,
                           .features = UCP_FEATURE_TAG | UCP_FEATURE_WAKEUP | (net_only ? UCP_FEATURE_AM : 0),
                           .mt_workers_shared = 1};
    status = ucp_init(&params, config, context);
    ucp_config_release(config);
    return status;
}

static void contexts_open(void)
{
    if (iface_choose(NULL, device, sizeof device) != 0) device[0] = '\0';
    contexts_status = context_open(true, &context_net);
    if (contexts_status == UCS_OK) contexts_status = context_open(false, &context_data);
}

static ucs_status_t half_open(ucp_context_h context, ucp_worker_h *ucp, int *fd)
{
    ucp_worker_params_t params = {.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
                                  .thread_mode = UCS_THREAD_MODE_SERIALIZED};
    ucp_worker_h opened;
    ucs_status_t status = ucp_worker_create(context, &params, &opened);
    if (status != UCS_OK) return status;
    status = ucp_worker_get_efd(opened, fd);
    if (status == UCS_OK)
        *ucp = opened;
    else
        ucp_worker_destroy(opened);
    return status;
}

ucs_status_t worker_open(bool net_only, host_worker_t *worker)
{
    pthread_once(&contexts_once, contexts_open);
    if (contexts_status != UCS_OK) return contexts_status;
    host_worker_t opened = {.fd = -1, .far_fd = -1};
    ucs_status_t status = half_open(net_only ? context_net : context_data, &opened.ucp, &opened.fd);
    /* Over loopback there are no other nodes, unless somebody says so. */
    bool nodes = !net_only && (getenv("NCCL_HOSTID") || strcmp(device, "lo") != 0);
    if (status == UCS_OK && nodes) status = half_open(context_net, &opened.far, &opened.far_fd);
    if (status == UCS_OK)
        *worker = opened;
    else
        worker_close(&opened);
    return status;
}

void worker_close(host_worker_t *worker)
{
    if (worker->far) ucp_worker_destroy(worker->far);
    if (worker->ucp) ucp_worker_destroy(worker->ucp);
    worker->far = worker->ucp = NULL;
}

ucs_status_t worker_address(const host_worker_t *worker, bool far, void *address, size_t size, size_t *length)
{
    ucp_worker_h which = far && worker->far ? worker->far : worker->ucp;
    ucp_worker_attr_t attributes = {.field_mask = UCP_WORKER_ATTR_FIELD_ADDRESS | UCP_WORKER_ATTR_FIELD_ADDRESS_FLAGS,
                                    .address_flags = far ? UCP_WORKER_ADDRESS_FLAG_NET_ONLY : 0};
    ucs_status_t status = ucp_worker_query(which, &attributes);
    if (status != UCS_OK) return status;
    if (attributes.address_length > size) {
        status = UCS_ERR_BUFFER_TOO_SMALL;
    } else {
        memcpy(address, attributes.address, attributes.address_length);
        *length = attributes.address_length;
    }
    ucp_worker_release_address(which, attributes.address);
    return status;
}

/* Should a wake-up be lost between arming and sleeping, it is a short nap and not a hang. */
#define SLEEP_MOST_MS 50

bool worker_progress(const host_worker_t *worker)
{
    unsigned count = ucp_worker_progress(worker->ucp);
    if (worker->far) count += ucp_worker_progress(worker->far);
    return count > 0;
}

void worker_step(const host_worker_t *worker, const atomic_int *cancelled, double until)
{
    if (worker_progress(worker)) return;
    /* Unless something came in meanwhile. */
    if (ucp_worker_arm(worker->ucp) != UCS_OK || (worker->far && ucp_worker_arm(worker->far) != UCS_OK)) return;
    if (cancelled && atomic_load(cancelled)) return;
    double left = until - worker_clock();
    if (left <= 0) return;
    struct pollfd pollers[] = {{.fd = worker->fd, .events = POLLIN}, {.fd = worker->far_fd, .events = POLLIN}};
    poll(pollers, 2, left * 1000 > SLEEP_MOST_MS ? SLEEP_MOST_MS : (int)ceil(left * 1000));
}

void worker_wake(const host_worker_t *worker)
{
    if (worker->ucp) ucp_worker_signal(worker->ucp);
}

/* Seconds for a flush after a connection was lost: UCX 1.13 may never end it then. */
#define FLUSH_PATIENCE 1

/* Gives a UCX request back once it has ended, or leaves it to UCX when the time is up. */
static ucs_status_t request_finish(const host_worker_t *worker, ucs_status_ptr_t request, const atomic_int *cancelled,
                                   const atomic_int *lost, double until)
{
    if (!UCS_PTR_IS_PTR(request)) return UCS_PTR_STATUS(request);
    ucs_status_t status;
    bool patient = lost;
    while ((status = ucp_request_check_status(request)) == UCS_INPROGRESS) {
        double now = worker_clock();
        if (patient && atomic_load(lost)) {
            patient = false;
            if (until > now + FLUSH_PATIENCE) until = now + FLUSH_PATIENCE;
        }
        if (now >= until) status = UCS_ERR_TIMED_OUT;
        if (cancelled && atomic_load(cancelled)) status = UCS_ERR_CANCELED;
        if (status != UCS_INPROGRESS) break;
        worker_step(worker, cancelled, until);
    }
    ucp_request_free(request);
    return status;
}

ucs_status_t worker_flush(const host_worker_t *worker, const atomic_int *cancelled, const atomic_int *lost,
                          double until)
{
    ucp_request_param_t param = {.op_attr_mask = 0};
    ucs_status_ptr_t far = worker->far ? ucp_worker_flush_nbx(worker->far, &param) : NULL;
    ucs_status_t status = request_finish(worker, ucp_worker_flush_nbx(worker->ucp, &param), cancelled, lost, until);
    ucs_status_t other = request_finish(worker, far, cancelled, lost, until);
    return status != UCS_OK ? status : other;
}

void worker_endpoint_close(const host_worker_t *worker, ucp_ep_h endpoint)
{
    ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS, .flags = UCP_EP_CLOSE_FLAG_FORCE};
    request_finish(worker, ucp_ep_close_nbx(endpoint, &param), NULL, NULL, worker_clock() + 2);
}
