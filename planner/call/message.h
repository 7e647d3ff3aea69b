/* What messages are made of and how many bytes they take: the one place that says so, asked by the layout, the cost
 * model, the executor and its windows.
 *
 * A message carries the rows of one or more sources for one group. For each source it has a part: first a head of
 * masks (which rank of the group wants the row; none where the group is one rank) and maps (for each raw row of the
 * source for one rank, its number among the source's distinct rows for that rank). Behind all heads follow the rows,
 * the message's payload. Masks and maps end on HM_ALIGN bytes, the payload need not.
 *
 * A row may go in pieces: cut into slices that follow each other, and each slice into lanes that take different ways.
 * Heads go with the first slice, masks in every lane, each map in one lane only (paths_map_here). */
#ifndef HM_MESSAGE_H
#define HM_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define HM_ALIGN 16
static inline size_t message_align(size_t bytes)
{
    return (bytes + HM_ALIGN - 1) / HM_ALIGN * HM_ALIGN;
}

/* One source's part of a message. Sizes belong to one call and are set by layout_fill. */
typedef struct hm_part {
    int source;
    uint32_t rows;          /* distinct rows of the source for the message's group */
    size_t mask_at, map_at; /* bytes from the start of the area; the maps of the group's ranks follow by position */
    size_t row_at;          /* first row within the message's payload */
} hm_part_t;

/* What one rank sends another in one step. */
typedef struct hm_message {
    int peer, step, level; /* level: used level of the hop */
    int first, count;      /* positions of the group that the rows are for */
    int part, parts;       /* hm_route_t.part[part ... part + parts), sources ascending */
    size_t at, head_bytes; /* head at `at`, payload at `at + head_bytes`; bytes from the start of the area */
    size_t rows;           /* of all parts */
} hm_message_t;

/* Bytes of a row's mask for `count` ranks. */
static inline size_t message_mask_bytes(int count)
{
    return count > 1 ? ((size_t)count + 7) / 8 : 0;
}

static inline size_t message_masks_bytes(size_t rows, int count)
{
    return message_align(rows * message_mask_bytes(count));
}

/* Bytes of the maps of `raw` raw rows. */
static inline size_t message_maps_bytes(size_t raw)
{
    return message_align(raw * sizeof(uint32_t));
}

/* Bytes of one part's head: `rows` distinct rows for a group of `count` ranks, and maps of `raw` raw rows. */
static inline size_t message_head_bytes(size_t rows, size_t raw, int count)
{
    return message_masks_bytes(rows, count) + message_maps_bytes(raw);
}

/* Upper bound of the room that such a part takes in an area at `width` bytes a row, however it is aligned. Linear in
 * width. */
static inline size_t message_part_most(size_t rows, size_t raw, int count, size_t width)
{
    return rows * (message_mask_bytes(count) + width) + raw * sizeof(uint32_t) + 4 * HM_ALIGN;
}

/* Bytes of a row that travel together. */
typedef struct hm_piece {
    size_t at, width; /* width 0 behind the end of the row */
} hm_piece_t;

/* The width that cuts a row into `pieces`, or a few less: a multiple of 16 bytes, at most the row. */
static inline size_t message_width(size_t row_bytes, size_t pieces)
{
    size_t width = message_align((row_bytes + pieces - 1) / pieces);
    return width < row_bytes ? width : row_bytes;
}

/* Piece number slice * lanes + lane of a row that is cut into pieces of `width` bytes, the last one narrower. */
static inline hm_piece_t message_piece(size_t row_bytes, size_t width, int piece)
{
    size_t at = (size_t)piece * width;
    if (at >= row_bytes) return (hm_piece_t){row_bytes, 0};
    return (hm_piece_t){at, row_bytes - at < width ? row_bytes - at : width};
}

/* Bytes of a row that go in one lane, over all slices. */
static inline size_t message_lane_bytes(size_t row_bytes, size_t width, int lanes, int lane)
{
    size_t bytes = 0;
    for (int piece = lane; width > 0 && (size_t)piece * width < row_bytes; piece += lanes)
        bytes += message_piece(row_bytes, width, piece).width;
    return bytes;
}

/* What of a message travels at once. */
typedef struct hm_span {
    size_t at, bytes; /* at: from the start of the area */
} hm_span_t;

/* The part of a message that goes in a slice whose pieces are `width` bytes wide: with the first slice, the head too.
 */
static inline hm_span_t message_span(const hm_message_t *message, int slice, size_t width)
{
    size_t payload = message->rows * width;
    if (slice > 0) return (hm_span_t){message->at + message->head_bytes, payload};
    return (hm_span_t){message->at, message->head_bytes + payload};
}

#endif
