/* Four numbers at a time, for swap_bound.c. */
#ifndef HM_SWAP_VECTOR_H
#define HM_SWAP_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float float4_t __attribute__((vector_size(16)));
typedef double double2_t __attribute__((vector_size(16)));
typedef int32_t int4_t __attribute__((vector_size(16)));
typedef uint32_t uint4_t __attribute__((vector_size(16)));
/* Four of the eight of x and y. */
#ifdef __clang__
#define HM_SHUFFLE4(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define HM_SHUFFLE4(x, y, ...) __builtin_shuffle(x, y, (int4_t){__VA_ARGS__})
#endif

static inline float4_t select4(int4_t mask, float4_t yes, float4_t no)
{
    return (float4_t)(((int4_t)yes & mask) | ((int4_t)no & ~mask));
}

static inline float4_t max4(float4_t x, float4_t y)
{
    return select4(x > y, x, y);
}

static inline float4_t min4(float4_t x, float4_t y)
{
    return select4(x < y, x, y);
}

static inline int4_t load4(const uint32_t *from)
{
    int4_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline float4_t float4_load(const float *from)
{
    float4_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void float4_add(float *to, float4_t value)
{
    value += float4_load(to);
    memcpy(to, &value, sizeof value);
}

/* Four rows of four, read as columns. */
static inline void block_turn(const float *from, size_t stride, float4_t column[4])
{
    float4_t a = float4_load(from), b = float4_load(from + stride);
    float4_t c = float4_load(from + 2 * stride), d = float4_load(from + 3 * stride);
    float4_t ab = HM_SHUFFLE4(a, b, 0, 4, 1, 5), cd = HM_SHUFFLE4(c, d, 0, 4, 1, 5);
    column[0] = HM_SHUFFLE4(ab, cd, 0, 1, 4, 5);
    column[1] = HM_SHUFFLE4(ab, cd, 2, 3, 6, 7);
    ab = HM_SHUFFLE4(a, b, 2, 6, 3, 7);
    cd = HM_SHUFFLE4(c, d, 2, 6, 3, 7);
    column[2] = HM_SHUFFLE4(ab, cd, 0, 1, 4, 5);
    column[3] = HM_SHUFFLE4(ab, cd, 2, 3, 6, 7);
}

/* 2^x for |x| <= 120: Taylor of degree 5 between whole powers, to 3e-6 of the value. */
static inline float4_t exp4(float4_t x)
{
    const float whole = 0x1.8p23f, l = 0.693147181f; /* added, whole leaves no room for a fraction */
    float4_t near = x + whole, rest = x - (near - whole), square = rest * rest;
    float4_t high =
        l * l / 2 + rest * (l * l * l / 6) + square * (l * l * l * l / 24 + rest * (l * l * l * l * l / 120));
    return (float4_t)((uint4_t)(1 + rest * l + square * high) + ((uint4_t)near << 23));
}

#endif
