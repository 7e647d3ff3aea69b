/* Lists of children by sum: counted, laid out one after another, filled in any order, then sorted. Children are
 * numbered through all pieces; only the end turns numbers into rows of sources. */
#include "scan.cuh"

/* The sum of a child; false where its list names none. */
static __device__ __forceinline__ bool child_sum(const hm_tables_t &tables, uint32_t child, uint32_t *sum)
{
    const hm_piece_t piece = table_take(tables, 0, tables.jobs, &hm_piece_t::first, child);
    uint32_t own = piece.sum[child - piece.first];
    *sum = piece.first_sum + own;
    return own < piece.sums;
}

HM_KERNEL(invert_count, HM_BLOCK, 4)(const __grid_constant__ hm_tables_t tables, const hm_invert_t job)
{
    work_await();
    uint64_t begin = (uint64_t)blockIdx.x * HM_INVERT_TILE + threadIdx.x;
#pragma unroll
    for (uint32_t k = 0; k < HM_INVERT_TILE / HM_BLOCK; k++) {
        uint32_t sum;
        uint64_t child = begin + k * HM_BLOCK;
        if (child < job.children && child_sum(tables, (uint32_t)child, &sum)) atomicAdd(job.next + sum, 1);
    }
}

/* Counts become where lists start, there and where children are put. */
HM_KERNEL(invert_offset, HM_BLOCK, 4)(const hm_invert_t job)
{
    work_await();
    uint32_t tile = tile_take(job.ticket), count[8];
    uint64_t begin = (uint64_t)tile * HM_SCAN_TILE + threadIdx.x * 8;
    unsigned long long own = 0, total;
#pragma unroll
    for (uint32_t k = 0; k < 8; k++) own += count[k] = begin + k < job.sums ? job.next[begin + k] : 0;
    unsigned long long before = scan_before(hm_scan_t<62>{job.state, 0}, tile, own, &total);
#pragma unroll
    for (uint32_t k = 0; k < 8; k++) {
        if (begin + k < job.sums) job.offset[begin + k] = job.next[begin + k] = (uint32_t)before;
        before += count[k];
    }
    if (tile == gridDim.x - 1 && threadIdx.x == 0) job.offset[job.sums] = (uint32_t)total;
}

HM_KERNEL(invert_fill, HM_BLOCK, 4)(const __grid_constant__ hm_tables_t tables, const hm_invert_t job)
{
    work_await();
    uint64_t begin = (uint64_t)blockIdx.x * HM_INVERT_TILE + threadIdx.x;
#pragma unroll
    for (uint32_t k = 0; k < HM_INVERT_TILE / HM_BLOCK; k++) {
        uint32_t sum;
        uint64_t child = begin + k * HM_BLOCK;
        if (child < job.children && child_sum(tables, (uint32_t)child, &sum))
            job.child[atomicAdd(job.next + sum, 1)] = (uint32_t)child;
    }
}

/* What a list says of a child: its row, and the nodes that it does not share with the child behind it. */
static __device__ uint32_t child_entry(const hm_tables_t &tables, uint32_t child, uint32_t next)
{
    const hm_piece_t *piece =
        (const hm_piece_t *)(tables.staged != nullptr ? tables.staged : (const unsigned char *)tables.held);
    uint32_t own = job_find(piece, tables.jobs, &hm_piece_t::first, child), parting = 0;
    for (uint32_t p = own + 1; p < tables.jobs && piece[p].first <= next; p++) parting = max(parting, piece[p].parting);
    return (piece[own].first_row + child - piece[own].first) | parting << HM_CHILD_BITS;
}

/* A short list, by one thread. */
static __device__ void list_finish(const hm_tables_t &tables, uint32_t *list, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint32_t one = list[i], at = i;
        for (; at > 0 && list[at - 1] > one; at--) list[at] = list[at - 1];
        list[at] = one;
    }
    for (uint32_t i = 0; i < count; i++) list[i] = child_entry(tables, list[i], i + 1 < count ? list[i + 1] : list[i]);
}

/* A long one, by a block: Batcher's merge exchange, as it is for any count. */
static __device__ void long_list_finish(const hm_tables_t &tables, uint32_t *list, uint32_t count)
{
    for (uint32_t p = 1; p < count; p *= 2)
        for (uint32_t k = p; k > 0; k /= 2) {
            __syncthreads();
            for (uint32_t x = k % p + threadIdx.x; x + k < count; x += HM_BLOCK) {
                if ((x - k % p) / k % 2 != 0 || x / (2 * p) != (x + k) / (2 * p)) continue;
                uint32_t low = list[x], high = list[x + k];
                if (low > high) list[x] = high, list[x + k] = low;
            }
        }
    for (uint32_t begin = 0; begin < count; begin += HM_BLOCK) {
        uint32_t x = begin + threadIdx.x, own = 0, next = 0;
        __syncthreads();
        if (x < count) own = list[x], next = x + 1 < count ? list[x + 1] : own;
        __syncthreads();
        if (x < count) list[x] = child_entry(tables, own, next);
    }
}

HM_KERNEL(invert_sort, HM_BLOCK, 2)(const __grid_constant__ hm_tables_t tables, const hm_invert_t job)
{
    __shared__ uint32_t begin[HM_BLOCK], count[HM_BLOCK];
    work_await();
    uint64_t sum = (uint64_t)blockIdx.x * HM_BLOCK + threadIdx.x;
    begin[threadIdx.x] = sum < job.sums ? job.offset[sum] : 0;
    count[threadIdx.x] = sum < job.sums ? job.offset[sum + 1] - begin[threadIdx.x] : 0;
    if (count[threadIdx.x] <= HM_SORT_SHORT) list_finish(tables, job.child + begin[threadIdx.x], count[threadIdx.x]);
    __syncthreads();
    for (uint32_t i = 0; i < HM_BLOCK; i++)
        if (count[i] > HM_SORT_SHORT) long_list_finish(tables, job.child + begin[i], count[i]);
}
