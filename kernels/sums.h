/* Jobs of the kernels that add rows of one token, and of those that prepare it. Part of kernels.h, whose rules hold.
 *
 * A sum has children: rows that it adds, in a fixed order. Lists of children are made once (invert) and used as often
 * as rows are added along them (sum). */
#ifndef HM_SUMS_H
#define HM_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hm_rows;

/* Type of the elements of rows that are added. */
typedef enum hm_element {
    HM_ELEMENT_BYTES,
    HM_ELEMENT_BF16,
    HM_ELEMENT_FP16,
    HM_ELEMENT_FP32,
    HM_ELEMENTS
} hm_element_t;

/* Bytes of an element; 0 for bytes, which cannot be added. */
static inline size_t hm_element_bytes(hm_element_t type)
{
    return type == HM_ELEMENT_BYTES ? 0 : type == HM_ELEMENT_FP32 ? 4 : 2;
}

/* Which token each row of a send buffer is, as the job announced it. */
typedef struct hm_tokens {
    const void *token;   /* device, aligned as its elements: [rows] signed token of each row, in the rows' order */
    uint32_t bytes;      /* of an element: 4 or 8 */
    uint64_t tokens;     /* below 2^31 - 1: values 0 .. tokens-1 name tokens; `tokens` itself names a filler row */
    uint32_t check_each; /* rows compared with the first row of their token: 0 none, 1 all, N one of N */
    uint32_t check_turn; /* which of N: rows whose number is check_turn modulo N. Let it change from call to call */
} hm_tokens_t;

/* What is said of announced tokens beside their identity; device memory given by the caller. */
typedef struct hm_tokens_found {
    uint32_t *wrong;  /* [1] rows whose token is out of range, and checked rows that differ from their token's first */
    uint32_t *filler; /* [1] distinct number of the filler rows, UINT32_MAX where there are none */
} hm_tokens_found_t;

/* A piece of the children: child k of it, k < rows, belongs to sum first_sum + sum[k], and is row first_row + k of the
 * sources that the sum is made from. A sum[k] at or beyond `sums` is passed over: after a peer is lost, the lists that
 * it sent may hold anything. */
typedef struct hm_children {
    const uint32_t *sum; /* device: [rows] */
    uint32_t rows, first_sum, sums, first_row;
    uint32_t parting; /* 0..7: nodes of the tree, from the innermost, that this piece does not share with the piece
                         before it in the list; of the first piece of a sum's it does not matter */
} hm_children_t;

/* A list of children: row number of a source in the lower bits, in the upper ones how many nodes of the tree are
 * complete with this child, from the innermost. What is still open at the end of a list is complete there. */
#define HM_CHILD_BITS 29
#define HM_CHILD_ROWS (1u << HM_CHILD_BITS) /* sources have fewer rows than that */

/* Makes lists out of pieces: the children of a sum lie at child[offset[i]] .. child[offset[i + 1]], in the order of the
 * pieces and, within one, of k. */
typedef struct hm_invert_job {
    const hm_children_t *piece; /* host: [pieces] */
    int pieces;
    uint32_t sums;
    uint32_t *offset; /* device: [sums + 1] */
    uint32_t *child;  /* device: [rows of all pieces] */
    void *work;       /* device: invert_bytes */
} hm_invert_job_t;

/* A receive buffer that sums go to, all of whose rows are written: row j gets sum id[j] where first[id[j]] is j, and
 * zeros otherwise or where id[j] is *filler. */
typedef struct hm_sum_into {
    const struct hm_rows *table; /* NULL: sums go to a plain array; base is written to */
    size_t offset;               /* of the first written byte in a row */
    uint32_t rows;               /* of the table */
    const uint32_t *id, *first;  /* device: [rows], [sums] */
    const uint32_t *filler;      /* device: one word, or NULL: no fillers */
    bool in_place;               /* the children of sum i are rows of the buffer itself, all those with id i */
} hm_sum_into_t;

/* Adds. For each i < sums, over its children in order, in fp32: every node of the tree is rounded to the type once, to
 * nearest, ties to even, before it is added to the node above; a node of one child is that child, bit for bit. A node
 * of several that is NaN becomes the positive NaN whose fraction is all ones. A node starts with its first child, so
 * that only negative zeros add up to a negative zero. A sum without children is +0.0.
 *
 * Without into.table, sum i goes to dst + i * dst_stride, and sources and destinations never overlap.
 *
 * width, offsets and strides are multiples of the type's bytes; no alignment is asked for. */
typedef struct hm_sum_job {
    const uint32_t *offset, *child; /* of invert; offset points to that of the first sum */
    uint32_t sums;
    uint32_t partings;             /* at least the largest parting of the lists' pieces */
    hm_element_t type;             /* not BYTES */
    size_t width;                  /* bytes of each row that are added */
    const struct hm_rows *sources; /* children, numbered through the segments; row_bytes: distance of two rows */
    size_t src_offset;             /* of the first added byte in a row */
    void *dst;
    size_t dst_stride;
    hm_sum_into_t into;
} hm_sum_job_t;

#endif
