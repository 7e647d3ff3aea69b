/* The size of a row from the bytes alone: rows of all sizes in question are hashed and counted. */
#include "device.cuh"

/* Whether the table has the hash; enters it. The table has more slots than rows. */
static __device__ __forceinline__ bool hash_enter(unsigned long long *table, uint64_t slots, unsigned long long hash)
{
    if (hash == 0) hash = 1; /* 0: a free slot */
    for (uint64_t slot = word_mix(hash);; slot++) {
        slot &= slots - 1;
        unsigned long long seen = __ldcg(table + slot);
        if (seen == 0) seen = atomicCAS(table + slot, 0ull, hash);
        if (seen == 0) return false;
        if (seen == hash) return true;
    }
}

/* One row, by one warp. What all lanes count alike is right in each; copies are counted by lane 0. */
template <typename T>
static __device__ __forceinline__ void row_count(const unsigned char *at, uint32_t bytes, unsigned long long *table,
                                                 uint64_t slots, hm_period_count_t *count)
{
    unsigned long long hash = 0;
    uint32_t any = 0;
#pragma unroll 4
    for (uint32_t offset = lane_number() * 16; offset < bytes; offset += 32 * 16) {
        uint4 piece = piece_read<T>(at + offset, min(bytes - offset, 16u));
        any |= piece.x | piece.y | piece.z | piece.w;
        hash ^= piece_hash(piece, offset);
    }
    for (int step = 16; step > 0; step /= 2) hash ^= __shfl_xor_sync(HM_ALL_LANES, hash, step);
    count->rows++;
    if (!__any_sync(HM_ALL_LANES, any != 0)) {
        count->zeros++;
    } else if (lane_number() == 0 && hash_enter(table, slots, hash)) {
        count->copies++;
    }
}

/* A block takes one part with one size; blocks that run together read the same part. */
HM_KERNEL(period, HM_BLOCK, 4)(const __grid_constant__ hm_period_work_t job)
{
    work_await();
    uint32_t which = blockIdx.x % job.sizes, bytes = job.size[which];
    const hm_period_part_t part = job.part[blockIdx.x / job.sizes];
    unsigned long long *table = job.entry + job.table[which];
    uint64_t first, slots = job.table[which + 1] - job.table[which];
    uint32_t rows = period_rows(&part, bytes, &first);
    hm_period_count_t own = {0, 0, 0};
    uint32_t access = min(job.access, bytes & (0u - bytes));
    access_choose(access, [&](auto word) {
        for (uint32_t row = threadIdx.x / 32; row < rows; row += HM_BLOCK / 32)
            row_count<decltype(word)>(part.base + (first + row) * bytes, bytes, table, slots, &own);
    });
    if (lane_number() > 0 || own.rows == 0) return;
    atomicAdd(&job.count[which].rows, own.rows);
    atomicAdd(&job.count[which].copies, own.copies);
    atomicAdd(&job.count[which].zeros, own.zeros);
}

HM_KERNEL(settle, 32, 1)(const __grid_constant__ hm_period_work_t job)
{
    work_await();
    if (threadIdx.x == 0) period_settle(job.size, job.count, job.sizes, job.scale, job.found);
}
