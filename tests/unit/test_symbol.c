/* test_symbol PLUGIN: names from the plugin's file while it is whole, stripped, damaged or another one. */
#define _GNU_SOURCE
#include "front_double.h"

#include "door/symbol.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/hiermoe-symbol-XXXXXX", path[64];
static unsigned char *whole, *changed; /* the plugin's file */
static size_t length;
static const void *hidden; /* an instruction in its function */
static int asked;

static void file_write(const void *bytes, size_t size)
{
    char fresh[80];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(fresh, path), 0);
}

static int set_up(void **state)
{
    (void)state;
    memcpy(changed, whole, length);
    file_write(whole, length);
    asked = 0;
    return 0;
}

static bool is(const char *name, const void *context)
{
    asked++;
    return strcmp(name, context) == 0;
}

static bool hidden_is(const char *name)
{
    return symbol_any(hidden, is, name);
}

static ElfW(Shdr) * section(unsigned type)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)(const void *)changed;
    ElfW(Shdr) *sections = (ElfW(Shdr) *)(void *)(changed + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type == type) return &sections[i];
    return NULL;
}

static void every_name_is_asked_about(void **state)
{
    (void)state;
    assert_true(hidden_is("plugin_hidden_function"));
    assert_true(hidden_is("plugin_hidden_alias"));
    asked = 0;
    assert_false(hidden_is("plugin_hidden"));
    assert_int_equal(asked, 2); /* of this function only */
}

static void no_image(void **state)
{
    int on_stack;
    (void)state;
    assert_false(symbol_any(NULL, is, ""));
    assert_false(symbol_any(&on_stack, is, ""));
    assert_int_equal(asked, 0);
}

/* The program itself has no path among the loaded images. */
static void own_function(void **state)
{
    (void)state;
    assert_true(symbol_any((const char *)own_function + 1, is, "own_function"));
}

static void other_files(void **state)
{
    (void)state;
    file_write("", 0);
    assert_false(hidden_is("plugin_hidden_function"));
    file_write("#!/bin/sh\n", 10);
    assert_false(hidden_is("plugin_hidden_function"));
    /* Made anew since it was loaded: another segment. */
    ElfW(Ehdr) *header = (ElfW(Ehdr) *)(void *)changed;
    ((ElfW(Phdr) *)(void *)(changed + header->e_phoff))->p_memsz++;
    file_write(changed, length);
    assert_false(hidden_is("plugin_hidden_function"));
    unlink(path);
    assert_false(hidden_is("plugin_hidden_function"));
    assert_int_equal(mkfifo(path, 0600), 0); /* must not be waited for */
    assert_false(hidden_is("plugin_hidden_function"));
    assert_int_equal(asked, 0);
}

static void stripped(void **state)
{
    (void)state;
    section(SHT_SYMTAB)->sh_type = SHT_PROGBITS;
    file_write(changed, length);
    assert_false(hidden_is("plugin_hidden_function"));
    assert_int_equal(asked, 0);
}

/* Nothing that the file says may lead to a read past what is there. Each field of each header and symbol in turn gets
 * values that are all wrong. */
static void damaged(void **state)
{
    static const uint64_t values[] = {0, 1, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff, 0xffffffffffffffff};
    ElfW(Shdr) *table = section(SHT_SYMTAB);
    struct {
        void *at;
        size_t bytes;
    } parts[] = {
        {changed, sizeof(ElfW(Ehdr))},
        {table, sizeof *table},
        {(ElfW(Shdr) *)(void *)(changed + ((ElfW(Ehdr) *)(void *)changed)->e_shoff) + table->sh_link, sizeof *table},
        {changed + table->sh_offset, 8 * sizeof(ElfW(Sym))},
    };
    (void)state;
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++)
        for (size_t at = 0; at + 4 <= parts[p].bytes; at += 4)
            for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
                unsigned char before[8], *field = (unsigned char *)parts[p].at + at;
                size_t width = at % 8 == 0 && at + 8 <= parts[p].bytes ? 8 : 4;
                memcpy(before, field, width);
                memcpy(field, &values[v], width);
                file_write(changed, length);
                hidden_is("nobody");
                memcpy(field, before, width);
            }
    file_write(changed, length);
    assert_true(hidden_is("plugin_hidden_function"));
}

static void cut_off(void **state)
{
    (void)state;
    for (size_t size = 0; size < length; size += 97) {
        file_write(whole, size);
        hidden_is("nobody");
    }
}

static int group_set_up(void **state)
{
    const char *plugin = *state;
    FILE *file = fopen(plugin, "r");
    struct stat info;
    if (file == NULL || fstat(fileno(file), &info) != 0 || mkdtemp(folder) == NULL) return -1;
    length = (size_t)info.st_size;
    whole = malloc(length);
    changed = malloc(length);
    if (fread(whole, 1, length, file) != length) return -1;
    fclose(file);
    snprintf(path, sizeof path, "%s/plugin.so", folder);
    set_up(state);
    void *handle = dlopen(path, RTLD_NOW), *(*get)(void) = NULL;
    if (handle != NULL) *(void **)&get = dlsym(handle, "plugin_hidden");
    if (get == NULL) return -1;
    hidden = (const char *)get() + 1;
    return 0;
}

static int group_tear_down(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    free(whole);
    free(changed);
    return 0;
}

static void *plugin;

static int start(void **state)
{
    *state = plugin;
    return group_set_up(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_name_is_asked_about, set_up),
        cmocka_unit_test_setup(no_image, set_up),
        cmocka_unit_test_setup(own_function, set_up),
        cmocka_unit_test_setup(other_files, set_up),
        cmocka_unit_test_setup(stripped, set_up),
        cmocka_unit_test_setup(damaged, set_up),
        cmocka_unit_test_setup(cut_off, set_up),
    };
    if (argc != 2) return 2;
    plugin = argv[1];
    return cmocka_run_group_tests(tests, start, group_tear_down);
}
