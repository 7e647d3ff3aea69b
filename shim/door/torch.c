#define _GNU_SOURCE
#include "torch.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define NCCL_LEAST \
    ((uint64_t)2 << 32 | (uint64_t)14 << 16) /* major, minor, patch as torch::cuda::nccl::version has them */
#define TEXT_MOST 4096

/* The file at `path` as text; false where there is none. */
static bool text_read(const char *path, char text[TEXT_MOST])
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    text[fread(text, 1, TEXT_MOST - 1, file)] = '\0';
    fclose(file);
    return true;
}

/* The text behind the version's opening quote in version.py, or the start of build-version. */
static const char *version_find(const char *folder, char text[TEXT_MOST])
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/../version.py", folder);
    if (text_read(path, text)) {
        const char *at = strstr(text, "__version__ = '");
        return at != NULL ? at + strlen("__version__ = '") : NULL;
    }
    snprintf(path, sizeof path, "%s/../build-version", folder);
    return text_read(path, text) ? text : NULL;
}

/* 2.1 or later; prereleases of 2.1 were made before and after the change. */
static bool version_suffices(const char *version)
{
    int major = 0, minor = 0, patch = 0, used = 0;
    if (sscanf(version, "%d.%d.%d%n", &major, &minor, &patch, &used) != 3) return false;
    bool prerelease = strncmp(version + used, "a", 1) == 0 || strncmp(version + used, ".dev", 4) == 0;
    return major > 2 || (major == 2 && (minor > 1 || (minor == 1 && !prerelease)));
}

/* The NCCL whose header the library was built with; 0: it does not say. */
static uint64_t nccl_built_with(const struct link_map *map)
{
    uint64_t (*version)(void) = NULL;
    void *library = dlopen(map->l_name[0] != '\0' ? map->l_name : NULL, RTLD_LAZY | RTLD_NOLOAD);
    if (library == NULL) return 0;
    *(void **)&version = dlsym(library, "_ZN5torch4cuda4nccl7versionEv");
    uint64_t built = version != NULL ? version() : 0;
    dlclose(library);
    return built;
}

bool torch_legs_complete(const void *at)
{
    Dl_info info;
    struct link_map *map = NULL;
    char folder[PATH_MAX], text[TEXT_MOST];
    if (dladdr1(at, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || info.dli_fname == NULL || map == NULL) return false;
    const char *slash = strrchr(info.dli_fname, '/');
    if (slash == NULL) return false;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - info.dli_fname), info.dli_fname);
    const char *version = version_find(folder, text);
    return version != NULL && version_suffices(version) && nccl_built_with(map) >= NCCL_LEAST;
}
