/* Adding rows along a tree. A thread adds 16 bytes of one sum; children are loaded several at a time and added in their
 * order. */
#include "device.cuh"
#include "element.h"

#define HM_SUM_LOADS 4

/* Part of a node of the tree: the elements of 16 bytes; of fp32 the first four. */
struct hm_node_t {
    float at[8];
    uint32_t children;
};

static __device__ __forceinline__ void piece_open(uint4 piece, uint32_t type, float (&at)[8])
{
    uint32_t word[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
    for (uint32_t k = 0; k < 4; k++) {
        if (type == HM_ELEMENT_FP32) {
            at[k] = fp32_of_bits(word[k]);
        } else if (type == HM_ELEMENT_BF16) {
            at[2 * k] = bf16_read((uint16_t)word[k]), at[2 * k + 1] = bf16_read((uint16_t)(word[k] >> 16));
        } else {
            at[2 * k] = fp16_read((uint16_t)word[k]), at[2 * k + 1] = fp16_read((uint16_t)(word[k] >> 16));
        }
    }
}

static __device__ __forceinline__ uint4 piece_close(const float (&at)[8], uint32_t type)
{
    uint32_t word[4];
#pragma unroll
    for (uint32_t k = 0; k < 4; k++) {
        if (type == HM_ELEMENT_FP32) {
            word[k] = fp32_bits(at[k]);
        } else if (type == HM_ELEMENT_BF16) {
            word[k] = bf16_round(at[2 * k]) | (uint32_t)bf16_round(at[2 * k + 1]) << 16;
        } else {
            word[k] = fp16_round(at[2 * k]) | (uint32_t)fp16_round(at[2 * k + 1]) << 16;
        }
    }
    return make_uint4(word[0], word[1], word[2], word[3]);
}

static __device__ __forceinline__ void node_add(hm_node_t &node, const float (&child)[8])
{
#pragma unroll
    for (uint32_t i = 0; i < 8; i++) node.at[i] = node.children == 0 ? child[i] : __fadd_rn(node.at[i], child[i]);
    node.children++;
}

/* Rounds a node; it is a child of the one above then. */
static __device__ __forceinline__ void node_close(hm_node_t &node, uint32_t type)
{
    if (node.children > 1) {
#pragma unroll
        for (uint32_t i = 0; i < 8; i++) node.at[i] = fp32_nan_plain(node.at[i]);
        piece_open(piece_close(node.at, type), type, node.at);
    }
    node.children = 0;
}

/* Closes the innermost `closes` nodes that are open. */
template <int NODES>
static __device__ __forceinline__ void nodes_close(hm_node_t (&node)[NODES], uint32_t closes, uint32_t type)
{
#pragma unroll
    for (int k = 0; k + 1 < NODES; k++) {
        if ((uint32_t)k >= closes || node[k].children == 0) continue;
        node_close(node[k], type);
        node_add(node[k + 1], node[k].at);
    }
}

static __device__ __forceinline__ unsigned char *table_row(const hm_tables_t &tables, const hm_sum_rows_t &rows,
                                                           uint32_t number)
{
    hm_segment_t segment = table_take(tables, rows.at, rows.segments, &hm_segment_t::first, number);
    return (unsigned char *)segment.base + (number - segment.first) * rows.stride + rows.offset;
}

template <typename T> static __device__ __forceinline__ void piece_write(unsigned char *to, uint4 piece, uint32_t bytes)
{
    uint64_t low = (uint64_t)piece.y << 32 | piece.x, high = (uint64_t)piece.w << 32 | piece.z;
#pragma unroll
    for (uint32_t i = 0; i < 16; i += sizeof(T))
        if (i < bytes) *(T *)(to + i) = (T)(i < 8 ? low >> 8 * i : high >> 8 * (i - 8));
}

template <> __device__ __forceinline__ void piece_write<uint4>(unsigned char *to, uint4 piece, uint32_t)
{
    __stcs((uint4 *)to, piece);
}

/* `bytes` bytes from `at` on of the sum of children [begin, end). */
template <typename T, int NODES>
static __device__ __forceinline__ uint4 children_add(const hm_tables_t &tables, const hm_sum_t &job, uint32_t begin,
                                                     uint32_t end, uint64_t at, uint32_t bytes)
{
    hm_node_t node[NODES];
#pragma unroll
    for (int k = 0; k < NODES; k++) {
        node[k].children = 0;
#pragma unroll
        for (uint32_t i = 0; i < 8; i++) node[k].at[i] = 0;
    }
    for (uint32_t from = begin; from < end; from += HM_SUM_LOADS) {
        uint4 piece[HM_SUM_LOADS];
        uint32_t closes[HM_SUM_LOADS];
#pragma unroll
        for (uint32_t k = 0; k < HM_SUM_LOADS; k++) {
            uint32_t child = __ldg(job.child + min(from + k, end - 1));
            closes[k] = from + k + 1 < end ? child >> HM_CHILD_BITS : 0;
            if (from + k < end)
                piece[k] = piece_read<T>(table_row(tables, job.sources, child & (HM_CHILD_ROWS - 1)) + at, bytes);
        }
#pragma unroll
        for (uint32_t k = 0; k < HM_SUM_LOADS; k++) {
            float child[8] = {0};
            if (from + k >= end) break;
            piece_open(piece[k], job.type, child);
            node_add(node[0], child);
            nodes_close(node, closes[k], job.type);
        }
    }
    nodes_close(node, NODES, job.type);
    node_close(node[NODES - 1], job.type);
    return piece_close(node[NODES - 1].at, job.type);
}

/* In place: the thread that has added these columns clears them. */
template <typename T>
static __device__ void children_clear(const hm_tables_t &tables, const hm_sum_t &job, uint32_t begin, uint32_t end,
                                      uint64_t at, uint32_t bytes)
{
    for (uint32_t c = begin; c < end; c++)
        piece_write<T>(table_row(tables, job.sources, job.child[c] & (HM_CHILD_ROWS - 1)) + at, make_uint4(0, 0, 0, 0),
                       bytes);
}

/* `bytes` bytes from `at` on of what is written for row `row`. */
template <typename T, int NODES>
static __device__ __forceinline__ void row_write(const hm_tables_t &tables, const hm_sum_t &job, uint32_t row,
                                                 uint64_t at, uint32_t bytes)
{
    uint32_t sum = row, to = row;
    bool read = true, into = job.to.rows.segments > 0;
    if (into && !job.to.in_place) {
        sum = job.to.id[row];
        read = sum < job.sums && job.to.first[sum] == row;
    } else if (into) {
        to = job.to.first[row];
    }
    if (into && job.to.filler != nullptr && *job.to.filler == sum) read = false;
    uint4 result = make_uint4(0, 0, 0, 0);
    if (read || job.to.in_place) {
        uint32_t begin = job.offset[sum], end = job.offset[sum + 1];
        if (read && begin < end) result = children_add<T, NODES>(tables, job, begin, end, at, bytes);
        if (job.to.in_place) children_clear<T>(tables, job, begin, end, at, bytes);
    }
    unsigned char *dst = into ? table_row(tables, job.to.rows, to) : job.dst + to * job.dst_stride;
    piece_write<T>(dst + at, result, bytes);
}

template <typename T, int NODES>
static __device__ __forceinline__ void rows_write(const hm_tables_t &tables, const hm_sum_t &job)
{
    uint32_t unit = blockIdx.x - job.first_unit, first = unit % job.unit.across * job.unit.rows;
    uint32_t from = unit / job.unit.across * job.unit.bytes, bytes = min((uint32_t)job.unit.bytes, job.width - from);
    uint32_t rows = min((uint32_t)job.unit.rows, job.rows - first), pieces = (bytes + 15) / 16;
    for (uint32_t task = threadIdx.x; task < rows * pieces; task += HM_SUM_BLOCK) {
        uint32_t at = task % pieces * 16;
        row_write<T, NODES>(tables, job, first + task / pieces, from + at, min(bytes - at, 16u));
    }
}

/* Few shapes of this are compiled, since each takes long: rows that do not lie on 16 bytes are rare. */
HM_KERNEL(sum, HM_SUM_BLOCK, 4)(const __grid_constant__ hm_tables_t tables)
{
    work_await();
    const hm_sum_t job = table_take(tables, 0, tables.jobs, &hm_sum_t::first_unit, blockIdx.x);
    if (job.unit.access != 16) {
        rows_write<unsigned char, 8>(tables, job);
    } else if (job.partings == 0) {
        rows_write<uint4, 1>(tables, job);
    } else if (job.partings <= 2) {
        rows_write<uint4, 3>(tables, job);
    } else {
        rows_write<uint4, 8>(tables, job);
    }
}
