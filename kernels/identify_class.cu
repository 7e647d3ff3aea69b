/* The classes of rows with one sampled fingerprint: their leaders, their sizes and their places in order. */
#include "identify.cuh"

/* Fills memory that starts and ends on 16 bytes. */
static __device__ __forceinline__ void memory_fill(void *memory, uint64_t bytes, uint32_t word)
{
    uint4 *at = (uint4 *)memory;
    for (uint64_t i = thread_number(); i < bytes / 16; i += thread_count()) at[i] = make_uint4(word, word, word, word);
}

/* Also carries the tables over, to `carried`: from the parameters, or from pinned memory. */
HM_KERNEL(clear, HM_BLOCK, 4)
(const __grid_constant__ hm_identify_t job, const __grid_constant__ hm_tables_t tables, unsigned long long *carried)
{
    work_await();
    work_announce();
    const unsigned long long *staged = (const unsigned long long *)tables.staged;
    for (uint64_t i = thread_number(); i < tables.jobs; i += thread_count())
        carried[i] = staged != nullptr ? __ldcv(staged + i) : tables.held[i];
    memory_fill(job.work.entry, job.work.slots * 8, 0xFFFFFFFFu);
    memory_fill(job.work.start, job.work.zero_bytes, 0);
    for (uint64_t i = thread_number(); i <= job.groups; i += thread_count()) job.out.counts[i] = 0;
}

/* The piece of a row that one of HM_PRINT_LANES threads samples: all bytes of short rows, else four spots of 32 bytes,
 * the first and the last of the row among them. 32 bytes are what memory is read by. */
static __device__ __forceinline__ uint64_t sample_at(uint64_t row_bytes, uint32_t lane, uint32_t *bytes)
{
    if (row_bytes <= 16 * HM_PRINT_LANES) {
        uint64_t at = 16 * lane;
        *bytes = at >= row_bytes ? 0 : min((uint32_t)(row_bytes - at), 16u);
        return at;
    }
    *bytes = 16;
    uint64_t spot = lane / 2, last = row_bytes - 32;
    return (spot == 3 ? last : spot * (last / 3) / 32 * 32) + lane % 2 * 16;
}

/* What the fingerprint of a row is in the table: 31 bits of it above the row. A slot holds the smallest row of its
 * fingerprint; two of the same 31 bits that meet there are one class like any other two that collide. The table has
 * more slots than rows. */
static __device__ __forceinline__ uint64_t slot_enter(const hm_identify_t &job, unsigned long long print, uint32_t row)
{
    uint64_t mixed = word_mix(print);
    unsigned long long own = (mixed >> 33) << 32 | row;
    for (uint64_t slot = mixed;; slot++) {
        slot &= job.work.slots - 1;
        unsigned long long seen = __ldcg(job.work.entry + slot);
        if (seen == HM_SLOT_EMPTY) seen = atomicCAS(job.work.entry + slot, HM_SLOT_EMPTY, own);
        if (seen == HM_SLOT_EMPTY) return slot;
        if (seen >> 32 != own >> 32) continue;
        if (seen > own) atomicMin(job.work.entry + slot, own);
        return slot;
    }
}

/* Fingerprint of one of 32 rows, whose addresses the lanes hold. HM_PRINT_LANES threads sample each row, several rows
 * before they look at the first one. Lane i gets the fingerprint of row print_row(i). */
template <typename T>
static __device__ __forceinline__ unsigned long long rows_print(const unsigned char *row, uint64_t row_bytes)
{
    constexpr uint32_t rounds = HM_PRINT_LANES, together = sizeof(T) == 16 ? 4 : 1;
    uint32_t lane = lane_number(), bytes;
    uint64_t offset = sample_at(row_bytes, lane % HM_PRINT_LANES, &bytes);
    unsigned long long own = 0;
#pragma unroll 1
    for (uint32_t round = 0; round < rounds; round += together) {
        uint4 piece[together];
#pragma unroll
        for (uint32_t k = 0; k < together; k++) {
            uint32_t from = (round + k) * (32 / HM_PRINT_LANES) + lane / HM_PRINT_LANES;
            const unsigned char *at =
                (const unsigned char *)__shfl_sync(HM_ALL_LANES, (unsigned long long)row, from) + offset;
            if (bytes > 0) piece[k] = piece_read<T>(at, bytes);
        }
#pragma unroll
        for (uint32_t k = 0; k < together; k++) {
            unsigned long long print = bytes > 0 ? piece_hash(piece[k], offset) : 0;
            for (int step = HM_PRINT_LANES / 2; step > 0; step /= 2)
                print ^= __shfl_xor_sync(HM_ALL_LANES, print, step);
            if (lane % HM_PRINT_LANES == round + k) own = print;
        }
    }
    return own;
}

static __device__ __forceinline__ uint32_t print_row(uint32_t lane)
{
    return lane % HM_PRINT_LANES * (32 / HM_PRINT_LANES) + lane / HM_PRINT_LANES;
}

HM_KERNEL(print, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    work_announce();
    uint32_t first = (uint32_t)thread_number() / 32 * 32, lane = lane_number();
    const unsigned char *at = row_at(job.table, min(first + lane, job.n - 1));
    unsigned long long print = 0;
    access_choose(job.table.access, [&](auto word) { print = rows_print<decltype(word)>(at, job.table.row_bytes); });
    uint32_t row = first + print_row(lane);
    if (row < job.n) job.work.leader[row] = (uint32_t)slot_enter(job, print & job.fingerprint_mask, row);
}

/* Classes may be huge (rows of zeros), so rows of one warp are counted together. */
HM_KERNEL(gather, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    work_announce();
    uint64_t row = thread_number();
    uint32_t leader = row < job.n ? (uint32_t)job.work.entry[job.work.leader[row]] : 0xFFFFFFFFu;
    uint32_t same = __match_any_sync(HM_ALL_LANES, leader), lane = lane_number(), begin = 0;
    int speaker = __ffs(same) - 1;
    if (row < job.n && (int)lane == speaker) begin = atomicAdd(job.work.start + leader, __popc(same));
    begin = __shfl_sync(HM_ALL_LANES, begin, speaker);
    if (row >= job.n) return;
    job.work.leader[row] = leader;
    job.work.rank[row] = begin + __popc(same & ((1u << lane) - 1));
}

/* Numbers the leaders in row order, and puts rows in their class's place, which an earlier tile may have made. */
HM_KERNEL(number, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    work_announce();
    uint32_t tile = tile_take(job.work.ticket), leader[4], size[4], rank[4];
    uint64_t begin = (uint64_t)tile * HM_NUMBER_TILE + threadIdx.x * 4;
    rows_read(leader, job.work.leader, begin, job.n);
    rows_read(size, job.work.start, begin, job.n);
    rows_read(rank, job.work.rank, begin, job.n);
    leaders_number(job, job.work.state[0], tile, begin, leader, size);
    tiles_await(job.work.done[0], tile);
#pragma unroll
    for (uint32_t k = 0; k < 4; k++)
        if (begin + k < job.n) job.work.order[__ldcg(job.work.start + leader[k]) + rank[k]] = (uint32_t)begin + k;
}
