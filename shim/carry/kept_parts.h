/* What a kept dispatch is made of: written by kept_make.c and kept_lists.c, read along the way of later calls (way.c,
 * back.c, again.c), which also write where their own messages lie. */
#ifndef HM_KEPT_PARTS_H
#define HM_KEPT_PARTS_H

#include "kept.h"

/* The messages of a lane, those of the dispatch: what it sent comes in on the way back. Their rows, and `at`: where the
 * payload of the call at hand lies in scratch; heads are not sent any more. */
typedef struct hm_kept_lane {
    const hm_route_t *route; /* peers, steps and groups; its sizes are those of another call by now */
    hm_message_t *out, *in;  /* [route->outs], [route->ins] */
    hm_part_t *part;         /* [route->parts] */
    uint32_t **list;         /* [parts] device: of an outgoing part the rows that it takes from those of its source, or
                                of an incoming part for several ranks those for this rank; NULL: no rows, or all */
    uint32_t *tree;          /* [parts] number of the first sum of an incoming part for several ranks */
    size_t *own_at;          /* [parts] where this rank's own sums for such a part lie, in the call at hand */
    size_t root_at;          /* the same for the rows that the dispatch kept on this rank */
} hm_kept_lane_t;

/* This rank's rows as the source, on the device. */
typedef struct hm_kept_rows {
    uint32_t *id, *first; /* hm_identity_t */
    uint32_t *filler;     /* one word, or NULL */
    uint32_t *own;        /* distinct numbers of the rows that the dispatch kept on this rank */
    uint32_t count, distinct;
} hm_kept_rows_t;

/* The rows of one source on this rank. */
typedef struct hm_kept_leaf {
    uint32_t *map;      /* device: [rows] number among the source's distinct rows for this rank */
    uint32_t sums;      /* these distinct rows */
    uint32_t first_sum; /* the number of their first sum */
    uint32_t first_row; /* rows of the sources before */
} hm_kept_leaf_t;

/* A child of the node at which this rank adds rows of a source: what comes back of an outgoing part, or the sums of its
 * own rows. */
typedef struct hm_kept_child {
    int message, part; /* of the lane's out messages; -1: its own rows */
    int first;         /* position of the first rank whose rows it holds */
    uint32_t rows;
} hm_kept_child_t;

/* Memory for jobs and their tables, sized so that no tick lacks any. */
typedef struct hm_kept_jobs {
    hm_move_job_t *move;
    hm_sum_job_t *leaf, *node; /* sums of this rank's own rows; sums of what came in, made after these */
    hm_rows_t *table;          /* one for each of `node` */
    const void **base;         /* entries of the tables */
    size_t *rows;
    hm_kept_child_t *child; /* of one node, or for as many ranks as there are */
} hm_kept_jobs_t;

/* Sizes of the dispatch, and what later calls take. */
typedef struct hm_kept_sizes {
    size_t row_bytes, width;      /* width: of the dispatch's pieces */
    size_t bytes;                 /* of device memory */
    size_t rows_most, areas_most; /* agreed: of messages and own sums, in all lanes, on the rank with most of them */
} hm_kept_sizes_t;

struct hm_kept {
    const hm_place_t *place;
    int me, depth, lanes;
    hm_kept_sizes_t sizes;
    hm_kept_rows_t rows;
    size_t *rows_out, *rows_in; /* [ranks] raw rows of the dispatch to each rank and from each rank */
    hm_kept_leaf_t *leaf;       /* [ranks] */
    uint32_t *offset, *child;   /* device: the lists of all sums (kernels/sums.h) */
    uint32_t root, whole;       /* numbers of the first sums of this rank's distinct rows, from what comes in and from
                                   all raw rows */
    hm_kept_lane_t lane[HM_MAX_LANES];
    hm_kept_jobs_t jobs;
};

/* Writes the children of the node of one source in a lane, by position, to kept->jobs.child; returns how many. Those
 * without rows are left out. */
int kept_children(const hm_kept_t *kept, const hm_kept_lane_t *lane, int source);

/* Counts for all ranks into carry->kept. */
void kept_count(const hm_carry_t *carry, const hm_load_t *load);

/* Bytes of device memory for what was counted. */
size_t kept_count_bytes(const hm_kept_count_t *count, const hm_channel_t *channel);

/* Enqueues the making of all lists of children. */
int kept_lists_make(hm_kept_t *kept, hm_channel_t *channel, void *work);

#endif
