/* job SCENE [local|global|now|deepbind:]PLUGIN...: loads plugins as Python loads PyTorch, and plays the scene in each.
 * "cross" as the scene passes the first plugin's communicator to the last one. */
#define _GNU_SOURCE
#include "door/nccl_abi.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static void *plugin_open(const char *spec)
{
    static const struct {
        const char *word;
        int flags;
    } ways[] = {{"local:", RTLD_LAZY | RTLD_LOCAL},
                {"global:", RTLD_LAZY | RTLD_GLOBAL},
                {"now:", RTLD_NOW | RTLD_LOCAL},
                {"deepbind:", RTLD_LAZY | RTLD_LOCAL | RTLD_DEEPBIND}};
    int flags = RTLD_LAZY | RTLD_LOCAL;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (strncmp(spec, ways[i].word, strlen(ways[i].word)) != 0) continue;
        flags = ways[i].flags;
        spec += strlen(ways[i].word);
    }
    void *handle = dlopen(spec, flags);
    if (handle == NULL) fprintf(stderr, "%s\n", dlerror());
    return handle;
}

int main(int argc, char **argv)
{
    void *first = NULL;
    if (argc < 3) return 2;
    for (int i = 2; i < argc; i++) {
        void *plugin = plugin_open(argv[i]);
        if (plugin == NULL) return 1;
        if (first == NULL) first = plugin;
        int (*run)(const char *);
        ncclComm_t (*world)(void);
        void (*use)(ncclComm_t);
        *(void **)&run = dlsym(plugin, "scenes_run");
        *(void **)&world = dlsym(first, "scenes_world");
        *(void **)&use = dlsym(plugin, "scenes_use");
        if (run == NULL || world == NULL || use == NULL) return 1;
        if (strcmp(argv[1], "cross") == 0)
            use(world());
        else if (run(argv[1]) != 0)
            return 1;
    }
    return 0;
}
