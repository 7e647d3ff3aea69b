/* Inputs that a target's mutations start from; NULL ends the list. */
#ifndef HM_FUZZ_SEED_H
#define HM_FUZZ_SEED_H

#include <stddef.h>
#include <stdint.h>

extern const char *const fuzz_seed[];
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
