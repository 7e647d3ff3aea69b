/* The library can be opened from plain C at run time, as a companion of a job that was not preloaded. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    void *handle = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (handle == NULL) return fprintf(stderr, "%s\n", dlerror()), 1;
    if (dlsym(handle, "ncclGroupEnd") == NULL) return fprintf(stderr, "ncclGroupEnd is not exported\n"), 1;
    return dlclose(handle);
}
