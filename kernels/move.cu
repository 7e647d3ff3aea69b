/* Moving rows, carrying small host tables over, and claiming words that the host may take back. */
#include "device.cuh"

/* Copies up to 8 words per lane of one row. Past the end every lane loads the last word, so that all loads start before
 * the first one is waited for. */
template <typename T, bool FULL> static __device__ __forceinline__ void part_move(T *dst, const T *src, uint32_t words)
{
    uint32_t lane = lane_number();
    T held[8];
#pragma unroll
    for (uint32_t k = 0; k < 8; k++) {
        int32_t step = FULL ? (int32_t)k * 32 : (int32_t)(min(k * 32 + lane, words - 1) - lane);
        held[k] = __ldg(src + lane + step);
    }
#pragma unroll
    for (uint32_t k = 0; k < 8; k++)
        if (FULL || k * 32 + lane < words) __stcs(dst + lane + k * 32, held[k]);
}

/* Rows of at most 128 words: as many of them as a warp can hold in 8 loads, each row on the next power of two. */
template <typename T>
static __device__ __forceinline__ void
short_rows_move(unsigned char *dst, uint64_t stride, const unsigned char *const *source, uint32_t rows, uint32_t words)
{
    uint32_t shift = words <= 1 ? 0 : 32 - __clz(words - 1), step = 256u >> shift;
    for (uint32_t begin = threadIdx.x / 32 * step; begin < rows; begin += HM_MOVE_BLOCK / 32 * step) {
        T held[8];
#pragma unroll
        for (uint32_t k = 0; k < 8; k++) {
            uint32_t at = k * 32 + lane_number(), row = min(begin + (at >> shift), rows - 1);
            held[k] = __ldg((const T *)source[row] + min(at & ((1u << shift) - 1), words - 1));
        }
#pragma unroll
        for (uint32_t k = 0; k < 8; k++) {
            uint32_t at = k * 32 + lane_number(), row = begin + (at >> shift), word = at & ((1u << shift) - 1);
            if (row < rows && word < words) __stcs((T *)(dst + row * stride) + word, held[k]);
        }
    }
}

/* Copies `words` words of each of `rows` rows from source[row] to dst + row * stride, by one block. */
template <typename T>
static __device__ __forceinline__ void rows_move(unsigned char *dst, uint64_t stride,
                                                 const unsigned char *const *source, uint32_t rows, uint32_t words)
{
    if (words <= 128) return short_rows_move<T>(dst, stride, source, rows, words);
    uint32_t parts = (words + 255) / 256;
    for (uint32_t task = threadIdx.x / 32; task < rows * parts; task += HM_MOVE_BLOCK / 32) {
        uint32_t row = task / parts, begin = task % parts * 256;
        T *to = (T *)(dst + row * stride) + begin;
        const T *from = (const T *)source[row] + begin;
        if (words - begin >= 256) {
            part_move<T, true>(to, from, 256);
        } else {
            part_move<T, false>(to, from, words - begin);
        }
    }
}

static __device__ __forceinline__ const unsigned char *source_row(const hm_tables_t &tables, const hm_move_t &job,
                                                                  uint32_t row)
{
    if (job.index != nullptr) row = job.index[row];
    if (job.via != nullptr) row = job.via[min(row, job.via_last)];
    row = min(row, job.src_last);
    if (job.segments == 0) return job.src + row * job.src_stride + job.src_offset;
    hm_segment_t segment = table_take(tables, job.segments_at, job.segments, &hm_segment_t::first, row);
    return segment.base + (row - segment.first) * job.src_stride + job.src_offset;
}

HM_KERNEL(move, HM_MOVE_BLOCK, 8)(const __grid_constant__ hm_tables_t tables)
{
    __shared__ const unsigned char *source[HM_MOVE_ROWS];
    work_await();
    const hm_move_t job = table_take(tables, 0, tables.jobs, &hm_move_t::first_unit, blockIdx.x);
    uint32_t unit = blockIdx.x - job.first_unit, first = unit % job.unit.across * job.unit.rows;
    uint64_t begin = (uint64_t)(unit / job.unit.across) * job.unit.bytes;
    uint32_t rows = min((uint32_t)job.unit.rows, job.rows - first);
    uint32_t bytes = (uint32_t)min((uint64_t)job.unit.bytes, job.width - begin);
    for (uint32_t r = threadIdx.x; r < rows; r += HM_MOVE_BLOCK) source[r] = source_row(tables, job, first + r) + begin;
    __syncthreads();
    unsigned char *dst = job.dst + first * job.dst_stride + begin;
    uint64_t stride = job.dst_stride;
    access_choose(job.unit.access, [&](auto word) {
        rows_move<decltype(word)>(dst, stride, source, rows, (uint32_t)(bytes / sizeof(word)));
    });
}

/* Copies between pinned host memory and device memory, so that small tables need not queue behind the job's own big
 * copies on a copy engine. `followed`: by one of our kernels. */
HM_KERNEL(stage, HM_BLOCK, 4)(unsigned char *dst, const unsigned char *src, uint64_t bytes, uint32_t followed)
{
    work_await();
    if (followed) work_announce();
    uint64_t number = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x, step = (uint64_t)gridDim.x * blockDim.x;
    uint64_t whole = (((uintptr_t)dst | (uintptr_t)src) & 15) == 0 ? bytes / 16 : 0;
    for (uint64_t i = number; i < whole; i += step) ((uint4 *)dst)[i] = __ldcv((const uint4 *)src + i);
    for (uint64_t i = whole * 16 + number; i < bytes; i += step) dst[i] = __ldcv(src + i);
}

/* One thread. The fences reach the host, where the claim lies: it writes `withdrawn`, then reads `claimed`. */
HM_KERNEL(claim, 1, 1)(hm_claim_t *claim, uint32_t *word, uint32_t value)
{
    work_await();
    claim->claimed = 1;
    __threadfence_system();
    if (claim->withdrawn != 0) *word = value;
    __threadfence_system();
    claim->passed = 1;
}
