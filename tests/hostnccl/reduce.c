#include "reduce.h"

#include <stdint.h>

size_t reduce_type_bytes(ncclDataType_t type)
{
    switch ((int)type) {
    case ncclInt8:
    case ncclUint8:
    case ncclFloat8e4m3:
    case ncclFloat8e5m2:
        return 1;
    case ncclFloat16:
    case ncclBfloat16:
        return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
        return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
        return 8;
    default:
        return 0;
    }
}

bool reduce_supported(ncclDataType_t type, ncclRedOp_t op)
{
    bool known_type = reduce_type_bytes(type) && type != ncclFloat16 && type != ncclBfloat16 &&
                      type != ncclFloat8e4m3 && type != ncclFloat8e5m2;
    return known_type && (op == ncclSum || op == ncclProd || op == ncclMin || op == ncclMax);
}

/* Sums and products wrap as unsigned numbers: signed overflow is undefined in C. */
#define REDUCE(name, ctype, wtype) \
    static void reduce_##name(ctype *into, const ctype *from, size_t count, ncclRedOp_t op) \
    { \
        if (op == ncclSum) \
            for (size_t i = 0; i < count; i++) into[i] = (ctype)((wtype)into[i] + (wtype)from[i]); \
        else if (op == ncclProd) \
            for (size_t i = 0; i < count; i++) into[i] = (ctype)((wtype)into[i] * (wtype)from[i]); \
        else if (op == ncclMin) \
            for (size_t i = 0; i < count; i++) into[i] = from[i] < into[i] ? from[i] : into[i]; \
        else \
            for (size_t i = 0; i < count; i++) into[i] = from[i] > into[i] ? from[i] : into[i]; \
    }

REDUCE(i8, int8_t, uint32_t)
REDUCE(u8, uint8_t, uint32_t)
REDUCE(i32, int32_t, uint32_t)
REDUCE(u32, uint32_t, uint32_t)
REDUCE(i64, int64_t, uint64_t)
REDUCE(u64, uint64_t, uint64_t)
REDUCE(f32, float, float)
REDUCE(f64, double, double)

void reduce_into(void *into, const void *from, size_t count, ncclDataType_t type, ncclRedOp_t op)
{
    switch ((int)type) {
    case ncclInt8:
        reduce_i8(into, from, count, op);
        break;
    case ncclUint8:
        reduce_u8(into, from, count, op);
        break;
    case ncclInt32:
        reduce_i32(into, from, count, op);
        break;
    case ncclUint32:
        reduce_u32(into, from, count, op);
        break;
    case ncclInt64:
        reduce_i64(into, from, count, op);
        break;
    case ncclUint64:
        reduce_u64(into, from, count, op);
        break;
    case ncclFloat32:
        reduce_f32(into, from, count, op);
        break;
    case ncclFloat64:
        reduce_f64(into, from, count, op);
        break;
    default: /* reduce_supported has said no */
        break;
    }
}
