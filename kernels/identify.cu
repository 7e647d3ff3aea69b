/* Which rows are the same bytes. Rows with one sampled fingerprint become a class led by its smallest row; classes are
 * laid out one after another, so that the compare of all bytes reads each leader once for all its rows. */
#include "scan.cuh"

#define EMPTY 0xFFFFFFFFFFFFFFFFull

static __device__ __forceinline__ uint64_t thread_number()
{
    return (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ uint64_t thread_count()
{
    return (uint64_t)gridDim.x * blockDim.x;
}

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
        carried[i] = staged ? __ldcv(staged + i) : tables.held[i];
    memory_fill(job.key, job.slots * 8, 0xFFFFFFFFu);
    memory_fill(job.lowest, job.slots * 4, 0xFFFFFFFFu);
    memory_fill(job.start, job.zero_bytes, 0);
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

/* The slot of a fingerprint, claimed if it is new. The table has more slots than rows. */
static __device__ __forceinline__ uint64_t slot_find(const hm_identify_t &job, unsigned long long print)
{
    for (uint64_t slot = word_mix(print);; slot++) {
        slot &= job.slots - 1;
        unsigned long long seen = __ldcg(job.key + slot);
        if (seen == EMPTY) seen = atomicCAS(job.key + slot, EMPTY, print);
        if (seen == EMPTY || seen == print) return slot;
    }
}

HM_KERNEL(print, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    work_announce();
    uint32_t lane = threadIdx.x % HM_PRINT_LANES;
    uint32_t row = (uint32_t)(thread_number() / HM_PRINT_LANES);
    unsigned long long print = 0;
    if (row < job.n) {
        uint32_t bytes;
        uint64_t offset = sample_at(job.table.row_bytes, lane, &bytes);
        const unsigned char *at = row_at(job.table, row) + offset;
        if (bytes > 0) {
            access_choose(job.table.access,
                          [&](auto word) { print = piece_hash(piece_read<decltype(word)>(at, bytes), offset); });
        }
    }
    for (int step = HM_PRINT_LANES / 2; step > 0; step /= 2) print ^= __shfl_xor_sync(HM_ALL_LANES, print, step);
    if (lane != 0 || row >= job.n) return;
    print &= job.fingerprint_mask;
    if (print == EMPTY) print = 0;
    uint64_t slot = slot_find(job, print);
    if (__ldcg(job.lowest + slot) > row) atomicMin(job.lowest + slot, row);
    job.leader[row] = (uint32_t)slot;
}

/* Classes may be huge (rows of zeros), so rows of one warp are counted together. */
HM_KERNEL(gather, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    work_announce();
    uint64_t row = thread_number();
    uint32_t leader = row < job.n ? job.lowest[job.leader[row]] : 0xFFFFFFFFu;
    uint32_t same = __match_any_sync(HM_ALL_LANES, leader), lane = lane_number(), begin = 0;
    int speaker = __ffs(same) - 1;
    if (row < job.n && (int)lane == speaker) begin = atomicAdd(job.start + leader, __popc(same));
    begin = __shfl_sync(HM_ALL_LANES, begin, speaker);
    if (row >= job.n) return;
    job.leader[row] = leader;
    job.rank[row] = begin + __popc(same & ((1u << lane) - 1));
}

static __device__ __forceinline__ uint32_t leader_of(const hm_identify_t &job, uint32_t row)
{
    uint32_t leader = job.leader[row];
    return leader & HM_STRAY ? job.lowest[leader & ~HM_STRAY] : leader;
}

/* Numbers the leaders in row order. Pass 0 also gives each class its place in `order`; pass 1 runs if there are strays.
 * Leaders are counted in bits 31..61 of the sum, rows of their classes in bits 0..30. */
HM_KERNEL(number, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job, uint32_t pass)
{
    work_await();
    work_announce();
    if (pass == 1 && job.ticket[2] == 0) return;
    uint32_t tile = tile_take(job.ticket + pass);
    uint32_t begin = tile * HM_SCAN_TILE + threadIdx.x * 8, leads = 0, size[8];
    unsigned long long own = 0, total;
#pragma unroll
    for (uint32_t k = 0; k < 8; k++) {
        uint32_t row = begin + k;
        bool lead = row < job.n && leader_of(job, row) == row;
        size[k] = lead && pass == 0 ? job.start[row] : 0;
        leads |= (uint32_t)lead << k;
        own += (unsigned long long)lead << 31 | size[k];
    }
    unsigned long long before = scan_before(scan_t<62>{job.state[pass], 0}, tile, own, &total);
#pragma unroll
    for (uint32_t k = 0; k < 8; k++) {
        if (!(leads >> k & 1)) continue;
        uint32_t row = begin + k, id = (uint32_t)(before >> 31);
        job.number[row] = id;
        job.out.first[id] = row;
        uint32_t *mask = (uint32_t *)(job.out.mask + id * job.out.mask_bytes);
        for (uint64_t w = 0; w < job.out.mask_bytes / 4; w++) mask[w] = 0;
        if (pass == 0) job.start[row] = (uint32_t)before & 0x7FFFFFFFu;
        before += 1ull << 31 | size[k];
    }
    if (tile == gridDim.x - 1 && threadIdx.x == 0) job.out.counts[0] = (uint32_t)(total >> 31);
}

/* Also empties the table for strays: fingerprints are not looked up any more. */
HM_KERNEL(order, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    work_announce();
    for (uint64_t row = thread_number(); row < job.n; row += thread_count())
        job.order[job.start[job.leader[row]] + job.rank[row]] = (uint32_t)row;
    memory_fill(job.key, job.stray_slots * 8, 0xFFFFFFFFu);
    memory_fill(job.lowest, job.stray_slots * 4, 0xFFFFFFFFu);
}

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

/* Finds the class of a row that differs from the leader of its fingerprint, by a hash of all its bytes and a compare
 * with each row of that hash in turn; by one warp. */
template <typename T>
static __device__ void stray_place(const hm_identify_t &job, uint32_t row, const unsigned char *at)
{
    uint64_t bytes = job.table.row_bytes, hash = 0;
    for (uint64_t offset = lane_number() * 16; offset < bytes; offset += 32 * 16)
        hash ^= piece_hash(piece_read<T>(at + offset, (uint32_t)min(bytes - offset, (uint64_t)16)), offset);
    for (int step = 16; step > 0; step /= 2) hash ^= __shfl_xor_sync(HM_ALL_LANES, hash, step);
    hash &= job.fingerprint_mask;
    uint32_t high = (uint32_t)(hash >> 32), compares = 0, place = row;
    uint64_t slot = word_mix(hash);
    for (;; slot++) {
        slot &= job.stray_slots - 1;
        unsigned long long seen = 0;
        if (lane_number() == 0) seen = atomicCAS(job.key + slot, EMPTY, (unsigned long long)high << 32 | row);
        seen = __shfl_sync(HM_ALL_LANES, seen, 0);
        bool here = seen == EMPTY;
        if (!here && seen >> 32 == high) {
            here = rows_equal<T>(at, row_at(job.table, (uint32_t)seen), bytes / sizeof(T));
            if (!here && ++compares == HM_MOST_STRAY_COMPARES) break;
        }
        if (!here) continue;
        if (lane_number() == 0) atomicMin(job.lowest + slot, row);
        place = HM_STRAY | (uint32_t)slot;
        break;
    }
    if (lane_number() != 0) return;
    job.leader[row] = place;
    atomicAdd(job.ticket + 2, 1);
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
        row = job.order[begin + lane];
        leader = job.leader[row];
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

HM_KERNEL(label, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    if (job.groups > 0) work_announce();
    uint32_t row = (uint32_t)thread_number();
    if (row >= job.n) return;
    uint32_t id = job.number[leader_of(job, row)];
    job.out.id[row] = id;
    const hm_table_t &table = job.table;
    uint32_t bit = table.segment[job_find(table.segment, table.segments, &hm_segment_t::first, row)].bit;
    uint32_t *word = (uint32_t *)(job.out.mask + id * job.out.mask_bytes) + bit / 32;
    if (!(__ldcg(word) >> bit % 32 & 1)) atomicOr(word, 1u << bit % 32);
}

/* A warp takes 32 distinct rows at a time and 32 groups at a time, a lane's own row's mask against each group. */
HM_KERNEL(count, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    __shared__ uint32_t hits[HM_COUNT_GROUPS];
    work_await();
    uint32_t distinct = job.out.counts[0], lane = lane_number();
    for (uint32_t from = 0; from < job.groups; from += HM_COUNT_GROUPS) {
        uint32_t to = min(job.groups, from + HM_COUNT_GROUPS);
        for (uint32_t g = from + threadIdx.x; g < to; g += HM_BLOCK) hits[g - from] = 0;
        __syncthreads();
        for (uint64_t id = thread_number(); id - lane < distinct; id += thread_count()) {
            const uint8_t *mask = job.out.mask + min(id, (uint64_t)distinct - 1) * job.out.mask_bytes;
            for (uint32_t g = from; g < to; g += 32) {
                uint32_t own = 0;
#pragma unroll 4
                for (uint32_t k = 0; k < min(to - g, 32u); k++) {
                    uint32_t hit =
                        __ballot_sync(HM_ALL_LANES, id < distinct && mask_hits(mask, true, job.group[g + k]));
                    if (lane == k) own = __popc(hit);
                }
                if (own > 0) atomicAdd(hits + g - from + lane, own);
            }
        }
        __syncthreads();
        for (uint32_t g = from + threadIdx.x; g < to; g += HM_BLOCK)
            if (hits[g - from] > 0) atomicAdd(job.out.counts + 1 + g, hits[g - from]);
        __syncthreads();
    }
}
