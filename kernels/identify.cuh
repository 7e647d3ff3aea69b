/* What the kernels of identify share. Rows with one sampled fingerprint become a class led by its smallest row; classes
 * are laid out one after another, so that the compare of all bytes reads each leader once for all its rows. */
#ifndef HM_IDENTIFY_CUH
#define HM_IDENTIFY_CUH

#include "scan.cuh"

#define HM_SLOT_EMPTY 0xFFFFFFFFFFFFFFFFull

static __device__ __forceinline__ uint64_t thread_number()
{
    return (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ uint64_t thread_count()
{
    return (uint64_t)gridDim.x * blockDim.x;
}

/* Four entries of an array of n from `begin` on, a multiple of 4; arrays are padded to that. */
static __device__ __forceinline__ void rows_read(uint32_t (&into)[4], const uint32_t *array, uint64_t begin, uint32_t n)
{
    uint4 four = begin < n ? *(const uint4 *)(array + begin) : make_uint4(0, 0, 0, 0);
    into[0] = four.x, into[1] = four.y, into[2] = four.z, into[3] = four.w;
}

/* Numbers the leaders among a thread's four rows from `begin` on. `size`: rows of their classes, whose places in
 * `order` follow from it; NULL: these are known. Leaders are counted in bits 31..61 of the sum, rows in bits 0..30. */
static __device__ __forceinline__ void leaders_number(const hm_identify_t &job, unsigned long long *state,
                                                      uint32_t tile, uint64_t begin, const uint32_t (&leader)[4],
                                                      const uint32_t *size)
{
    unsigned long long own = 0, total;
#pragma unroll
    for (uint32_t k = 0; k < 4; k++)
        if (begin + k < job.n && leader[k] == begin + k) own += 1ull << 31 | (size != nullptr ? size[k] : 0);
    unsigned long long before = scan_before(hm_scan_t<62>{state, 0}, tile, own, &total);
#pragma unroll
    for (uint32_t k = 0; k < 4; k++) {
        if (begin + k >= job.n || leader[k] != begin + k) continue;
        uint32_t id = (uint32_t)(before >> 31);
        job.work.number[begin + k] = id;
        job.out.first[id] = (uint32_t)begin + k;
        uint32_t *mask = (uint32_t *)(job.out.mask + id * job.out.mask_bytes);
        for (uint64_t w = 0; w < job.out.mask_bytes / 4; w++) mask[w] = 0;
        if (size != nullptr) job.work.start[begin + k] = (uint32_t)before & 0x7FFFFFFFu;
        before += 1ull << 31 | (size != nullptr ? size[k] : 0);
    }
    if (tile == gridDim.x - 1 && threadIdx.x == 0) job.out.counts[0] = (uint32_t)(total >> 31);
}

#endif
