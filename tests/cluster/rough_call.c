#include "rough_call.h"

#include <string.h>

void call_make(const ranks_t *ranks, size_t rows, uint64_t salt, call_t *call)
{
    data_random_t random = {salt * 64 + (uint64_t)ranks->rank};
    call->shape = (data_shape_t){.type = ncclInt8, .type_bytes = 1, .row_bytes = 512, .pool = 6, .salt = salt};
    for (int s = 0; s < ranks->ranks; s++)
        for (int r = 0; r < ranks->ranks; r++) call->shape.count[s][r] = rows * 512;
    CHECK(data_buffers_make(&random, &call->shape, ranks->ranks, ranks->rank, false, &call->data));
}

/* What each source sends is drawn from its rank alone, so a receiver can make it again. */
void call_check(const ranks_t *ranks, size_t rows, uint64_t salt, call_t *call)
{
    for (int s = 0; s < ranks->ranks; s++) {
        ranks_t source = {.rank = s, .ranks = ranks->ranks};
        call_t other;
        call_make(&source, rows, salt, &other);
        CHECK(memcmp(call->data.got[s], other.data.send[ranks->rank], rows * 512) == 0);
        data_buffers_free(&other.data);
    }
    data_buffers_free(&call->data);
}

__attribute__((noinline)) ncclResult_t odd_all_to_all(const ranks_t *ranks, const call_t *call, ncclComm_t comm,
                                                      cudaStream_t stream)
{
    CHECK(ncclGroupStart() == ncclSuccess);
    for (int p = 0; p < ranks->ranks; p++) {
        ncclSend(call->data.send[p], call->data.out[p], ncclInt8, p, comm, stream);
        ncclRecv(call->data.got[p], call->data.in[p], ncclInt8, p, comm, stream);
    }
    ncclResult_t result = ncclGroupEnd();
    __asm__ volatile("" ::: "memory"); /* no tail call: this function must be on the stack */
    return result;
}

void round_run(const ranks_t *ranks, ncclComm_t comm, cudaStream_t stream, size_t rows, uint64_t salt)
{
    call_t call;
    call_make(ranks, rows, salt, &call);
    CHECK(odd_all_to_all(ranks, &call, comm, stream) == ncclSuccess);
    SYNC(stream);
    call_check(ranks, rows, salt, &call);
}
