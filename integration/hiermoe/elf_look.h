/* What the file of a program or library says about how it is loaded, and how it comes to NCCL. */
#ifndef HM_ELF_LOOK_H
#define HM_ELF_LOOK_H

#include <limits.h>
#include <stdbool.h>

/* How calls to NCCL leave an object. */
typedef enum hm_nccl_use {
    HM_NCCL_NONE,     /* it names no function of NCCL's */
    HM_NCCL_LINKED,   /* by names of another object: a preloaded library stands before them */
    HM_NCCL_OWN,      /* it holds NCCL and exports it: a preloaded library stands before its own calls, too */
    HM_NCCL_SYMBOLIC, /* the same, linked with -Bsymbolic or protected: its own calls stay inside */
    HM_NCCL_STATIC,   /* it holds NCCL and exports nothing of it */
    HM_NCCL_BY_HANDLE /* it names libnccl.so in its data alone, for dlopen */
} hm_nccl_use_t;

typedef struct hm_elf_look {
    char interpreter[256]; /* the loader; empty: it is linked statically, or is a library */
    bool program;          /* not a library */
    hm_nccl_use_t nccl;
} hm_elf_look_t;

/* 0; -ENOEXEC for what is no ELF file of this machine's word size, or another negative errno. */
int elf_look(const char *path, hm_elf_look_t *look);

#endif
