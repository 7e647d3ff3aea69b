#include "bootstrap.h"

#include "root.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(root_id_t) <= sizeof(ncclUniqueId), "the listener's address must fit into NCCL's unique id");

typedef struct joining {
    int ranks;
    bool answered, lost;
    ncclResult_t result;
    host_card_t *cards;
    char *text;
} joining_t;

static ucs_status_t join_answered(void *arg, const void *header, size_t header_length, void *data, size_t length,
                                  const ucp_am_recv_param_t *param)
{
    (void)param;
    joining_t *joining = arg;
    root_reply_t reply;
    if (header_length != sizeof reply || joining->answered) return UCS_OK;
    memcpy(&reply, header, sizeof reply);
    if (reply.result) {
        snprintf(joining->text, HOST_TEXT, "%.*s", (int)length, (const char *)data);
        joining->result = (ncclResult_t)reply.result;
    } else if (length == (size_t)joining->ranks * sizeof *joining->cards) {
        memcpy(joining->cards, data, length);
    } else {
        snprintf(joining->text, HOST_TEXT, "the listener answered with %zu bytes, not %d cards of %zu bytes", length,
                 joining->ranks, sizeof *joining->cards);
        joining->result = ncclInternalError;
    }
    joining->answered = true;
    return UCS_OK;
}

static void join_lost(void *arg, ucp_ep_h endpoint, ucs_status_t status)
{
    (void)endpoint, (void)status;
    joining_t *joining = arg;
    joining->lost = true;
}

static void join_handler(const host_worker_t *worker, joining_t *joining)
{
    ucp_am_handler_param_t handler = {.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                                                    UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
                                      .id = ROOT_REPLY,
                                      .flags = UCP_AM_FLAG_WHOLE_MSG,
                                      .cb = joining ? join_answered : NULL,
                                      .arg = joining};
    ucp_worker_set_am_recv_handler(worker->ucp, &handler);
}

static ucs_status_t join_connect(const host_worker_t *worker, const root_id_t *id, joining_t *joining,
                                 ucp_ep_h *endpoint)
{
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR |
                                            UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER,
                              .flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER,
                              .sockaddr = {.addr = &id->address.any, .addrlen = sizeof id->address},
                              .err_mode = UCP_ERR_HANDLING_MODE_PEER,
                              .err_handler = {.cb = join_lost, .arg = joining}};
    if (id->address.any.sa_family == AF_INET) params.sockaddr.addrlen = sizeof id->address.v4;
    return ucp_ep_create(worker->ucp, &params, endpoint);
}

static void join_exchange(const host_worker_t *worker, ucp_ep_h endpoint, const root_join_t *join,
                          const host_card_t *mine, joining_t *joining)
{
    ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
                                 .flags = UCP_AM_SEND_FLAG_REPLY | UCP_AM_SEND_FLAG_EAGER};
    ucs_status_ptr_t request = ucp_am_send_nbx(endpoint, ROOT_JOIN, join, sizeof *join, mine, sizeof *mine, &param);
    /* The listener gives up first, and knows who is missing. */
    double until = worker_clock() + worker_timeout() + 15;
    while (!joining->answered && !joining->lost && worker_clock() < until) worker_step(worker, NULL, until);
    if (UCS_PTR_IS_PTR(request)) ucp_request_free(request);
}

ncclResult_t bootstrap_join(const host_worker_t *worker, const ncclUniqueId *unique, int rank, int ranks,
                            const host_card_t *mine, host_card_t *cards, char text[HOST_TEXT])
{
    root_id_t id;
    memcpy(&id, unique, sizeof id);
    if (id.magic != ROOT_MAGIC) {
        snprintf(text, HOST_TEXT, "the unique id was not made by ncclGetUniqueId of this library");
        return ncclInvalidArgument;
    }
    char where[INET6_ADDRSTRLEN] = "?";
    bool v4 = id.address.any.sa_family == AF_INET;
    inet_ntop(id.address.any.sa_family, v4 ? (void *)&id.address.v4.sin_addr : (void *)&id.address.v6.sin6_addr, where,
              sizeof where);
    joining_t joining = {.ranks = ranks, .cards = cards, .text = text};
    join_handler(worker, &joining);
    ucp_ep_h endpoint;
    ucs_status_t status = join_connect(worker, &id, &joining, &endpoint);
    if (status == UCS_OK) {
        join_exchange(worker, endpoint, &(root_join_t){id.nonce, rank, ranks}, mine, &joining);
        worker_endpoint_close(worker, endpoint);
    }
    join_handler(worker, NULL);
    if (joining.answered) return joining.result;
    snprintf(text, HOST_TEXT, "rank %d: no answer from the process at %s port %u that made the unique id%s", rank,
             where, ntohs(v4 ? id.address.v4.sin_port : id.address.v6.sin6_port),
             joining.lost ? " (connection lost)" : "");
    return ncclRemoteError;
}

uint64_t bootstrap_nonce(const ncclUniqueId *unique)
{
    root_id_t id;
    memcpy(&id, unique, sizeof id);
    return id.nonce;
}
