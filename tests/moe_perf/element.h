/* Numbers as elements of rows: bf16, fp16, fp32. Rounded to nearest, ties to even. */
#ifndef MP_ELEMENT_H
#define MP_ELEMENT_H

#include "options.h"

#include <math.h>
#include <string.h>

/* Bits of the significand. */
static inline int element_bits(mp_dtype_t dtype)
{
    return dtype == MP_BF16 ? 8 : dtype == MP_FP16 ? 11 : 24;
}

/* What a type can hold of a number; large ones of fp16 become infinite. */
static inline float element_round(mp_dtype_t dtype, float number)
{
    uint32_t word;
    if (dtype == MP_FP32 || number != number) return number;
    if (dtype == MP_FP16) {
        int exponent = number != 0 ? ilogbf(number) : 0;
        float step = ldexpf(1, (exponent < -14 ? -14 : exponent) - 10), rounded = rintf(number / step) * step;
        return fabsf(rounded) > 65504 ? copysignf(INFINITY, number) : rounded;
    }
    memcpy(&word, &number, sizeof(word));
    word = (word + 0x7fff + (word >> 16 & 1)) & 0xffff0000u;
    memcpy(&number, &word, sizeof(number));
    return number;
}

static inline float element_read(mp_dtype_t dtype, const uint8_t *at)
{
    uint16_t half;
    uint32_t word;
    float number;
    if (dtype == MP_FP32) {
        memcpy(&number, at, sizeof(number));
        return number;
    }
    memcpy(&half, at, sizeof(half));
    if (dtype == MP_FP16) {
        int exponent = half >> 10 & 31, fraction = half & 0x3ff;
        number = exponent == 31
                     ? (fraction ? NAN : INFINITY)
                     : ldexpf((float)(exponent ? fraction | 0x400 : fraction), (exponent ? exponent : 1) - 25);
        return half & 0x8000 ? -number : number;
    }
    word = (uint32_t)half << 16;
    memcpy(&number, &word, sizeof(number));
    return number;
}

/* Of a finite number that the type holds exactly. */
static inline void element_write(mp_dtype_t dtype, float number, uint8_t *at)
{
    uint32_t word;
    uint16_t half;
    memcpy(&word, &number, sizeof(word));
    if (dtype == MP_FP32) {
        memcpy(at, &word, sizeof(word));
        return;
    }
    half = (uint16_t)(word >> 16);
    if (dtype == MP_FP16) {
        int exponent = number != 0 ? ilogbf(number) : -15;
        half = (uint16_t)(word >> 16 & 0x8000);
        if (exponent < -14)
            half |= (uint16_t)ldexpf(fabsf(number), 24);
        else
            half |= (uint16_t)((exponent + 14) * 1024 + (int)ldexpf(fabsf(number), 10 - exponent));
    }
    memcpy(at, &half, sizeof(half));
}

#endif
