#include "root.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

typedef struct member {
    struct member *next;
    struct root *root;
    ucp_ep_h endpoint;
} member_t;

typedef struct root {
    host_worker_t worker;
    ucp_listener_h listener;
    root_id_t id;
    member_t *members; /* connections, by no order */
    int connected;     /* those not ended yet */
    int ranks, joined;
    host_card_t *cards;
    ucp_ep_h *reply; /* [ranks] */
    root_reply_t verdict;
    char text[HOST_TEXT];
} root_t;

static void member_gone(void *arg, ucp_ep_h endpoint, ucs_status_t status)
{
    (void)endpoint, (void)status;
    member_t *member = arg;
    member->root->connected--;
}

static void root_connect(ucp_conn_request_h request, void *arg)
{
    root_t *root = arg;
    member_t *member = calloc(1, sizeof *member);
    if (!member) {
        ucp_listener_reject(root->listener, request);
        return;
    }
    member->root = root;
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                                            UCP_EP_PARAM_FIELD_ERR_HANDLER,
                              .conn_request = request,
                              .err_mode = UCP_ERR_HANDLING_MODE_PEER,
                              .err_handler = {.cb = member_gone, .arg = member}};
    if (ucp_ep_create(root->worker.ucp, &params, &member->endpoint) != UCS_OK) {
        free(member);
        return;
    }
    member->next = root->members;
    root->members = member;
    root->connected++;
}

/* The first failure decides what everybody is told. */
static void root_refuse(root_t *root, ncclResult_t result, const char *text)
{
    if (root->verdict.result) return;
    root->verdict.result = result;
    snprintf(root->text, sizeof root->text, "%s", text);
}

static ucs_status_t root_join(void *arg, const void *header, size_t header_length, void *data, size_t length,
                              const ucp_am_recv_param_t *param)
{
    root_t *root = arg;
    root_join_t join;
    if (header_length != sizeof join || length != sizeof(host_card_t)) return UCS_OK;
    memcpy(&join, header, sizeof join);
    if (join.nonce != root->id.nonce) return UCS_OK;
    if (!root->ranks) {
        root->cards = calloc((size_t)join.ranks, sizeof *root->cards);
        root->reply = calloc((size_t)join.ranks, sizeof *root->reply);
        if (!root->cards || !root->reply) return UCS_OK;
        root->ranks = join.ranks;
    }
    char text[HOST_TEXT];
    if (join.ranks != root->ranks || join.rank < 0 || join.rank >= root->ranks) {
        snprintf(text, sizeof text, "rank %d says there are %d ranks, another rank says %d", join.rank, join.ranks,
                 root->ranks);
        root_refuse(root, ncclInvalidUsage, text);
    } else if (root->reply[join.rank]) {
        snprintf(text, sizeof text, "two processes say they are rank %d", join.rank);
        root_refuse(root, ncclInvalidUsage, text);
    } else {
        memcpy(&root->cards[join.rank], data, sizeof(host_card_t));
        root->reply[join.rank] = param->reply_ep;
    }
    root->joined++;
    return UCS_OK;
}

static void root_answer(root_t *root)
{
    size_t length = root->verdict.result ? strlen(root->text) + 1 : (size_t)root->ranks * sizeof *root->cards;
    const void *data = root->verdict.result ? (const void *)root->text : root->cards;
    ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS, .flags = UCP_AM_SEND_FLAG_EAGER};
    for (const member_t *member = root->members; member; member = member->next) {
        ucs_status_ptr_t request =
            ucp_am_send_nbx(member->endpoint, ROOT_REPLY, &root->verdict, sizeof root->verdict, data, length, &param);
        if (UCS_PTR_IS_PTR(request)) ucp_request_free(request);
    }
    worker_flush(&root->worker, NULL, NULL, worker_clock() + 30);
    /* Clients close first: closing here could overtake the answer. */
    double until = worker_clock() + 30;
    while (root->connected > 0 && worker_clock() < until) worker_step(&root->worker, NULL, until);
}

