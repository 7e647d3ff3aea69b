/* Copies of NCCL on this machine, and their versions by what they say themselves. */
#define _GNU_SOURCE
#include "check.h"
#include "child.h"
#include "info.h"
#include "program.h"
#include "run_settings.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "VERSION PATH" of a file, or of the name that the loader finds. */
static void version_ask(const char *what, FILE *out)
{
    int version = 0, (*get)(int *);
    struct link_map *map = NULL;
    void *nccl = dlopen(what, RTLD_LAZY | RTLD_LOCAL);
    if (nccl == NULL || dlinfo(nccl, RTLD_DI_LINKMAP, &map) != 0) return;
    *(void **)&get = dlsym(nccl, "ncclGetVersion");
    if (get == NULL || get(&version) != 0) version = 0;
    fprintf(out, "%d %s", version, map->l_name);
}

static bool path_is_listed(const json_t *copies, const char *path)
{
    size_t i;
    json_t *copy;
    json_array_foreach(copies, i,
                       copy) if (strcmp(json_string_value(json_object_get(copy, "path")), path) == 0) return true;
    return false;
}

/* NCCL's number, which changed its form with 2.9. */
static void version_write(int number, char *text, size_t size)
{
    int digit = number >= 10000 ? 10000 : 1000;
    snprintf(text, size, "%d.%d.%d", number / digit, number / 100 % (digit / 100), number % 100);
}

static void copy_add(json_t *copies, const char *file, const char *of)
{
    char text[PATH_MAX + 16], path[PATH_MAX], version[32];
    int number = 0, at = 0;
    if (*file == '\0' || child_ask(version_ask, file, text, sizeof text) != 0) return;
    if (sscanf(text, "%d %n", &number, &at) != 1 || at == 0) return;
    if (realpath(text + at, path) == NULL || path_is_listed(copies, path)) return;
    version_write(number, version, sizeof version);
    json_array_append_new(
        copies, json_pack("{s:s, s:s, s:s}", "path", path, "version", number > 0 ? version : "unknown", "of", of));
}

json_t *info_nccl(void)
{
    json_t *copies = json_array();
    char python[PATH_MAX], folder[PATH_MAX - 64], file[PATH_MAX], nccl[PATH_MAX] = "";
    if (copies == NULL) return NULL;
    copy_add(copies, run_setting_value("HIERMOE_NCCL_LIB"), "HIERMOE_NCCL_LIB");
    if (program_path("python3", python)) {
        check_torch_folder(python, folder, sizeof folder);
        snprintf(file, sizeof file, "%s/lib/libtorch_cuda.so", folder);
        if (folder[0] != '\0') check_nccl_path(file, nccl, sizeof nccl);
        copy_add(copies, nccl, "python3's PyTorch");
    }
    copy_add(copies, "libnccl.so.2", "the loader");
    return copies;
}
