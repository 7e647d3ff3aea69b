/* Small sums over bytes and numbers. */
#ifndef HM_BYTES_H
#define HM_BYTES_H

#include <stddef.h>
#include <stdint.h>

#define BYTES_HASH_START 0xCBF29CE484222325u

/* FNV-1a of so many bytes, going on from `hash` (BYTES_HASH_START at first). No defence against anybody. */
static inline uint64_t bytes_hash(uint64_t hash, const void *memory, size_t bytes)
{
    const unsigned char *at = memory;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ at[i]) * 0x100000001B3u;
    return hash;
}

/* The greatest common divisor; that of a number and 0 is the number. */
static inline size_t bytes_gcd(size_t a, size_t b)
{
    while (b != 0) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

#endif
