/* What the CUDA back end's host part hands to its kernels; read by C and by CUDA. Pointers are device memory. */
#ifndef HM_CUDA_JOBS_H
#define HM_CUDA_JOBS_H

#ifdef __cplusplus
typedef volatile int atomic_int; /* C++ has no stdatomic.h; kernels only need the header to parse */
#endif
#include "kernels.h"
#include "period.h"

enum {
    HM_BLOCK = 256,                /* threads of every kernel's block unless its launch says otherwise */
    HM_SCAN_TILE = 8 * HM_BLOCK,   /* rows that one block of a scan takes */
    HM_NUMBER_TILE = 4 * HM_BLOCK, /* rows that one block of identify's numbering takes */
    HM_MAP_TILE = 4 * HM_BLOCK,    /* rows that one block of map takes */
    HM_MOVE_BLOCK = 128,           /* threads of a move block: small, so that one loads while others look for rows */
    HM_MOVE_UNIT = 16 * 1024,      /* bytes that one block of move takes, about: 8 words of 16 bytes for a thread */
    HM_MOVE_ROWS = 256,            /* rows at most that one block of move takes */
    HM_MOVE_PIECE = 512,           /* bytes at least of a piece of a row, where rows are cut for the cache's sake */
    HM_TABLES_HELD = 3584,         /* bytes of tables that travel as a kernel's parameters, of which 4096 is the most */
    HM_PRINT_LANES = 8,            /* threads that sample one row, 16 bytes each */
    HM_COUNT_GROUPS = 1024,        /* groups that are counted at a time */
    HM_COMPARE_BLOCK = 128,        /* threads of a compare block, whose warps work alone */
    HM_COMPARE_BYTES = 32 * 1024,  /* bytes that one warp of a compare takes, about */
    HM_SUM_BLOCK = 128,            /* threads of a sum block */
    HM_SUM_UNIT = 16 * 1024,       /* bytes that one block of sum writes, about */
    HM_INVERT_TILE = 4 * HM_BLOCK, /* children that one block of invert takes */
    HM_SORT_SHORT = 48,            /* children that one thread sorts */
    HM_MOST_STRAY_COMPARES = 4096, /* rows of one fingerprint but other bytes that are tried before a row is new */
};

/* Tables of a kernel's jobs: in its parameters where they are small, else in device memory. */
typedef struct hm_tables {
    const unsigned char *staged; /* NULL: below */
    uint32_t jobs;               /* entries of the first table; for clear: words of 8 bytes of all of them */
    uint32_t pad;
    uint64_t held[HM_TABLES_HELD / 8];
} hm_tables_t;

/* One segment of a row table; a table has only segments with rows, in order. */
typedef struct hm_segment {
    const unsigned char *base;
    uint32_t first; /* number of its first row */
    uint32_t bit;   /* its destination, for identify */
} hm_segment_t;

typedef struct hm_table {
    const hm_segment_t *segment;
    uint64_t row_bytes;
    uint32_t segments;
    uint32_t access; /* bytes that every row may be read by: 16, 8, 4, 2 or 1 */
} hm_table_t;

/* Work memory of identify. */
typedef struct hm_identify_work {
    uint64_t slots, stray_slots;  /* powers of two; stray_slots <= 2^31 and > n */
    unsigned long long *entry;    /* [slots] a fingerprint's or a stray's hash above, smallest row with it below */
    uint32_t *leader;             /* [n] slot, then the class's smallest row; or HM_STRAY + slot for a stray */
    uint32_t *rank;               /* [n] a row's place in its class, in any order */
    uint32_t *order;              /* [n] rows class by class */
    uint32_t *number;             /* [n] by smallest row: distinct id */
    uint32_t *start;              /* [n] by smallest row: class size, then where the class starts in order */
    unsigned long long *state[2]; /* [tiles] look-back of the two numberings */
    uint32_t *done[2];            /* [tiles] which tiles have written their numbers */
    uint32_t *ticket;             /* [2] their tile counters, then the number of strays */
    uint64_t zero_bytes;          /* from start to the end of ticket */
} hm_identify_work_t;

/* Arguments of identify's kernels, which run one after another:
 * clear, print (table of fingerprints), gather (classes of one fingerprint and their sizes), number (ids, and rows
 * class by class), compare (all bytes; strays find their own class), label (ids and masks of all rows; ids anew if
 * there were strays), count. */
typedef struct hm_identify {
    hm_table_t table;
    uint32_t n;
    uint32_t compare_rows; /* rows of one warp of compare, 1..32 */
    uint64_t fingerprint_mask;
    hm_identify_work_t work;
    hm_identity_t out;
    const hm_bits_t *group;
    uint32_t groups;
} hm_identify_t;

