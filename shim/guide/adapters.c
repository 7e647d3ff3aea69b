#include "adapters.h"

#include "base/bytes.h"

#include <stdatomic.h>
#include <string.h>

static _Atomic uint64_t attached;

void adapters_add(const char *name, uint64_t code_hash)
{
    uint64_t before = atomic_load(&attached), after;
    do {
        after = bytes_hash(before != 0 ? before : HM_BYTES_HASH_START, name, strlen(name) + 1);
        after = bytes_hash(after, &code_hash, sizeof code_hash);
        if (after == 0) after = 1;
    } while (!atomic_compare_exchange_weak(&attached, &before, after));
}

uint64_t adapters_hash(void)
{
    return atomic_load(&attached);
}
