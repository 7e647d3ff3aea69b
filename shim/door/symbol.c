/* Only the image's own file is asked, and with nothing but libc: what a machine has installed beside the job, such as
 * libunwind or files with debugging symbols, must not make one rank believe a caller that another does not. pread
 * rather than mmap: a file that somebody cuts off meanwhile must not end the job by SIGBUS. */
#define _GNU_SOURCE
#include "symbol.h"

#include "image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define HM_NAME 4096   /* PyTorch's longest are some hundred bytes */
#define HM_SYMBOLS 256 /* read at once */
#define HM_HEADERS 64  /* program headers; images have about a dozen */

typedef struct hm_file {
    int file;
    ElfW(Ehdr) header;
    ElfW(Shdr) symbols, names; /* the sections .symtab and .strtab */
} hm_file_t;

static bool file_read(const hm_file_t *from, void *into, size_t bytes, uint64_t offset)
{
    char *to = into;
    if (offset > INT64_MAX - bytes) return false;
    while (bytes > 0) {
        ssize_t got = pread(from->file, to, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        to += got, offset += (size_t)got, bytes -= (size_t)got;
    }
    return true;
}

/* Whether the file has the program headers that were loaded: another version would give other names. */
static bool file_is_loaded(hm_file_t *file, const struct dl_phdr_info *info)
{
    ElfW(Phdr) parts[HM_HEADERS];
    ElfW(Ehdr) *header = &file->header;
    size_t bytes = info->dlpi_phnum * sizeof *parts;
    return file_read(file, header, sizeof *header, 0) && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
           header->e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) &&
           header->e_phentsize == sizeof *parts && header->e_phnum == info->dlpi_phnum && bytes <= sizeof parts &&
           file_read(file, parts, bytes, header->e_phoff) && memcmp(parts, info->dlpi_phdr, bytes) == 0;
}

static bool section_read(const hm_file_t *file, unsigned at, ElfW(Shdr) * section)
{
    const ElfW(Ehdr) *header = &file->header;
    return at < header->e_shnum && header->e_shentsize == sizeof *section &&
           file_read(file, section, sizeof *section, header->e_shoff + (uint64_t)at * sizeof *section);
}

/* false: the file is stripped. */
static bool symbols_find(hm_file_t *file)
{
    for (unsigned i = 0; section_read(file, i, &file->symbols); i++)
        if (file->symbols.sh_type == SHT_SYMTAB)
            return file->symbols.sh_entsize == sizeof(ElfW(Sym)) &&
                   section_read(file, file->symbols.sh_link, &file->names) && file->names.sh_type == SHT_STRTAB;
    return false;
}

static bool symbol_ask(const hm_file_t *file, const ElfW(Sym) * symbol, hm_symbol_judge_t judge, const void *context)
{
    char name[HM_NAME];
    if (symbol->st_name >= file->names.sh_size) return false;
    size_t most = file->names.sh_size - symbol->st_name;
    if (most > sizeof name - 1) most = sizeof name - 1;
    if (!file_read(file, name, most, file->names.sh_offset + symbol->st_name)) return false;
    name[most] = '\0';
    return judge(name, context);
}

/* `at`: as the file has it, without the place that it was loaded to. */
static bool symbols_ask(const hm_file_t *file, ElfW(Addr) at, hm_symbol_judge_t judge, const void *context)
{
    ElfW(Sym) symbols[HM_SYMBOLS];
    uint64_t count = file->symbols.sh_size / sizeof *symbols, offset = file->symbols.sh_offset;
    for (uint64_t done = 0; done < count;) {
        size_t some = count - done < HM_SYMBOLS ? (size_t)(count - done) : HM_SYMBOLS;
        if (!file_read(file, symbols, some * sizeof *symbols, offset + done * sizeof *symbols)) return false;
        for (size_t i = 0; i < some; i++)
            if (ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC && symbols[i].st_shndx != SHN_UNDEF &&
                at - symbols[i].st_value < symbols[i].st_size && symbol_ask(file, &symbols[i], judge, context))
                return true;
        done += some;
    }
    return false;
}

bool symbol_any(const void *at, hm_symbol_judge_t judge, const void *context)
{
    struct dl_phdr_info info;
    if (!image_find(at, &info)) return false;
    const char *path = info.dlpi_name[0] != '\0' ? info.dlpi_name : "/proc/self/exe";
    hm_file_t file = {.file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (file.file < 0) return false;
    bool said = file_is_loaded(&file, &info) && symbols_find(&file) &&
                symbols_ask(&file, (uintptr_t)at - info.dlpi_addr, judge, context);
    close(file.file);
    return said;
}
