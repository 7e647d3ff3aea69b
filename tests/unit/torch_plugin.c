/* Passes for PyTorch's library: built for the NCCL that TORCH_PLUGIN_NCCL names, such as 2.14. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t torch_nccl_version(void) __asm__("_ZN5torch4cuda4nccl7versionEv");
uint64_t torch_nccl_version(void)
{
    unsigned major = 0, minor = 0;
    const char *text = getenv("TORCH_PLUGIN_NCCL");
    if (text != NULL) sscanf(text, "%u.%u", &major, &minor);
    return (uint64_t)major << 32 | (uint64_t)minor << 16;
}
