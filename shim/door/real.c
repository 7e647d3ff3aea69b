#define _GNU_SOURCE
#include "real.h"

#include "base/fork.h"
#include "base/log.h"
#include "base/settings.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#define HM_IMAGE_BITS 5 /* of a slot: index into images */
#define HM_SLOTS 1024   /* call sites remembered */
#define HM_PROBES 32

typedef struct hm_image {
    _Alignas(512) hm_real_t real; /* a power of two: found by a shift, with each call */
    const struct link_map *map;
} hm_image_t;

static const hm_real_t nothing; /* what callers without an NCCL get */

/* An image is written once, before the slots and the count that lead to it. */
static hm_image_t images[HM_REALS];
atomic_int hm_real_count;
static _Atomic uint64_t slots[HM_SLOTS]; /* return address << HM_IMAGE_BITS | index; 0 is free */
static atomic_bool missing_said;
/* Recursive: HIERMOE_NCCL_LIB may name a library whose constructor calls NCCL. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

/* Another thread of the parent may have held the lock. */
static void real_after_fork(void)
{
    lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
}

__attribute__((constructor)) static void real_fork_prepare(void)
{
    static hm_fork_handler_t handler = {.run = real_after_fork};
    fork_handler_add(&handler);
}

static const struct link_map *map_of(const void *address)
{
    Dl_info info;
    struct link_map *map = NULL;
    return dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 ? map : NULL;
}

/* The handle of a loaded object; the main program has no name of its own. */
static void *map_open(const struct link_map *map)
{
    return dlopen(map->l_name[0] != '\0' ? map->l_name : NULL, RTLD_LAZY | RTLD_NOLOAD);
}

/* Where NCCL lies as seen from handle. pncclX first: another library in front of NCCL has only ncclX, and so have we.
 */
static const struct link_map *nccl_map(void *handle)
{
    static const char *const names[] = {"pncclGroupStart", "ncclGroupStart"};
    for (int i = 0; handle != NULL && i < 2; i++) {
        const void *symbol = dlsym(handle, names[i]);
        const struct link_map *map = symbol != NULL ? map_of(symbol) : NULL;
        if (map != NULL && map != map_of((const void *)real_find)) return map;
    }
    return NULL;
}

static const struct link_map *nccl_of_caller(const void *caller)
{
    const char *lib = settings_get()->nccl_lib;
    if (lib != NULL) {
        void *handle = dlopen(lib, RTLD_NOW | RTLD_LOCAL);
        const struct link_map *map = nccl_map(handle);
        if (map != NULL) return map;
        static atomic_bool said;
        if (!atomic_exchange(&said, true)) {
            const char *why = handle != NULL ? "it has no ncclGroupStart" : dlerror();
            log_say(HM_LOG_WARN, HM_RANK_NONE, "HIERMOE_NCCL_LIB=%s is not used: %s", lib,
                    why != NULL ? why : "cannot be loaded");
        }
    }
    const struct link_map *map = map_of(caller);
    if (map != NULL) map = nccl_map(map_open(map));
    if (map == NULL) map = nccl_map(dlopen("libnccl.so.2", RTLD_LAZY | RTLD_NOLOAD));
    return map != NULL ? map : nccl_map(RTLD_NEXT);
}

/* pncclX or ncclX, but only out of this very image. */
static void *image_symbol(const hm_image_t *image, const char *pname)
{
    for (const char *name = pname; name <= pname + 1; name++) {
        void *symbol = dlsym(image->real.handle, name);
        if (symbol != NULL && map_of(symbol) == image->map) return symbol;
    }
    return NULL;
}

static bool image_fill(hm_image_t *image, const struct link_map *map)
{
    image->map = map;
    image->real.handle = map_open(map);
    if (image->real.handle == NULL) return false;
    image->real.path = strdup(map->l_name[0] != '\0' ? map->l_name : "the program itself");
    if (image->real.path == NULL) image->real.path = "?";
        /* POSIX lets a data pointer from dlsym become a function pointer; the copy keeps the compiler content. */
#define HM_FILL(name) \
    { \
        void *symbol = image_symbol(image, "p" #name); \
        memcpy(&image->real.name, &symbol, sizeof symbol); \
    }
#define HM_CALL(name, params, args, comm, treatment) HM_FILL(name)
#define HM_QUERY(ret, name, params) HM_FILL(name)
#include "calls.def"
#undef HM_FILL
    if (image->real.ncclGetVersion != NULL) image->real.ncclGetVersion(&image->real.version);
    return image->real.ncclGroupStart != NULL && image->real.ncclGroupEnd != NULL;
}

static int image_of(const struct link_map *map, bool *fresh)
{
    int count = atomic_load(&hm_real_count);
    for (int i = 0; i < count; i++)
        if (images[i].map == map) return i;
    if (count == HM_REALS || !image_fill(&images[count], map)) return -1;
    images[count].real.number = count;
    atomic_store_explicit(&hm_real_count, count + 1, memory_order_release);
    *fresh = true;
    return count;
}

static size_t slot_first(uint64_t key)
{
    return (key * 0x9e3779b97f4a7c15u) >> 54; /* 10 bits: HM_SLOTS */
}

static void slot_store(uint64_t key, int image)
{
    for (size_t i = slot_first(key), n = 0; n < HM_PROBES; i = (i + 1) % HM_SLOTS, n++) {
        uint64_t free = 0;
        if (atomic_compare_exchange_strong_explicit(&slots[i], &free, key | (uint64_t)image, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
}

static void banner_say(const hm_real_t *real)
{
    int v = real->version, major = v >= 10000 ? v / 10000 : v / 1000, minor = v >= 10000 ? v / 100 % 100 : v / 100 % 10;
    log_say(HM_LOG_INFO, HM_RANK_NONE, "version %s, in front of NCCL %d.%d.%d: %s", HM_VERSION, major, minor, v % 100,
            real->path);
}

/* Apart from real_find, to keep that small. */
__attribute__((noinline)) static const hm_real_t *real_resolve(const void *caller, uint64_t key)
{
    bool fresh = false;
    int at = -1;
    settings_get(); /* before the lock, which is held long */
    pthread_mutex_lock(&lock);
    const struct link_map *map = nccl_of_caller(caller);
    if (map != NULL) at = image_of(map, &fresh);
    if (at >= 0) slot_store(key, at);
    pthread_mutex_unlock(&lock);
    if (at < 0) {
        if (!atomic_exchange(&missing_said, true)) {
            const struct link_map *from = map_of(caller);
            log_say(HM_LOG_WARN, HM_RANK_NONE,
                    "no NCCL found behind %s: link it with libnccl.so.2 or set HIERMOE_NCCL_LIB",
                    from != NULL && from->l_name[0] != '\0' ? from->l_name : "the program");
        }
        return &nothing;
    }
    if (fresh) {
        if (fork_watch() != 0)
            log_say(HM_LOG_WARN, HM_RANK_NONE,
                    "pthread_atfork failed: a child that calls NCCL after fork may misbehave");
        banner_say(&images[at].real);
    }
    return &images[at].real;
}

const hm_real_t *real_find(const void *caller)
{
    uint64_t key = (uint64_t)(uintptr_t)caller << HM_IMAGE_BITS;
    for (size_t i = slot_first(key), n = 0; n < HM_PROBES; i = (i + 1) % HM_SLOTS, n++) {
        uint64_t slot = atomic_load_explicit(&slots[i], memory_order_acquire);
        if ((slot ^ key) < (1u << HM_IMAGE_BITS)) return &images[slot ^ key].real;
        if (slot == 0) break;
    }
    return real_resolve(caller, key);
}
