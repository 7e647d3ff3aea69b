/* Element-wise reductions. */
#ifndef HOST_REDUCE_H
#define HOST_REDUCE_H

#include "abi.h"

#include <stdbool.h>
#include <stddef.h>

/* Bytes of one element, 0 for a value that is no data type. */
size_t reduce_type_bytes(ncclDataType_t type);

/* Sum, product, minimum and maximum of 8, 32 and 64 bit integers, float and double. */
bool reduce_supported(ncclDataType_t type, ncclRedOp_t op);

/* into[i] = into[i] op from[i]. */
void reduce_into(void *into, const void *from, size_t count, ncclDataType_t type, ncclRedOp_t op);

#endif
