/* What the rows hold: words that name iteration, rank, row and column, scrambled by a bijection. So copies of a token
 * are the same bytes, no two other rows are, every iteration differs, and a wrong word tells where it came from. */
#ifndef MP_PAYLOAD_H
#define MP_PAYLOAD_H

#include "options.h"

#define MP_POISON 0xa5 /* what receive buffers are filled with before */

/* The limits that make a name fit 64 bits. */
#define MP_NAME_RANKS 4096
#define MP_NAME_ROWS (1 << 22)
#define MP_NAME_ROW_BYTES (8 << 18)

/* Names the first byte of a row. row: the token in a dispatch, the row of the sender's send buffer in a combine. */
typedef struct mp_name {
    mp_direction_t direction; /* MP_DISPATCH or MP_COMBINE, also of their backwards */
    int iteration, rank;      /* iteration counts modulo 2048; rank: the sender */
    uint32_t row;             /* MP_PAD (layout.h): zeros */
} mp_name_t;

/* The first wrong byte seen and the number of all. Zero-initialise. */
typedef struct mp_wrong {
    uint64_t bytes;
    bool said;            /* the first one was a number, and is said already; the rest does not mean anything */
    mp_name_t name;       /* of the row that was expected */
    size_t place, offset; /* row in the buffer that was looked at, byte in that row */
    uint8_t expected, got;
    uint64_t got_word; /* the aligned 8 bytes around it, as far as the row reaches; the rest is 0 */
} mp_wrong_t;

void payload_write(uint8_t *row, size_t bytes, mp_name_t name);

/* Compares a row with what payload_write would write; scratch: `bytes` of work memory. place: for the report. */
void payload_check(const uint8_t *row, size_t bytes, mp_name_t name, size_t place, uint8_t *scratch, mp_wrong_t *wrong);

/* Bytes that must still be poison. */
void payload_check_poison(const uint8_t *memory, size_t bytes, mp_wrong_t *wrong);

/* Describes the first wrong byte in words. dtype_bytes turns bytes into columns. */
void payload_describe(const mp_wrong_t *wrong, size_t dtype_bytes, char *text, size_t text_bytes);

#endif
