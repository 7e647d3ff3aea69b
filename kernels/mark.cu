/* Identity from announced tokens. Label and count of identify end it: they read leaders and numbers alone. */
#include "identify.cuh"

#define HM_LEAD_NONE 0xFFFFFFFFu

/* The token of a row; the filler for one that is out of range. */
static __device__ __forceinline__ uint32_t token_read(const hm_mark_t &job, uint64_t row, bool *known)
{
    long long token = job.tokens.bytes == 8 ? ((const long long *)job.tokens.token)[row]
                                            : (long long)((const int *)job.tokens.token)[row];
    *known = token >= 0 && (uint64_t)token <= job.tokens.tokens;
    return (uint32_t)(*known ? (uint64_t)token : job.tokens.tokens);
}

HM_KERNEL(mark_clear, HM_BLOCK, 4)(const __grid_constant__ hm_mark_t job)
{
    work_await();
    work_announce();
    uint64_t tiles = ((uint64_t)job.rows.n + HM_NUMBER_TILE - 1) / HM_NUMBER_TILE;
    for (uint64_t i = thread_number(); i <= job.tokens.tokens; i += thread_count()) job.lead[i] = HM_LEAD_NONE;
    for (uint64_t i = thread_number(); i < tiles; i += thread_count()) job.rows.work.state[0][i] = 0;
    for (uint64_t i = thread_number(); i <= job.rows.groups; i += thread_count()) job.rows.out.counts[i] = 0;
    if (thread_number() < 4) job.rows.work.ticket[thread_number()] = 0;
    if (thread_number() == 0) *job.found.wrong = 0;
}

/* The look before the atomic keeps a token of very many rows from being written by all of them. */
HM_KERNEL(mark_first, HM_BLOCK, 4)(const __grid_constant__ hm_mark_t job)
{
    work_await();
    work_announce();
    bool known;
    uint64_t row = thread_number();
    if (row >= job.rows.n) return;
    uint32_t token = token_read(job, row, &known);
    if (__ldcg(job.lead + token) > row) atomicMin(job.lead + token, (uint32_t)row);
    if (!known) atomicAdd(job.found.wrong, 1);
}

HM_KERNEL(mark_number, HM_BLOCK, 4)(const __grid_constant__ hm_mark_t job)
{
    work_await();
    work_announce();
    bool known;
    uint32_t tile = tile_take(job.rows.work.ticket), leader[4];
    uint64_t begin = (uint64_t)tile * HM_NUMBER_TILE + threadIdx.x * 4;
#pragma unroll
    for (uint32_t k = 0; k < 4; k++) {
        if (begin + k >= job.rows.n) break;
        leader[k] = job.lead[token_read(job, begin + k, &known)];
        job.rows.work.leader[begin + k] = leader[k];
    }
    leaders_number(job.rows, job.rows.work.state[0], tile, begin, leader, nullptr);
}

/* Whether two rows differ, asked by a warp. */
template <typename T>
static __device__ __forceinline__ bool rows_differ(const unsigned char *one, const unsigned char *other, uint64_t bytes)
{
    uint32_t difference = 0;
    for (uint64_t at = lane_number(); at < bytes / sizeof(T); at += 32)
        difference |= word_difference(__ldg((const T *)one + at), __ldg((const T *)other + at));
    return __any_sync(HM_ALL_LANES, difference != 0);
}

/* A warp takes every checked row in turn. */
HM_KERNEL(mark_check, HM_BLOCK, 4)(const __grid_constant__ hm_mark_t job)
{
    work_await();
    const hm_table_t &table = job.rows.table;
    uint64_t each = job.tokens.check_each;
    if (thread_number() == 0) {
        uint32_t lead = job.lead[job.tokens.tokens];
        *job.found.filler = lead == HM_LEAD_NONE ? lead : job.rows.work.number[lead];
    }
    if (each == 0) return;
    for (uint64_t row = job.tokens.check_turn % each + thread_number() / 32 * each; row < job.rows.n;
         row += thread_count() / 32 * each) {
        bool known, differ = false;
        token_read(job, row, &known);
        uint32_t leader = job.rows.work.leader[row];
        if (!known || leader == row) continue;
        const unsigned char *one = row_at(table, (uint32_t)row), *other = row_at(table, leader);
        access_choose(table.access,
                      [&](auto word) { differ = rows_differ<decltype(word)>(one, other, table.row_bytes); });
        if (differ && lane_number() == 0) atomicAdd(job.found.wrong, 1);
    }
}
