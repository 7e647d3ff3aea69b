/* Running one case on two back ends: the same calls on both, then a compare of what they wrote. */
#ifndef HM_TESTS_KERNELS_SIDE_H
#define HM_TESTS_KERNELS_SIDE_H

#include "kernels.h"

#include <stdbool.h>

/* One back end; every case runs on both, through the same calls. */
typedef struct side {
    const hm_kernels_t *kernels;
    hm_context_t *context;
    void *stream;
} side_t;

extern side_t host, cuda;
extern uint64_t seed;
extern int failures, checks;

uint64_t random64(void);
uint32_t below(uint32_t n); /* 0 .. n - 1 */
void fill(void *memory, size_t bytes);

/* These end the program where the test cannot go on. */
void *must_alloc(size_t bytes);
void must(int status, const char *what);

void check(bool good, const char *what, const char *detail);

void *device_alloc(side_t *side, size_t bytes);
void device_free(side_t *side, void *memory);
void *upload(side_t *side, const void *plain, size_t bytes); /* device memory with the bytes of `plain` */
void download(side_t *side, const void *device, void *plain, size_t bytes);

void test_claim(void);
void test_identify(bool small);
void test_period(bool small);
void test_sums(bool small);

#endif
