/* Prefix sums over many blocks in one launch: each block publishes its sum, then looks back over its predecessors.
 *
 * A state is 2 bits of flag, a tag and a value, written and read as one word, so no fence is needed between them. A
 * state with another tag is one of an earlier launch: nothing was published yet. Blocks take tile numbers from a
 * ticket: whoever holds a tile knows that all earlier ones are running or done, so the look-back always ends, in
 * whatever order blocks start. */
#ifndef HM_SCAN_CUH
#define HM_SCAN_CUH

#include "device.cuh"

#define HM_STATE_SUM 1ull    /* value: sum of this tile */
#define HM_STATE_PREFIX 2ull /* value: sum of this tile and all before */

/* The states of a scan whose sums have at most VALUE_BITS bits. With 62 there is no tag, and states start as zeros. */
template <int VALUE_BITS> struct hm_scan_t {
    volatile unsigned long long *state;
    unsigned long long tag;

    __device__ __forceinline__ unsigned long long word(unsigned long long flag, unsigned long long value) const
    {
        return flag << 62 | tag << VALUE_BITS | value;
    }
    __device__ __forceinline__ bool published(unsigned long long word) const
    {
        bool ours = true;
        if constexpr (VALUE_BITS < 62) ours = (word << 2) >> (VALUE_BITS + 2) == tag;
        return word >> 62 != 0 && ours;
    }
    __device__ __forceinline__ unsigned long long value(unsigned long long word) const
    {
        return word & ((1ull << VALUE_BITS) - 1);
    }
};

/* The next tile number, the same for all threads. Has a barrier. */
static __device__ __forceinline__ uint32_t tile_take(uint32_t *ticket)
{
    __shared__ uint32_t taken;
    if (threadIdx.x == 0) taken = atomicAdd(ticket, 1);
    __syncthreads();
    return taken;
}

/* Sum of all tiles before `tile`, for the lanes of one warp; `sum` is this tile's own. */
template <int BITS>
static __device__ __forceinline__ unsigned long long tiles_before(const hm_scan_t<BITS> &scan, uint32_t tile,
                                                                  unsigned long long sum)
{
    uint32_t lane = lane_number();
    if (tile == 0) {
        if (lane == 0) scan.state[0] = scan.word(HM_STATE_PREFIX, sum);
        return 0;
    }
    if (lane == 0) scan.state[tile] = scan.word(HM_STATE_SUM, sum);
    unsigned long long before = 0;
    for (int64_t at = (int64_t)tile - 1 - lane;; at -= 32) {
        unsigned long long seen;
        do {
            seen = at >= 0 ? scan.state[at] : scan.word(HM_STATE_PREFIX, 0);
        } while (__any_sync(HM_ALL_LANES, !scan.published(seen)));
        uint32_t ends = __ballot_sync(HM_ALL_LANES, seen >> 63);
        uint32_t last = ends ? __ffs(ends) - 1 : 31;
        unsigned long long part = lane <= last ? scan.value(seen) : 0;
        for (int step = 16; step > 0; step /= 2) part += __shfl_xor_sync(HM_ALL_LANES, part, step);
        before += part;
        if (ends) break;
    }
    if (lane == 0) scan.state[tile] = scan.word(HM_STATE_PREFIX, before + sum);
    return before;
}

/* Sum of `own` over all threads before this one, in this tile and all earlier ones; *total is the sum up to and with
 * this tile. Called by all HM_BLOCK threads. */
template <int BITS>
static __device__ __forceinline__ unsigned long long scan_before(const hm_scan_t<BITS> &scan, uint32_t tile,
                                                                 unsigned long long own, unsigned long long *total)
{
    __shared__ unsigned long long warp_sum[HM_BLOCK / 32], tile_before;
    uint32_t lane = lane_number(), warp = threadIdx.x / 32;
    unsigned long long up = own;
    for (int step = 1; step < 32; step *= 2) {
        unsigned long long left = __shfl_up_sync(HM_ALL_LANES, up, step);
        if (lane >= (uint32_t)step) up += left;
    }
    if (lane == 31) warp_sum[warp] = up;
    __syncthreads();
    unsigned long long before = 0, sum = 0;
    for (uint32_t w = 0; w < HM_BLOCK / 32; w++) {
        if (w == warp) before = sum;
        sum += warp_sum[w];
    }
    if (warp == 0) {
        unsigned long long tiles = tiles_before(scan, tile, sum);
        if (lane == 0) tile_before = tiles;
    }
    __syncthreads();
    *total = tile_before + sum;
    return tile_before + before + up - own;
}

static __device__ __forceinline__ void flag_set(volatile uint32_t *flag, uint32_t value)
{
    __syncthreads();
    if (threadIdx.x > 0) return;
    __threadfence();
    *flag = value;
}

/* Publishes that all threads of this tile have written what others read, and returns once all earlier tiles have.
 * What they wrote is then to be read past the first cache. `done` starts as zeros; 1: this tile, 2: all before it too,
 * so that nobody looks back over all tiles. */
static __device__ __forceinline__ void tiles_await(volatile uint32_t *done, uint32_t tile)
{
    flag_set(done + tile, 1);
    for (int64_t at = (int64_t)tile - 1 - threadIdx.x;; at -= HM_BLOCK) {
        uint32_t seen;
        do {
            seen = at >= 0 ? done[at] : 2;
        } while (seen == 0);
        __threadfence();
        if (__syncthreads_or(seen == 2)) break;
    }
    flag_set(done + tile, 2);
}

#endif
