#include "payload.h"

#include "layout.h"

#include <stdio.h>
#include <string.h>

#define ITERATIONS 2048

/* A bijection on 64 bits and its inverse (the odd constants are inverses of each other modulo 2^64). */
static uint64_t scramble(uint64_t x)
{
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

static uint64_t unscramble(uint64_t x)
{
    x = (x ^ x >> 32) * 0xcfee444d8b59a89bu;
    x = (x ^ x >> 32) * 0xcfee444d8b59a89bu;
    return x ^ x >> 32;
}

/* direction 1 bit, iteration 11, rank 12, row 22, column (in words) 18 */
static uint64_t name_pack(mp_name_t name)
{
    return (uint64_t)name.direction << 63 | (uint64_t)(name.iteration % ITERATIONS) << 52 | (uint64_t)name.rank << 40 |
           (uint64_t)name.row << 18;
}

static mp_name_t name_unpack(uint64_t packed, size_t *column)
{
    *column = packed & 0x3ffff;
    return (mp_name_t){.direction = (mp_direction_t)(packed >> 63),
                       .iteration = (int)(packed >> 52 & 2047),
                       .rank = (int)(packed >> 40 & 4095),
                       .row = (uint32_t)(packed >> 18 & 0x3fffff)};
}

void payload_write(uint8_t *row, size_t bytes, mp_name_t name)
{
    if (name.row == MP_PAD) {
        memset(row, 0, bytes);
        return;
    }
    uint64_t base = name_pack(name);
    size_t words = bytes / 8;
    for (size_t w = 0; w < words; w++) {
        uint64_t word = scramble(base + w);
        memcpy(row + 8 * w, &word, 8);
    }
    uint64_t last = scramble(base + words);
    memcpy(row + 8 * words, &last, bytes % 8);
}

void payload_check(const uint8_t *row, size_t bytes, mp_name_t name, size_t place, uint8_t *scratch, mp_wrong_t *wrong)
{
    payload_write(scratch, bytes, name);
    if (!memcmp(row, scratch, bytes)) return;
    for (size_t i = 0; i < bytes; i++) {
        if (row[i] == scratch[i]) continue;
        if (!wrong->bytes++) {
            size_t word = i / 8 * 8, length = bytes - word < 8 ? bytes - word : 8;
            wrong->name = name;
            wrong->place = place;
            wrong->offset = i;
            wrong->expected = scratch[i];
            wrong->got = row[i];
            wrong->got_word = 0;
            memcpy(&wrong->got_word, row + word, length);
        }
    }
}

void payload_check_poison(const uint8_t *memory, size_t bytes, mp_wrong_t *wrong)
{
    for (size_t i = 0; i < bytes; i++) {
        if (memory[i] == MP_POISON) continue;
        if (!wrong->bytes++) {
            wrong->place = SIZE_MAX;
            wrong->offset = i;
            wrong->expected = MP_POISON;
            wrong->got = memory[i];
        }
    }
}

/* What a word that should not be there looks like. */
static void word_describe(const mp_wrong_t *wrong, char *text, size_t text_bytes)
{
    uint64_t poison;
    size_t column;
    memset(&poison, MP_POISON, sizeof(poison));
    mp_name_t name = name_unpack(unscramble(wrong->got_word), &column);
    if (wrong->got_word == poison)
        snprintf(text, text_bytes, "nothing was written there");
    else if (!wrong->got_word)
        snprintf(text, text_bytes, "zeros are there");
    else if (name.direction == wrong->name.direction && name.iteration == wrong->name.iteration % ITERATIONS)
        snprintf(text, text_bytes, "if the word there is whole, it is row %u of rank %d from byte %zu", name.row,
                 name.rank, column * 8);
    else
        snprintf(text, text_bytes, "if the word there is whole, it is row %u of rank %d from byte %zu, %s %d", name.row,
                 name.rank, column * 8, options_direction_name(name.direction), name.iteration);
}

void payload_describe(const mp_wrong_t *wrong, size_t dtype_bytes, char *text, size_t text_bytes)
{
    char found[160], row[48] = "a row of zeros";
    if (wrong->place == SIZE_MAX) {
        snprintf(text, text_bytes, "byte %zu behind the receive buffer was overwritten with 0x%02x", wrong->offset,
                 wrong->got);
        return;
    }
    word_describe(wrong, found, sizeof(found));
    if (wrong->name.row != MP_PAD)
        snprintf(row, sizeof(row), "%s %u", wrong->name.direction == MP_DISPATCH ? "token" : "row", wrong->name.row);
    snprintf(
        text, text_bytes,
        "%s iteration %d: %s of rank %d, in buffer row %zu, column %zu (byte %zu): expected 0x%02x, got 0x%02x; %s",
        options_direction_name(wrong->name.direction), wrong->name.iteration, row, wrong->name.rank, wrong->place,
        wrong->offset / dtype_bytes, wrong->offset, wrong->expected, wrong->got, found);
}
