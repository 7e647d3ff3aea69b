/* libunwind is opened when first asked and kept to ourselves. As a need of a preloaded library it would come before
 * libgcc_s in every search, and, because it defines the same _Unwind_ functions, take over C++ exceptions in the whole
 * job. */
#define _GNU_SOURCE
#define UNW_LOCAL_ONLY
#include "symbol.h"

#include "base/log.h"

#include <dlfcn.h>
#include <libunwind.h>
#include <pthread.h>
#include <stdint.h>

#define HM_LIBRARY "libunwind.so.8"
#define HM_TEXT(macro) HM_TEXT_(macro) /* <libunwind.h> renames its functions by the machine */
#define HM_TEXT_(word) #word

/* What libunwind's own walk asks: by address, so that names belong to just the frames that make up a caller's key. */
static unw_addr_space_t space;
static const unw_accessors_t *ask;

static void unwind_open(void)
{
    /* Now, not lazily: a function that cannot be found must not end the job later on. */
    void *library = dlopen(HM_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    const char *why = library != NULL ? "it lacks functions" : dlerror();
    if (library != NULL) {
        unw_accessors_t *(*accessors)(unw_addr_space_t);
        *(void **)&accessors = dlsym(library, HM_TEXT(unw_get_accessors));
        const unw_addr_space_t *local = dlsym(library, HM_TEXT(unw_local_addr_space));
        const unw_accessors_t *found = accessors != NULL && local != NULL ? accessors(*local) : NULL;
        if (found != NULL && found->get_proc_name != NULL && found->find_proc_info != NULL) {
            space = *local;
            ask = found;
            log_say(HM_LOG_TRACE, HM_RANK_NONE, "hidden callers are named by " HM_LIBRARY);
            return;
        }
        dlclose(library);
        dlerror(); /* what dlsym said is not the job's to find */
    }
    log_say(HM_LOG_INFO, HM_RANK_NONE, HM_LIBRARY " is not used (%s): callers are known by exported names only", why);
}

bool symbol_find(const void *at, char *name, size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, unwind_open);
    unw_word_t ip = (unw_word_t)(uintptr_t)at, offset;
    unw_proc_info_t function;
    /* In a stripped file the nearest name may be another function's: it must start where the unwind table says. */
    return ask != NULL && ask->get_proc_name(space, ip, name, size, &offset, NULL) == 0 &&
           ask->find_proc_info(space, ip, &function, 0, NULL) == 0 && function.start_ip == ip - offset;
}