#define HM_STRAY 0x80000000u

typedef struct hm_pick {
    const uint8_t *mask;
    uint32_t *index, *place;
    uint8_t *sub;
    uint32_t mask_bytes, rows, first_tile;
    uint32_t most; /* hits that are listed, at most */
    hm_bits_t bits;
} hm_pick_t;

/* Arguments of period's kernels, which run one after another: period (counts rows of all sizes), settle. */
typedef struct hm_period_work {
    const hm_period_part_t *part;
    const uint32_t *size;      /* [sizes] bytes of a row */
    const uint64_t *table;     /* [sizes + 1] where in `entry` a size's table begins; powers of two of slots each */
    hm_period_count_t *count;  /* [sizes] zeros at first */
    unsigned long long *entry; /* hashes of rows, zeros at first */
    uint32_t *found;
    uint32_t sizes, scale;
    uint32_t access; /* that suits all segments' starts: 16, 8, 4, 2 or 1 */
} hm_period_work_t;

/* Where the tiles of a pick meet. Nothing is cleared between launches: tickets run on from `ticket_before`, and what
 * tiles publish bears the launch's own tag. */
typedef struct hm_pick_scan {
    unsigned long long *state; /* [tiles] */
    uint32_t *ticket;
    uint32_t ticket_before;
    uint32_t tag; /* never 0, below 2^HM_PICK_TAG_BITS */
} hm_pick_scan_t;

#define HM_PICK_TAG_BITS 30

typedef struct hm_map {
    const uint32_t *id, *place;
    uint32_t *out;
    uint32_t rows, first_tile;
} hm_map_t;

/* What one block of a move takes: `bytes` of each of `rows` rows, by words of `access` bytes. Rows longer than that
 * take several rounds of `across` blocks, so that blocks that run together read the same part of all rows. */
typedef struct hm_move_unit {
    uint32_t across, bytes;
    uint16_t rows, access;
} hm_move_unit_t;

typedef struct hm_move {
    unsigned char *dst;
    union {
        const unsigned char *src;
        uint64_t segments_at; /* bytes from the start of the tables to this job's segments */
    };
    uint64_t dst_stride, src_stride, src_offset, width;
    const uint32_t *index, *via;
    uint32_t via_last, src_last; /* largest index into via, largest row of the source */
    uint32_t segments;           /* 0: rows are at src */
    uint32_t rows, first_unit;   /* first_unit: of all blocks, the first one of this job */
    hm_move_unit_t unit;
} hm_move_t;

/* What the kernels of tokens read beside those of identify. */
typedef struct hm_mark {
    hm_identify_t rows; /* work.leader, number, state[0] and ticket only */
    hm_tokens_t tokens;
    hm_tokens_found_t found;
    uint32_t *lead; /* [tokens + 1] smallest row of each token, fillers last */
} hm_mark_t;

/* A piece of the children of sums; `first`: number of its first child among those of all pieces. */
typedef struct hm_piece {
    const uint32_t *sum;
    uint32_t first, first_sum, sums, first_row, parting, pad;
} hm_piece_t;

typedef struct hm_invert {
    uint32_t *offset, *child;
    uint32_t *next;            /* [sums] children so far; zeros at first */
    unsigned long long *state; /* [tiles] look-back; zeros at first */
    uint32_t *ticket;          /* zero at first */
    uint32_t sums, children;
} hm_invert_t;

/* The segments of a table of rows. */
typedef struct hm_sum_rows {
    uint64_t at; /* bytes from the start of the tables */
    uint32_t segments, pad;
    uint64_t stride, offset;
} hm_sum_rows_t;

/* hm_sum_into_t on the device; rows.segments 0: sums go to dst. */
typedef struct hm_sum_to {
    hm_sum_rows_t rows;
    const uint32_t *id, *first, *filler;
    uint32_t in_place, pad;
} hm_sum_to_t;

/* What one block of a sum takes: `bytes` of each of `rows` rows; `across` blocks take all rows, the next ones their
 * next columns. */
typedef struct hm_sum_unit {
    uint32_t across;
    uint16_t rows, bytes;
    uint32_t access, pad;
} hm_sum_unit_t;

typedef struct hm_sum {
    const uint32_t *offset, *child;
    hm_sum_rows_t sources;
    hm_sum_to_t to;
    unsigned char *dst;
    uint64_t dst_stride;
    uint32_t rows, sums; /* rows: that are written, by number; in place: sums */
    uint32_t width, first_unit;
    uint32_t type, partings;
    hm_sum_unit_t unit;
} hm_sum_t;

#endif
