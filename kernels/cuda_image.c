/* The kernels' fat binary as read-only bytes of the library. */
#include "cuda_driver.h"

__asm__(".pushsection .rodata, \"a\", @progbits\n"
        ".balign 64\n"
        ".globl hm_cuda_image\n"
        ".hidden hm_cuda_image\n"
        ".type hm_cuda_image, @object\n"
        "hm_cuda_image:\n"
        ".incbin \"" HM_CUDA_IMAGE_FILE "\"\n"
        ".size hm_cuda_image, . - hm_cuda_image\n"
        ".popsection\n");
