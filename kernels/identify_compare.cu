/* Comparing all bytes of rows with those of their class's leader; rows that differ (strays) find their own class. */
#include "identify.cuh"

/* Compares `others` (a lane mask over `row`) with the row at `lead`, all bytes, DEPTH words per lane at a time; returns
 * per lane those it saw differ. The lead's words stay in registers while the others stream by. The last step reaches
 * back over words already compared, so that no load hangs on a condition and many are in flight. */
template <typename T, int DEPTH>
static __device__ __forceinline__ uint32_t rows_compare(const T *lead, unsigned long long row, uint32_t others,
                                                        uint64_t words)
{
    constexpr uint64_t step = DEPTH * 32;
    uint64_t lane = min((uint64_t)lane_number(), words - 1);
    uint32_t strays = 0;
    for (uint64_t part = 0; part < words; part += step) {
        uint64_t at = (part + step <= words || words < step ? part : words - step) + lane;
        T held[DEPTH];
#pragma unroll
        for (int k = 0; k < DEPTH; k++) held[k] = __ldg(lead + at + k * 32);
        for (uint32_t rest = others; rest != 0; rest &= rest - 1) {
            int other = __ffs(rest) - 1;
            const T *from = (const T *)__shfl_sync(HM_ALL_LANES, row, other) + at;
            uint32_t difference = 0;
            T got[DEPTH];
#pragma unroll
            for (int k = 0; k < DEPTH; k++) got[k] = __ldcs(from + k * 32);
#pragma unroll
            for (int k = 0; k < DEPTH; k++) difference |= word_difference(held[k], got[k]);
            strays |= (uint32_t)(difference != 0) << other;
        }
    }
    return strays;
}

/* Rows of fewer words than a step of DEPTH take a smaller one; fewer than 32 words leave lanes on the last word. */
template <typename T>
static __device__ __forceinline__ uint32_t rows_compare_any(const T *lead, const unsigned char *row, uint32_t others,
                                                            uint64_t words)
{
    unsigned long long address = (unsigned long long)row;
    if (words >= 256) return rows_compare<T, 8>(lead, address, others, words);
    if (sizeof(T) == 16 && words >= 128) return rows_compare<T, 4>(lead, address, others, words);
    return rows_compare<T, 1>(lead, address, others, words);
}

template <typename T> static __device__ bool rows_equal(const unsigned char *a, const unsigned char *b, uint64_t words)
{
    for (uint64_t part = 0; part < words; part += 32) {
        uint64_t at = part + lane_number();
        bool differ = at < words && word_difference(((const T *)a)[at], ((const T *)b)[at]) != 0;
        if (__any_sync(HM_ALL_LANES, differ)) return false;
    }
    return true;
}

/* Claims a slot unless a stray holds it; returns what stray is there, HM_SLOT_EMPTY for the own one. */
static __device__ __forceinline__ unsigned long long stray_enter(unsigned long long *entry, unsigned long long own)
{
    unsigned long long seen = __ldcg(entry);
    while (seen == HM_SLOT_EMPTY || !(seen >> 63)) {
        unsigned long long now = atomicCAS(entry, seen, own);
        if (now == seen) return HM_SLOT_EMPTY;
        seen = now;
    }
    return seen;
}

/* Finds the class of a row that differs from the leader of its fingerprint, by a hash of all its bytes and a compare
 * with a row of each class of that hash in turn; by one warp. Strays overwrite the fingerprints, which nobody looks up
 * any more: the highest bit tells them, and free slots have it too. */
template <typename T>
static __device__ void stray_place(const hm_identify_t &job, uint32_t row, const unsigned char *at)
{
    uint64_t bytes = job.table.row_bytes, hash = 0;
    for (uint64_t offset = lane_number() * 16; offset < bytes; offset += 32 * 16)
        hash ^= piece_hash(piece_read<T>(at + offset, (uint32_t)min(bytes - offset, (uint64_t)16)), offset);
    for (int step = 16; step > 0; step /= 2) hash ^= __shfl_xor_sync(HM_ALL_LANES, hash, step);
    hash &= job.fingerprint_mask;
    unsigned long long own = (hash >> 32 | 0x80000000u) << 32 | row;
    uint32_t compares = 0, place = row;
    uint64_t slot = word_mix(hash) & (job.work.stray_slots - 1);
    for (;;) {
        unsigned long long seen = 0;
        if (lane_number() == 0) seen = stray_enter(job.work.entry + slot, own);
        seen = __shfl_sync(HM_ALL_LANES, seen, 0);
        bool here = seen == HM_SLOT_EMPTY;
        if (!here && seen >> 32 == own >> 32) {
            here = rows_equal<T>(at, row_at(job.table, (uint32_t)seen), bytes / sizeof(T));
            if (!here && ++compares == HM_MOST_STRAY_COMPARES) break;
            if (here && lane_number() == 0) atomicMin(job.work.entry + slot, own);
        }
        if (here) {
            place = HM_STRAY | (uint32_t)slot;
            break;
        }
        slot = (slot + 1) & (job.work.stray_slots - 1);
    }
    if (lane_number() != 0) return;
    job.work.leader[row] = place;
    atomicAdd(job.work.ticket + 2, 1);
}

HM_KERNEL(compare, HM_COMPARE_BLOCK, 5)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    work_announce();
    uint32_t lane = lane_number();
    uint64_t begin = thread_number() / 32 * job.compare_rows;
    if (begin >= job.n) return;
    uint32_t count = (uint32_t)min((uint64_t)job.n - begin, (uint64_t)job.compare_rows);
    uint32_t row = 0, leader = 0;
    const unsigned char *row_bytes = nullptr, *leader_bytes = nullptr;
    if (lane < count) {
        row = job.work.order[begin + lane];
        leader = job.work.leader[row];
        row_bytes = row_at(job.table, row);
        leader_bytes = row_at(job.table, leader);
    }
    uint32_t left = __ballot_sync(HM_ALL_LANES, lane < count && row != leader);
    access_choose(job.table.access, [&](auto word) {
        using T = decltype(word);
        uint32_t strays = 0;
        while (left != 0) {
            int one = __ffs(left) - 1;
            uint32_t same = __shfl_sync(HM_ALL_LANES, leader, one);
            uint32_t others = __ballot_sync(HM_ALL_LANES, leader == same) & left;
            const T *lead = (const T *)__shfl_sync(HM_ALL_LANES, (unsigned long long)leader_bytes, one);
            strays |= rows_compare_any<T>(lead, row_bytes, others, job.table.row_bytes / sizeof(T));
            left &= ~others;
        }
        strays = __reduce_or_sync(HM_ALL_LANES, strays);
        for (; strays != 0; strays &= strays - 1) {
            int one = __ffs(strays) - 1;
            const unsigned char *at =
                (const unsigned char *)__shfl_sync(HM_ALL_LANES, (unsigned long long)row_bytes, one);
            stray_place<T>(job, __shfl_sync(HM_ALL_LANES, row, one), at);
        }
    });
}
