/* What identify says: the id and the mask of each row, and counts by group of destinations. */
#include "identify.cuh"

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
    bool strays = job.work.ticket[2] > 0;
    uint32_t tile = strays ? tile_take(job.work.ticket + 1) : blockIdx.x, leader[4], id[4];
    uint64_t begin = (uint64_t)tile * HM_NUMBER_TILE + threadIdx.x * 4;
    rows_read(leader, job.work.leader, begin, job.n);
    if (strays) {
#pragma unroll
        for (uint32_t k = 0; k < 4; k++)
            if (begin + k < job.n && leader[k] & HM_STRAY) leader[k] = (uint32_t)job.work.entry[leader[k] & ~HM_STRAY];
        leaders_number(job, job.work.state[1], tile, begin, leader, nullptr);
        tiles_await(job.work.done[1], tile);
    }
#pragma unroll
    for (uint32_t k = 0; k < 4; k++)
        if (begin + k < job.n) id[k] = __ldcg(job.work.number + leader[k]);
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
