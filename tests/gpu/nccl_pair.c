#include "nccl_pair.h"

#include "say.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

/* Name and second name of each function, the latter out of NCCL's own image. */
static int both_find(void *library, const char *second, void *job, void *plain)
{
    void *first = dlsym(RTLD_DEFAULT, second + 1), *own = dlsym(library, second);
    memcpy(job, &first, sizeof(first));
    memcpy(plain, &own, sizeof(own));
    if (first && own) return 0;
    say("expected the loaded libnccl.so.2 to have %s and %s", second + 1, second);
    return -ENOENT;
}

static bool elsewhere(const void *one, const void *other)
{
    Dl_info a = {0}, b = {0};
    return dladdr(one, &a) && dladdr(other, &b) && a.dli_fbase != b.dli_fbase;
}

int nccl_pair_open(nccl_pair_t *pair)
{
    void *library = dlopen("libnccl.so.2", RTLD_LAZY | RTLD_NOLOAD), *job, *plain;
    *pair = (nccl_pair_t){.job.name = "by name", .plain.name = "by second name"};
    if (!library) {
        say("libnccl.so.2 is not loaded: %s", dlerror());
        return -ENOENT;
    }
    int status = both_find(library, "pncclGroupStart", &pair->job.group_start, &pair->plain.group_start);
    if (!status) status = both_find(library, "pncclGroupEnd", &pair->job.group_end, &pair->plain.group_end);
    if (!status) status = both_find(library, "pncclSend", &pair->job.send, &pair->plain.send);
    if (!status) status = both_find(library, "pncclRecv", &pair->job.recv, &pair->plain.recv);
    if (!status) status = both_find(library, "pncclAllGather", &pair->job.allgather, &pair->plain.allgather);
    if (status) return status;
    if (dlsym(library, "pncclAlltoAll"))
        both_find(library, "pncclAlltoAll", &pair->job.alltoall, &pair->plain.alltoall);
    memcpy(&job, &pair->job.group_end, sizeof(job));
    memcpy(&plain, &pair->plain.group_end, sizeof(plain));
    pair->preloaded = elsewhere(job, plain);
    return 0;
}

static ncclResult_t peer_issue(const nccl_exchange_t *exchange, const nccl_way_t *way, int peer)
{
    size_t out = exchange->send_count[peer], in = exchange->recv_count[peer];
    ncclDataType_t send_type = exchange->send_type ? exchange->send_type[peer] : exchange->type;
    ncclDataType_t recv_type = exchange->recv_type ? exchange->recv_type[peer] : exchange->type;
    cudaStream_t stream = exchange->second && peer % 2 ? exchange->second : exchange->stream;
    bool all = !exchange->left_out || peer == exchange->rank;
    ncclResult_t result = ncclSuccess;
    if (out || all) result = way->send(exchange->send[peer], out, send_type, peer, exchange->comm, stream);
    if (!result && (in || all)) result = way->recv(exchange->recv[peer], in, recv_type, peer, exchange->comm, stream);
    return result;
}

__attribute__((noinline)) ncclResult_t nccl_exchange_issue(const nccl_exchange_t *exchange, const nccl_way_t *way)
{
    ncclResult_t first, last;
    if (exchange->by_name) {
        first = way->alltoall(exchange->send[0], exchange->recv[0], exchange->send_count[0], exchange->type,
                              exchange->comm, exchange->stream);
        return first;
    }
    first = way->group_start();
    for (int p = 0; !first && p < exchange->ranks; p++) {
        if (exchange->inside && p == exchange->ranks / 2) exchange->inside();
        first = peer_issue(exchange, way, p);
    }
    last = way->group_end();
    __asm__ volatile("" ::: "memory"); /* no tail call: this function must be on the stack, known as the caller */
    return first ? first : last;
}
