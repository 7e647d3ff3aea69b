#define _GNU_SOURCE
#include "image.h"

#include <stdint.h>

typedef struct hm_wanted {
    uintptr_t at;
    struct dl_phdr_info *info;
} hm_wanted_t;

static int image_match(struct dl_phdr_info *info, size_t size, void *context)
{
    const hm_wanted_t *wanted = context;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || wanted->at - info->dlpi_addr - part->p_vaddr >= part->p_memsz) continue;
        *wanted->info = *info;
        return 1;
    }
    return 0;
}

bool image_find(const void *at, struct dl_phdr_info *info)
{
    hm_wanted_t wanted = {(uintptr_t)at, info};
    return dl_iterate_phdr(image_match, &wanted) != 0;
}
