/* Ordered compaction of rows by their masks, and maps of row numbers. */
#include "scan.cuh"

/* Writes bits [first, first + count) of a mask from bit 0 on. Reads no byte beyond them. */
static __device__ __forceinline__ void mask_cut(uint8_t *sub, const uint8_t *mask, hm_bits_t bits)
{
    for (uint32_t at = 0; at < bits.count; at += 8) {
        uint32_t from = bits.first + at, skip = from % 8, take = min(bits.count - at, 8u);
        uint32_t byte = mask[from / 8] >> skip;
        if (skip + take > 8) byte |= mask[from / 8 + 1] << (8 - skip);
        sub[at / 8] = (uint8_t)(byte & (0xFFu >> (8 - take)));
    }
}

HM_KERNEL(pick, HM_BLOCK, 4)(const hm_pick_t *jobs, uint32_t count, unsigned long long *state, uint32_t *ticket)
{
    uint32_t tile = tile_take(ticket);
    const hm_pick_t job = jobs[job_find(jobs, count, &hm_pick_t::first_tile, tile)];
    uint32_t begin = (tile - job.first_tile) * HM_SCAN_TILE + threadIdx.x * 8, hits = 0;
    bool words = mask_words(job.mask, job.mask_bytes);
#pragma unroll
    for (uint32_t k = 0; k < 8; k++) {
        uint64_t row = begin + k;
        if (row < job.rows && mask_hits(job.mask + row * job.mask_bytes, words, job.bits)) hits |= 1u << k;
    }
    unsigned long long total;
    uint64_t before = scan_before(state + job.first_tile, tile - job.first_tile, __popc(hits), &total);
#pragma unroll
    for (uint32_t k = 0; k < 8; k++) {
        uint64_t row = begin + k;
        if (row < job.rows && job.place) job.place[row] = (uint32_t)before;
        if (!(hits >> k & 1) || before >= job.most) continue;
        if (job.index) job.index[before] = (uint32_t)row;
        if (job.sub) mask_cut(job.sub + before * job.sub_bytes, job.mask + row * job.mask_bytes, job.bits);
        before++;
    }
}

HM_KERNEL(map, HM_BLOCK, 4)(const hm_map_t *jobs, uint32_t count)
{
    const hm_map_t job = jobs[job_find(jobs, count, &hm_map_t::first_tile, blockIdx.x)];
    uint64_t begin = (uint64_t)(blockIdx.x - job.first_tile) * HM_MAP_TILE + threadIdx.x;
#pragma unroll
    for (uint32_t k = 0; k < HM_MAP_TILE / HM_BLOCK; k++) {
        uint64_t row = begin + k * HM_BLOCK;
        if (row < job.rows) job.out[row] = job.place[job.id[row]];
    }
}
