/* Built without tail calls: who looks at the stack inside the last NCCL call must find these functions on it. */
#include "exchange.h"

__attribute__((noinline)) ncclResult_t moe_perf_all_to_all_v(const mp_exchange_t *exchange)
{
    const char *send = exchange->send;
    char *recv = exchange->recv;
    ncclResult_t first = ncclGroupStart();
    for (int p = 0; !first && p < exchange->ranks; p++) {
        size_t out = exchange->send_count[p], in = exchange->recv_count[p];
        first = ncclSend(send, out, exchange->type, p, exchange->comm, exchange->stream);
        if (!first) first = ncclRecv(recv, in, exchange->type, p, exchange->comm, exchange->stream);
        if (out) send += out * exchange->type_bytes;
        if (in) recv += in * exchange->type_bytes;
    }
    ncclResult_t last = ncclGroupEnd();
    return first ? first : last;
}

__attribute__((noinline)) ncclResult_t moe_perf_all_to_all(const mp_exchange_t *exchange, mp_alltoall_t alltoall)
{
    ncclResult_t result = alltoall(exchange->send, exchange->recv, exchange->send_count[0], exchange->type,
                                   exchange->comm, exchange->stream);
    return result;
}
