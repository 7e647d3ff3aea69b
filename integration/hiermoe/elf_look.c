#define _GNU_SOURCE
#include "elf_look.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DATA_MOST (64u << 20) /* of a section that is searched for libnccl.so */

/* What is seen while the file is read. */
typedef struct hm_seen {
    bool wanted, exported, bound, hidden, named, symbolic, needed;
} hm_seen_t;

static bool name_is_nccl(const char *name)
{
    static const char *const names[] = {"ncclGroupStart", "ncclGroupEnd", "ncclSend", "ncclRecv"};
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static void symbols_look(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, hm_seen_t *seen)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t count = data != NULL && header->sh_entsize > 0 ? data->d_size / header->sh_entsize : 0;
    for (size_t i = 0; i < count && i < INT_MAX; i++) {
        GElf_Sym symbol;
        if (gelf_getsym(data, (int)i, &symbol) == NULL) return;
        if (!name_is_nccl(elf_strptr(elf, header->sh_link, symbol.st_name))) continue;
        int visibility = GELF_ST_VISIBILITY(symbol.st_other);
        if (symbol.st_shndx == SHN_UNDEF)
            seen->wanted = true;
        else if (header->sh_type != SHT_DYNSYM)
            seen->hidden = true;
        else if (visibility == STV_PROTECTED)
            seen->bound = true;
        else
            seen->exported = true;
    }
}

static void dynamic_look(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, hm_seen_t *seen)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t count = data != NULL && header->sh_entsize > 0 ? data->d_size / header->sh_entsize : 0;
    for (size_t i = 0; i < count && i < INT_MAX; i++) {
        GElf_Dyn entry;
        if (gelf_getdyn(data, (int)i, &entry) == NULL) return;
        if (entry.d_tag == DT_SYMBOLIC || (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_SYMBOLIC) != 0))
            seen->symbolic = true;
        if (entry.d_tag != DT_NEEDED) continue;
        const char *name = elf_strptr(elf, header->sh_link, entry.d_un.d_val);
        if (name != NULL && strncmp(name, "libnccl.so", 10) == 0) seen->needed = true;
    }
}

static void data_look(Elf_Scn *section, const GElf_Shdr *header, hm_seen_t *seen)
{
    if ((header->sh_flags & (SHF_ALLOC | SHF_EXECINSTR)) != SHF_ALLOC || header->sh_size > DATA_MOST) return;
    const Elf_Data *data = elf_rawdata(section, NULL);
    if (data != NULL && data->d_buf != NULL && memmem(data->d_buf, data->d_size, "libnccl.so", 10) != NULL)
        seen->named = true;
}

static void sections_look(Elf *elf, hm_seen_t *seen)
{
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) continue;
        if (header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB) symbols_look(elf, section, &header, seen);
        if (header.sh_type == SHT_DYNAMIC) dynamic_look(elf, section, &header, seen);
        if (header.sh_type == SHT_PROGBITS) data_look(section, &header, seen);
    }
}

static hm_nccl_use_t use_of(const hm_seen_t *seen)
{
    if (seen->bound || (seen->exported && seen->symbolic)) return HM_NCCL_SYMBOLIC;
    if (seen->exported) return HM_NCCL_OWN;
    if (seen->wanted) return HM_NCCL_LINKED;
    if (seen->hidden) return HM_NCCL_STATIC;
    return seen->named && !seen->needed ? HM_NCCL_BY_HANDLE : HM_NCCL_NONE;
}

static void interpreter_look(Elf *elf, hm_elf_look_t *look)
{
    size_t count = 0, size = 0;
    const char *file = elf_rawfile(elf, &size);
    if (elf_getphdrnum(elf, &count) != 0 || file == NULL) return;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr part;
        if (gelf_getphdr(elf, (int)i, &part) == NULL || part.p_type != PT_INTERP) continue;
        if (part.p_offset < size && part.p_filesz <= size - part.p_offset)
            snprintf(look->interpreter, sizeof look->interpreter, "%.*s", (int)part.p_filesz, file + part.p_offset);
    }
}

static int elf_open_look(Elf *elf, hm_elf_look_t *look)
{
    GElf_Ehdr header;
    hm_seen_t seen = {.wanted = false};
    if (elf == NULL || elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, &header) == NULL) return -ENOEXEC;
    if (gelf_getclass(elf) != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)) return -ENOEXEC;
    sections_look(elf, &seen);
    *look = (hm_elf_look_t){.nccl = use_of(&seen)};
    interpreter_look(elf, look);
    look->program = header.e_type == ET_EXEC || look->interpreter[0] != '\0';
    return 0;
}

int elf_look(const char *path, hm_elf_look_t *look)
{
    if (elf_version(EV_CURRENT) == EV_NONE) return -ENOSYS;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return -errno;
    Elf *elf = elf_begin(file, ELF_C_READ_MMAP, NULL);
    int rc = elf_open_look(elf, look);
    if (elf != NULL) elf_end(elf);
    close(file);
    return rc;
}
