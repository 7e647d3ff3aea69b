/* Elements of rows as fp32 and back: the same bits on the host and on a GPU. Read by C and by CUDA. A value of a type
 * that becomes fp32 and is rounded to the type again is the same bits, those of a NaN too. */
#ifndef HM_ELEMENT_H
#define HM_ELEMENT_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define HM_ELEMENT_FN static __device__ __forceinline__
#else
#define HM_ELEMENT_FN static inline
#endif

#define HM_FP32_INF 0x7F800000u
#define HM_FP32_NAN 0x7FFFFFFFu /* what a sum that is NaN becomes: also what GPUs give */

HM_ELEMENT_FN float fp32_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

HM_ELEMENT_FN uint32_t fp32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

HM_ELEMENT_FN float fp32_nan_plain(float value)
{
    return value != value ? fp32_of_bits(HM_FP32_NAN) : value;
}

HM_ELEMENT_FN float bf16_read(uint16_t bits)
{
    return fp32_of_bits((uint32_t)bits << 16);
}

/* To nearest, ties to even; a finite value that is too large becomes Inf by the carry. */
HM_ELEMENT_FN uint16_t bf16_round(float value)
{
    uint32_t bits = fp32_bits(value), up = 0x7FFFu + (bits >> 16 & 1);
    return (uint16_t)(((bits & 0x7FFFFFFFu) > HM_FP32_INF ? bits : bits + up) >> 16);
}

HM_ELEMENT_FN float fp16_read(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, size = bits & 0x7FFFu;
    /* Exponents of fp16 begin 112 below those of fp32. Below the normal numbers lie multiples of 2^-24. */
    uint32_t normal = (size << 13) + (size >= 0x7C00u ? 224u << 23 : 112u << 23);
    uint32_t small = fp32_bits((float)size * 0x1p-24f);
    return fp32_of_bits(sign | (size < 0x0400u ? small : normal));
}

HM_ELEMENT_FN uint16_t fp16_round(float value)
{
    uint32_t bits = fp32_bits(value), size = bits & 0x7FFFFFFFu, sign = bits >> 16 & 0x8000u;
    /* Next to 0.5 fp32 has steps of 2^-24, as fp16 has below its normal numbers: the addition rounds. */
    uint32_t small = fp32_bits(fp32_of_bits(size < 0x38800000u ? size : 0) + 0.5f) - 0x3F000000u;
    uint32_t normal = (size - (112u << 23) + 0x0FFFu + (size >> 13 & 1)) >> 13;
    uint32_t large = size > HM_FP32_INF ? 0x7C00u | (size >> 13 & 0x03FFu) : 0x7C00u; /* from 65520 on: Inf */
    return (uint16_t)(sign | (size < 0x38800000u ? small : size < 0x477FF000u ? normal : large));
}

#endif
