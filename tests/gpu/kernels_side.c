/* Running one case on two back ends. */
#include "kernels_side.h"

#include "../splitmix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t seed = 1;
int failures, checks;

uint64_t random64(void)
{
    return splitmix_next(&seed);
}

uint32_t below(uint32_t n)
{
    return (uint32_t)(random64() % n);
}

void fill(void *memory, size_t bytes)
{
    unsigned char *at = memory;
    for (size_t i = 0; i < bytes; i++) at[i] = (unsigned char)random64();
}

void *must_alloc(size_t bytes)
{
    void *memory = malloc(bytes + 1);
    if (memory == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    return memory;
}

void check(bool good, const char *what, const char *detail)
{
    checks++;
    if (good) return;
    failures++;
    fprintf(stderr, "FAILED: %s: %s\n", what, detail);
}

side_t host = {.kernels = &hm_kernels_host}, cuda;

void must(int status, const char *what)
{
    if (status == 0) return;
    fprintf(stderr, "%s returned %d\n", what, status);
    exit(1);
}

void *device_alloc(side_t *side, size_t bytes)
{
    void *memory = NULL;
    must(side->kernels->alloc(side->context, bytes, &memory), "alloc");
    return memory;
}

static void transfer(side_t *side, void *device, void *plain, size_t bytes, bool up)
{
    void *pinned = NULL;
    must(side->kernels->host_alloc(side->context, bytes, &pinned), "host_alloc");
    if (up) memcpy(pinned, plain, bytes);
    must(side->kernels->copy(side->context, side->stream, up ? device : pinned, up ? pinned : device, bytes), "copy");
    must(side->kernels->wait(side->context, side->stream, 60, NULL), "wait");
    if (!up) memcpy(plain, pinned, bytes);
    side->kernels->host_free(side->context, pinned);
}

/* Device memory with the bytes of `plain`. */
void *upload(side_t *side, const void *plain, size_t bytes)
{
    void *device = device_alloc(side, bytes);
    transfer(side, device, (void *)plain, bytes, true);
    return device;
}

void download(side_t *side, const void *device, void *plain, size_t bytes)
{
    transfer(side, (void *)device, plain, bytes, false);
}

void device_free(side_t *side, void *memory)
{
    side->kernels->free(side->context, memory);
}
