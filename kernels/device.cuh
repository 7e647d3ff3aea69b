/* Helpers of all kernels: rows by number, accesses of 16 bytes and less, hashing, searching. */
#ifndef HM_DEVICE_CUH
#define HM_DEVICE_CUH

#include "cuda_jobs.h"

/* A kernel, its threads, and how many blocks of it a multiprocessor must hold: without the last the compiler may trade
 * loads in flight for more blocks than memory-bound kernels need. */
#define HM_KERNEL(name, ...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__) ncclDevKernel_HierMoE_##name
#define HM_ALL_LANES 0xFFFFFFFFu

/* Kernels that follow one another start early, where the device can, and wait here until all before them is done. The
 * first thing every kernel does: what came before the kernel before it is done too only because that one waited. */
static __device__ __forceinline__ void work_await()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* Lets the kernel behind start to wait. Only where that is one of ours: a job's kernel may rely on less. */
static __device__ __forceinline__ void work_announce()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

static __device__ __forceinline__ uint32_t lane_number()
{
    return threadIdx.x % 32;
}

/* Last entry of job[0 .. count) whose `first` is at or below `number`; job[0].first is 0. */
template <typename T, typename N>
static __device__ __forceinline__ uint32_t job_find(const T *job, uint32_t count, N T::*first, N number)
{
    uint32_t low = 0, high = count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (job[middle].*first <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The entry of the table at `at` (bytes into all tables) that `number` belongs to. Spelled out for both kinds of
 * memory: what is known to lie in the parameters is read from the constant cache. */
template <typename T, typename N>
static __device__ __forceinline__ T table_take(const hm_tables_t &tables, uint64_t at, uint32_t count, N T::*first,
                                               N number)
{
    if (tables.staged != nullptr) {
        const T *table = (const T *)(tables.staged + at);
        return table[job_find(table, count, first, number)];
    }
    const T *table = (const T *)((const unsigned char *)tables.held + at);
    return table[job_find(table, count, first, number)];
}

static __device__ __forceinline__ const unsigned char *row_at(const hm_table_t &table, uint32_t row)
{
    const hm_segment_t *segment = table.segment + job_find(table.segment, table.segments, &hm_segment_t::first, row);
    return segment->base + (row - segment->first) * table.row_bytes;
}

static __device__ __forceinline__ uint64_t word_mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xFF51AFD7ED558CCDull;
    x ^= x >> 33;
    x *= 0xC4CEB9FE1A85EC53ull;
    return x ^ x >> 33;
}

/* A piece of at most 16 bytes, zeros behind its end. Two pieces with the same bytes and offset hash alike. */
static __device__ __forceinline__ uint64_t piece_hash(uint4 piece, uint64_t offset)
{
    uint64_t low = (uint64_t)piece.y << 32 | piece.x, high = (uint64_t)piece.w << 32 | piece.z;
    return word_mix(word_mix(low + offset * 0x9E3779B97F4A7C15ull) ^ (high + 0xD6E8FEB86659FD93ull));
}

/* Calls body with a type as wide as `access`: the same choice in all threads of a block. */
template <typename F> static __device__ __forceinline__ void access_choose(uint32_t access, F body)
{
    switch (access) {
    case 16:
        body(uint4{});
        break;
    case 8:
        body((unsigned long long)0);
        break;
    case 4:
        body((unsigned int)0);
        break;
    case 2:
        body((unsigned short)0);
        break;
    default:
        body((unsigned char)0);
    }
}

/* `bytes` (1..16, a multiple of the access width) bytes of a row as one piece. */
template <typename T> static __device__ __forceinline__ uint4 piece_read(const unsigned char *at, uint32_t bytes)
{
    uint64_t low = 0, high = 0;
#pragma unroll
    for (uint32_t i = 0; i < 16; i += sizeof(T)) {
        uint64_t word = i < bytes ? (uint64_t)__ldcs((const T *)(at + i)) : 0;
        if (i < 8) {
            low |= word << 8 * i;
        } else {
            high |= word << 8 * (i - 8);
        }
    }
    return make_uint4((uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32));
}

template <> __device__ __forceinline__ uint4 piece_read<uint4>(const unsigned char *at, uint32_t)
{
    return __ldcs((const uint4 *)at);
}

/* 0 where two words are the same. */
static __device__ __forceinline__ uint32_t word_difference(uint4 a, uint4 b)
{
    return (a.x ^ b.x) | (a.y ^ b.y) | (a.z ^ b.z) | (a.w ^ b.w);
}

static __device__ __forceinline__ uint32_t word_difference(unsigned long long a, unsigned long long b)
{
    return (uint32_t)(a ^ b) | (uint32_t)((a ^ b) >> 32);
}

template <typename T> static __device__ __forceinline__ uint32_t word_difference(T a, T b)
{
    return a ^ b;
}

/* Whether any bit of [first, first + count) is set. Words where masks start on words, else bytes. */
static __device__ __forceinline__ bool mask_hits(const uint8_t *mask, bool words, hm_bits_t bits)
{
    uint32_t at = bits.first, end = bits.first + bits.count, step = words ? 32 : 8;
    while (at < end) {
        uint32_t skip = at % step, take = min(step - skip, end - at);
        uint32_t word = words ? ((const uint32_t *)mask)[at / 32] : mask[at / 8];
        if (word >> skip & (0xFFFFFFFFu >> (32 - take))) return true;
        at += take;
    }
    return false;
}

/* Whether masks may be read by words. */
static __device__ __forceinline__ bool mask_words(const uint8_t *mask, uint64_t mask_bytes)
{
    return (((uintptr_t)mask | mask_bytes) & 3) == 0;
}

#endif
