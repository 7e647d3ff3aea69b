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
    memory_fill(job.entry, job.slots * 8, 0xFFFFFFFFu);
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

/* What the fingerprint of a row is in the table: 31 bits of it above the row. A slot holds the smallest row of its
 * fingerprint; two of the same 31 bits that meet there are one class like any other two that collide. The table has
 * more slots than rows. */
static __device__ __forceinline__ uint64_t slot_enter(const hm_identify_t &job, unsigned long long print, uint32_t row)
{
    uint64_t mixed = word_mix(print);
    unsigned long long own = (mixed >> 33) << 32 | row;
    for (uint64_t slot = mixed;; slot++) {
        slot &= job.slots - 1;
        unsigned long long seen = __ldcg(job.entry + slot);
        if (seen == EMPTY) seen = atomicCAS(job.entry + slot, EMPTY, own);
        if (seen == EMPTY) return slot;
        if (seen >> 32 != own >> 32) continue;
        if (seen > own) atomicMin(job.entry + slot, own);
        return slot;
    }
}

/* Fingerprint of one of 32 rows, whose addresses the lanes hold. HM_PRINT_LANES threads sample each row, several rows
 * before they look at the first one. Lane i gets the fingerprint of row print_row(i). */
template <typename T>
static __device__ __forceinline__ unsigned long long rows_print(const unsigned char *row, uint64_t row_bytes)
{
    constexpr uint32_t rounds = HM_PRINT_LANES, together = sizeof(T) == 16 ? 4 : 1;
    uint32_t lane = lane_number(), bytes;
    uint64_t offset = sample_at(row_bytes, lane % HM_PRINT_LANES, &bytes);
    unsigned long long own = 0;
#pragma unroll 1
    for (uint32_t round = 0; round < rounds; round += together) {
        uint4 piece[together];
#pragma unroll
        for (uint32_t k = 0; k < together; k++) {
            uint32_t from = (round + k) * (32 / HM_PRINT_LANES) + lane / HM_PRINT_LANES;
            const unsigned char *at =
                (const unsigned char *)__shfl_sync(HM_ALL_LANES, (unsigned long long)row, from) + offset;
            if (bytes > 0) piece[k] = piece_read<T>(at, bytes);
        }
#pragma unroll
        for (uint32_t k = 0; k < together; k++) {
            unsigned long long print = bytes > 0 ? piece_hash(piece[k], offset) : 0;
            for (int step = HM_PRINT_LANES / 2; step > 0; step /= 2)
                print ^= __shfl_xor_sync(HM_ALL_LANES, print, step);
            if (lane % HM_PRINT_LANES == round + k) own = print;
        }
    }
    return own;
}

static __device__ __forceinline__ uint32_t print_row(uint32_t lane)
{
    return lane % HM_PRINT_LANES * (32 / HM_PRINT_LANES) + lane / HM_PRINT_LANES;
}

HM_KERNEL(print, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    work_announce();
    uint32_t first = (uint32_t)thread_number() / 32 * 32, lane = lane_number();
    const unsigned char *at = row_at(job.table, min(first + lane, job.n - 1));
    unsigned long long print = 0;
    access_choose(job.table.access, [&](auto word) { print = rows_print<decltype(word)>(at, job.table.row_bytes); });
    uint32_t row = first + print_row(lane);
    if (row < job.n) job.leader[row] = (uint32_t)slot_enter(job, print & job.fingerprint_mask, row);
}

/* Classes may be huge (rows of zeros), so rows of one warp are counted together. */
HM_KERNEL(gather, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    work_announce();
    uint64_t row = thread_number();
    uint32_t leader = row < job.n ? (uint32_t)job.entry[job.leader[row]] : 0xFFFFFFFFu;
    uint32_t same = __match_any_sync(HM_ALL_LANES, leader), lane = lane_number(), begin = 0;
    int speaker = __ffs(same) - 1;
    if (row < job.n && (int)lane == speaker) begin = atomicAdd(job.start + leader, __popc(same));
    begin = __shfl_sync(HM_ALL_LANES, begin, speaker);
    if (row >= job.n) return;
    job.leader[row] = leader;
    job.rank[row] = begin + __popc(same & ((1u << lane) - 1));
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
        if (begin + k < job.n && leader[k] == begin + k) own += 1ull << 31 | (size ? size[k] : 0);
    unsigned long long before = scan_before(scan_t<62>{state, 0}, tile, own, &total);
#pragma unroll
    for (uint32_t k = 0; k < 4; k++) {
        if (begin + k >= job.n || leader[k] != begin + k) continue;
        uint32_t id = (uint32_t)(before >> 31);
        job.number[begin + k] = id;
        job.out.first[id] = (uint32_t)begin + k;
        uint32_t *mask = (uint32_t *)(job.out.mask + id * job.out.mask_bytes);
        for (uint64_t w = 0; w < job.out.mask_bytes / 4; w++) mask[w] = 0;
        if (size) job.start[begin + k] = (uint32_t)before & 0x7FFFFFFFu;
        before += 1ull << 31 | (size ? size[k] : 0);
    }
    if (tile == gridDim.x - 1 && threadIdx.x == 0) job.out.counts[0] = (uint32_t)(total >> 31);
}

