/* libgcc's unwinder, which is linked in, asks for _dl_find_object of glibc 2.35. This one stands in between, so that
 * the library also loads where there is an older glibc. Not visible outside. */
#define _GNU_SOURCE
#include "image.h"

#include <dlfcn.h>
#include <pthread.h>

#ifdef DLFO_STRUCT_HAS_EH_DBASE

static __typeof__(_dl_find_object) *glibc; /* its own, which takes no lock; NULL before 2.35 */

static void glibc_find(void)
{
    *(void **)&glibc = dlvsym(RTLD_DEFAULT, "_dl_find_object", "GLIBC_2.35");
    if (glibc == NULL) dlerror(); /* what dlvsym said is not the job's to find */
}

/* As much of the answer as the unwinder looks at. */
static int object_find(void *at, struct dl_find_object *result)
{
    struct dl_phdr_info info;
    if (!image_find(at, &info)) return -1;
    for (int i = 0; i < info.dlpi_phnum; i++) {
        if (info.dlpi_phdr[i].p_type != PT_GNU_EH_FRAME) continue;
        *result = (struct dl_find_object){.dlfo_eh_frame = (char *)info.dlpi_addr + info.dlpi_phdr[i].p_vaddr};
        return 0;
    }
    return -1;
}

__attribute__((visibility("hidden"))) int _dl_find_object(void *at, struct dl_find_object *result)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, glibc_find);
    return glibc != NULL ? glibc(at, result) : object_find(at, result);
}

#endif
