/* Small things about bytes and numbers: sizes as users write them, a hash, the greatest common divisor. */
#ifndef HM_BYTES_H
#define HM_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HM_BYTES_HASH_START 0xCBF29CE484222325u

/* FNV-1a of so many bytes, going on from `hash` (HM_BYTES_HASH_START at first). Not cryptographic. */
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

/* Reads the size that text begins with, such as 65536, 64k or 2G: decimal digits, then K, M or G (of 1024) in either
 * case, or nothing. *end: what follows it. false, nothing set: text begins with no size, or with one above SIZE_MAX. */
static inline bool bytes_size_parse(const char *text, const char **end, size_t *size)
{
    size_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(value, (size_t)10, &value)) return false;
        if (__builtin_add_overflow(value, (size_t)(*at - '0'), &value)) return false;
    }
    if (at == text) return false;
    int shift = *at == 'K' || *at == 'k' ? 10 : *at == 'M' || *at == 'm' ? 20 : *at == 'G' || *at == 'g' ? 30 : 0;
    if (value > SIZE_MAX >> shift) return false;
    *size = value << shift;
    *end = at + (shift != 0);
    return true;
}

#endif