static void root_close(root_t *root)
{
    for (member_t *next, *member = root->members; member; member = next) {
        next = member->next;
        worker_endpoint_close(&root->worker, member->endpoint);
        free(member);
    }
    if (root->listener) ucp_listener_destroy(root->listener);
    worker_close(&root->worker);
    free(root->cards);
    free(root->reply);
    free(root);
}

static void *root_main(void *arg)
{
    root_t *root = arg;
    double timeout = worker_timeout(), until = 0;
    while (!root->ranks || root->joined < root->ranks) {
        /* The clock starts with the first rank: an id may lie unused for long. */
        if (root->ranks && !until) until = worker_clock() + timeout;
        worker_step(&root->worker, NULL, until ? until : worker_clock() + 3600);
        if (until && worker_clock() >= until) break;
    }
    if (root->joined < root->ranks) {
        char text[HOST_TEXT];
        int length = snprintf(text, sizeof text, "after %g s these of %d ranks had not joined:", timeout, root->ranks);
        for (int i = 0; i < root->ranks && length < (int)sizeof text - 16; i++)
            if (!root->reply[i]) length += snprintf(text + length, sizeof text - (size_t)length, " %d", i);
        root_refuse(root, ncclRemoteError, text);
    }
    root_answer(root);
    root_close(root);
    return NULL;
}

static ucs_status_t root_listen(root_t *root)
{
    ucp_am_handler_param_t handler = {.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                                                    UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
                                      .id = ROOT_JOIN,
                                      .flags = UCP_AM_FLAG_WHOLE_MSG,
                                      .cb = root_join,
                                      .arg = root};
    ucs_status_t status = ucp_worker_set_am_recv_handler(root->worker.ucp, &handler);
    if (status != UCS_OK) return status;
    ucp_listener_params_t params = {.field_mask =
                                        UCP_LISTENER_PARAM_FIELD_SOCK_ADDR | UCP_LISTENER_PARAM_FIELD_CONN_HANDLER,
                                    .sockaddr = {.addr = &root->id.address.any, .addrlen = sizeof root->id.address},
                                    .conn_handler = {.cb = root_connect, .arg = root}};
    if (root->id.address.any.sa_family == AF_INET) params.sockaddr.addrlen = sizeof root->id.address.v4;
    status = ucp_listener_create(root->worker.ucp, &params, &root->listener);
    if (status != UCS_OK) return status;
    ucp_listener_attr_t attributes = {.field_mask = UCP_LISTENER_ATTR_FIELD_SOCKADDR};
    status = ucp_listener_query(root->listener, &attributes);
    if (status == UCS_OK) memcpy(&root->id.address, &attributes.sockaddr, sizeof root->id.address);
    return status;
}

ncclResult_t bootstrap_serve(ncclUniqueId *id, char text[HOST_TEXT])
{
    ncclResult_t result = ncclSystemError;
    root_t *root = calloc(1, sizeof *root);
    if (!root) return ncclSystemError;
    root->id.magic = ROOT_MAGIC;
    if (iface_choose(&root->id.address, NULL, 0) != 0) {
        snprintf(text, HOST_TEXT, "no network interface is up that HOSTNCCL_IFNAME or NCCL_SOCKET_IFNAME allow");
        goto fail;
    }
    if (getrandom(&root->id.nonce, sizeof root->id.nonce, 0) != sizeof root->id.nonce) goto fail;
    ucs_status_t status = worker_open(true, &root->worker);
    if (status == UCS_OK) status = root_listen(root);
    if (status != UCS_OK) {
        snprintf(text, HOST_TEXT, "cannot listen for joining ranks: %s", ucs_status_string(status));
        goto fail;
    }
    memset(id, 0, sizeof *id);
    memcpy(id, &root->id, sizeof root->id);
    pthread_t thread;
    if (pthread_create(&thread, NULL, root_main, root) != 0) {
        snprintf(text, HOST_TEXT, "cannot start the thread that serves joining ranks");
        goto fail;
    }
    pthread_detach(thread);
    return ncclSuccess;
fail:
    root_close(root);
    return result;
}
