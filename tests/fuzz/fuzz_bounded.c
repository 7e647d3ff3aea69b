/* Runs a target on a fixed number of fixed mutations of its seeds: the part of fuzzing that every test run can do, with
 * any compiler. usage: fuzz_X_bounded [ROUNDS] */
#include "fuzz_seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MOST 4096

static uint64_t state = 1;

static size_t below(size_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return n > 0 ? (size_t)(state >> 33) % n : 0;
}

/* One change: a byte overwritten, bytes dropped, doubled or put in. */
static size_t mutate(uint8_t *input, size_t size)
{
    static const char tokens[] = "0123456789,.-+eE# \n\t\r\0\x80\xff";
    size_t at = below(size), count = 1 + below(size - at < 16 ? size - at : 16);
    switch (size > 0 ? below(4) : 3) {
    case 0:
        input[at] = (uint8_t)below(256);
        return size;
    case 1:
        if (at + count > size) return size;
        memmove(input + at, input + at + count, size - at - count);
        return size - count;
    case 2:
        if (at + count > size || size + count > INPUT_MOST) return size;
        memmove(input + at + count, input + at, size - at);
        return size + count;
    default:
        if (size + 1 > INPUT_MOST) return size;
        memmove(input + at + 1, input + at, size - at);
        input[at] = (uint8_t)tokens[below(sizeof(tokens) - 1)];
        return size + 1;
    }
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    size_t seeds = 0;
    while (fuzz_seed[seeds] != NULL) seeds++;
    for (long i = 0; i < rounds; i++) {
        uint8_t input[INPUT_MOST];
        const char *seed = fuzz_seed[below(seeds)];
        size_t size = strlen(seed), changes = below(6);
        memcpy(input, seed, size);
        for (size_t c = 0; c < changes; c++) size = mutate(input, size);
        /* An exact-size copy shows a memory checker every read past the end. */
        uint8_t *exact = malloc(size > 0 ? size : 1);
        if (exact == NULL) return 1;
        memcpy(exact, input, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%ld inputs\n", rounds);
    return 0;
}