/* Numbers the leaders in row order, and puts rows in their class's place, which an earlier tile may have made. */
HM_KERNEL(number, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    work_announce();
    uint32_t tile = tile_take(job.ticket), leader[4], size[4], rank[4];
    uint64_t begin = (uint64_t)tile * HM_NUMBER_TILE + threadIdx.x * 4;
    rows_read(leader, job.leader, begin, job.n);
    rows_read(size, job.start, begin, job.n);
    rows_read(rank, job.rank, begin, job.n);
    leaders_number(job, job.state[0], tile, begin, leader, size);
    tiles_await(job.done[0], tile);
#pragma unroll
    for (uint32_t k = 0; k < 4; k++)
        if (begin + k < job.n) job.order[__ldcg(job.start + leader[k]) + rank[k]] = (uint32_t)begin + k;
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

/* Claims a slot unless a stray holds it; returns what stray is there, EMPTY for the own one. */
static __device__ __forceinline__ unsigned long long stray_enter(unsigned long long *entry, unsigned long long own)
{
    unsigned long long seen = __ldcg(entry);
    while (seen == EMPTY || !(seen >> 63)) {
        unsigned long long now = atomicCAS(entry, seen, own);
        if (now == seen) return EMPTY;
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
    uint64_t slot = word_mix(hash) & (job.stray_slots - 1);
    for (;;) {
        unsigned long long seen = 0;
        if (lane_number() == 0) seen = stray_enter(job.entry + slot, own);
        seen = __shfl_sync(HM_ALL_LANES, seen, 0);
        bool here = seen == EMPTY;
        if (!here && seen >> 32 == own >> 32) {
            here = rows_equal<T>(at, row_at(job.table, (uint32_t)seen), bytes / sizeof(T));
            if (!here && ++compares == HM_MOST_STRAY_COMPARES) break;
            if (here && lane_number() == 0) atomicMin(job.entry + slot, own);
        }
        if (here) {
            place = HM_STRAY | (uint32_t)slot;
            break;
        }
        slot = (slot + 1) & (job.stray_slots - 1);
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

/* The destination of a row joins its class's mask. */
static __device__ __forceinline__ void row_mark(const hm_identify_t &job, uint32_t row, uint32_t id)
{
    const hm_table_t &table = job.table;
    uint32_t bit = table.segment[job_find(table.segment, table.segments, &hm_segment_t::first, row)].bit;
    uint32_t *word = (uint32_t *)(job.out.mask + id * job.out.mask_bytes) + bit / 32;
    if (!(__ldcg(word) >> bit % 32 & 1)) atomicOr(word, 1u << bit % 32);
}

/* Ids and masks of all rows; if there were strays, leaders are numbered anew before. */
HM_KERNEL(label, HM_BLOCK, 4)(const __grid_constant__ hm_identify_t job)
{
    work_await();
    if (job.groups > 0) work_announce();
    bool strays = job.ticket[2] > 0;
    uint32_t tile = strays ? tile_take(job.ticket + 1) : blockIdx.x, leader[4], id[4];
    uint64_t begin = (uint64_t)tile * HM_NUMBER_TILE + threadIdx.x * 4;
    rows_read(leader, job.leader, begin, job.n);
    if (strays) {
#pragma unroll
        for (uint32_t k = 0; k < 4; k++)
            if (begin + k < job.n && leader[k] & HM_STRAY) leader[k] = (uint32_t)job.entry[leader[k] & ~HM_STRAY];
        leaders_number(job, job.state[1], tile, begin, leader, nullptr);
        tiles_await(job.done[1], tile);
    }
#pragma unroll
    for (uint32_t k = 0; k < 4; k++)
        if (begin + k < job.n) id[k] = __ldcg(job.number + leader[k]);
#pragma unroll
    for (uint32_t k = 0; k < 4; k++) {
        if (begin + k >= job.n) break;
        job.out.id[begin + k] = id[k];
        row_mark(job, (uint32_t)begin + k, id[k]);
    }
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
