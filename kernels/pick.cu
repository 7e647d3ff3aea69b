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

/* The same where all wanted bits lie in one word W of a mask: no load waits for another one. */
template <typename W> static __device__ __forceinline__ uint32_t rows_hit_one(const hm_pick_t &job, uint32_t begin)
{
    uint32_t bits = 8 * sizeof(W), hits = 0;
    const uint8_t *mask = job.mask + job.bits.first / bits * sizeof(W);
    uint32_t wanted = 0xFFFFFFFFu >> (32 - job.bits.count) << job.bits.first % bits, word[8];
#pragma unroll
    for (uint32_t k = 0; k < 8; k++)
        word[k] = *(const W *)(mask + (uint64_t)min(begin + k, job.rows - 1) * job.mask_bytes);
#pragma unroll
    for (uint32_t k = 0; k < 8; k++) hits |= (uint32_t)((word[k] & wanted) != 0 && begin + k < job.rows) << k;
    return hits;
}

/* Which of the 8 rows from `begin` on have a wanted bit. */
static __device__ __forceinline__ uint32_t rows_hit(const hm_pick_t &job, uint32_t begin)
{
    bool words = mask_words(job.mask, job.mask_bytes);
    uint32_t bits = words ? 32 : 8, hits = 0;
    if (job.bits.count > 0 && job.bits.first % bits + job.bits.count <= bits)
        return words ? rows_hit_one<uint32_t>(job, begin) : rows_hit_one<uint8_t>(job, begin);
    for (uint32_t k = 0; k < 8 && begin + k < job.rows; k++) {
        const uint8_t *mask = job.mask + (uint64_t)(begin + k) * job.mask_bytes;
        hits |= (uint32_t)mask_hits(mask, words, job.bits) << k;
    }
    return hits;
}

HM_KERNEL(pick, HM_BLOCK, 4)(const __grid_constant__ hm_tables_t tables, const hm_pick_scan_t scan)
{
    work_await();
    uint32_t tile = tile_take(scan.ticket) - scan.ticket_before;
    const hm_pick_t job = table_take(tables, 0, tables.jobs, &hm_pick_t::first_tile, tile);
    uint32_t begin = (tile - job.first_tile) * HM_SCAN_TILE + threadIdx.x * 8, hits = rows_hit(job, begin);
    uint64_t sub_bytes = (job.bits.count + 7) / 8;
    unsigned long long total;
    hm_scan_t<64 - 2 - HM_PICK_TAG_BITS> states = {scan.state + job.first_tile, scan.tag};
    uint64_t before = scan_before(states, tile - job.first_tile, __popc(hits), &total);
#pragma unroll
    for (uint32_t k = 0; k < 8; k++) {
        uint64_t row = (uint64_t)begin + k;
        if (row < job.rows && job.place != nullptr) job.place[row] = (uint32_t)before;
        if (!(hits >> k & 1) || before >= job.most) continue;
        if (job.index != nullptr) job.index[before] = (uint32_t)row;
        if (job.sub != nullptr) mask_cut(job.sub + before * sub_bytes, job.mask + row * job.mask_bytes, job.bits);
        before++;
    }
}

HM_KERNEL(map, HM_BLOCK, 4)(const __grid_constant__ hm_tables_t tables)
{
    work_await();
    const hm_map_t job = table_take(tables, 0, tables.jobs, &hm_map_t::first_tile, blockIdx.x);
    uint64_t begin = (uint64_t)(blockIdx.x - job.first_tile) * HM_MAP_TILE + threadIdx.x;
#pragma unroll
    for (uint32_t k = 0; k < HM_MAP_TILE / HM_BLOCK; k++) {
        uint64_t row = begin + k * HM_BLOCK;
        if (row < job.rows) job.out[row] = job.place[job.id[row]];
    }
}
