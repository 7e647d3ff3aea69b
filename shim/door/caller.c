/* The stack is walked by libgcc's unwinder, linked in statically: it is cheap and always there. The return addresses
 * are the key by which a decision is remembered. Names come from dladdr, those of functions that are not exported from
 * symbol.c. */
#define _GNU_SOURCE
#include "caller.h"

#include "base/log.h"
#include "base/settings.h"
#include "symbol.h"
#include "torch.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unwind.h>

#define HM_FRAMES 8 /* of the job, innermost first: part of the decision and of its key */
#define HM_OURS 12  /* our own frames before them, at most */
#define HM_SLOTS 1024
#define HM_PROBES 16
#define HM_NAMED 200 /* bytes of a name that is said */
#define HM_MORE 2    /* names of callers' callers that are said */

/* Parts of mangled names: PyTorch's group all-to-alls, and those of its second back end (2.13). */
static const char *const known[] = {
    "torch4cuda4nccl26all2all_single_equal_split",
    "torch4cuda4nccl28all2all_single_unequal_split",
    "torch4cuda4nccl7all2all",
    "c10d5nccl216ProcessGroupNCCL18allToAllSingleImpl",
    "c10d5nccl216ProcessGroupNCCL17all_to_all_single",
    "c10d5nccl216ProcessGroupNCCL19all_to_all_v_single",
    "c10d5nccl216ProcessGroupNCCL10all_to_all",
};

typedef struct hm_walk {
    const void *from;
    const void *frame[HM_FRAMES];
    int frames, skipped;
    int judged; /* frames of these that are known not to be trusted */
} hm_walk_t;

/* key << 1 | trusted; 0: free. Where all slots for a key are taken, the decision is made anew each time. */
static _Atomic uint64_t slots[HM_SLOTS];

static _Unwind_Reason_Code walk_step(struct _Unwind_Context *context, void *arg)
{
    hm_walk_t *walk = arg;
    const void *at = (const void *)_Unwind_GetIP(context);
    if (at == NULL) return _URC_END_OF_STACK;
    if (walk->frames == 0 && at != walk->from) return ++walk->skipped > HM_OURS ? _URC_END_OF_STACK : _URC_NO_REASON;
    walk->frame[walk->frames++] = at;
    return walk->frames == HM_FRAMES ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static uint64_t frames_key(const void *const *frame, int frames)
{
    uint64_t key = 0xcbf29ce484222325u;
    for (int i = 0; i < frames; i++) key = (key ^ (uint64_t)(uintptr_t)frame[i]) * 0x9e3779b97f4a7c15u;
    key ^= key >> 29;
    return key << 1 != 0 ? key << 1 : 2;
}

static bool name_known(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(name, known[i]) != NULL) return true;
    return false;
}

/* list is "a,b,c": does name hold one of them? */
static bool name_listed(const char *name, const char *list)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        if (length != 0 && memmem(name, strlen(name), list, length) != NULL) return true;
        list += length + (list[length] == ',');
    }
    return false;
}

/* What a name is judged by. */
typedef struct hm_naming {
    const char *trust;
    const void *at; /* code of the function */
} hm_naming_t;

static bool name_believed(const char *name, const void *context)
{
    const hm_naming_t *naming = context;
    bool listed = strcasecmp(naming->trust, "known") != 0 && name_listed(name, naming->trust);
    if (!listed && !(name_known(name) && torch_legs_complete(naming->at))) return false;
    log_say(HM_LOG_TRACE, HM_RANK_NONE, "all-to-alls issued by %s are trusted", name);
    return true;
}

/* Exported names first: where one is believed, no file need be read. */
static bool walk_decide(const hm_walk_t *walk, const char *trust)
{
    hm_naming_t naming[HM_FRAMES];
    /* The call itself lies before its return address, which may be another function's first byte. */
    for (int i = walk->judged; i < walk->frames; i++)
        naming[i] = (hm_naming_t){trust, (const void *)((uintptr_t)walk->frame[i] - 1)};
    for (int i = walk->judged; i < walk->frames; i++) {
        Dl_info info;
        if (dladdr(naming[i].at, &info) != 0 && info.dli_sname != NULL && name_believed(info.dli_sname, &naming[i]))
            return true;
    }
    for (int i = walk->judged; i < walk->frames; i++)
        if (symbol_any(naming[i].at, name_believed, &naming[i])) return true;
    return false;
}

/* 0 or 1, -1 if not known yet. */
static int slot_find(uint64_t key)
{
    for (size_t i = (key >> 40) % HM_SLOTS, n = 0; n < HM_PROBES; i = (i + 1) % HM_SLOTS, n++) {
        uint64_t slot = atomic_load_explicit(&slots[i], memory_order_relaxed);
        if ((slot & ~(uint64_t)1) == key) return (int)(slot & 1);
        if (slot == 0) break;
    }
    return -1;
}

static void slot_store(uint64_t key, bool trusted)
{
    for (size_t i = (key >> 40) % HM_SLOTS, n = 0; n < HM_PROBES; i = (i + 1) % HM_SLOTS, n++) {
        uint64_t free = 0;
        if (atomic_compare_exchange_strong_explicit(&slots[i], &free, key | trusted, memory_order_relaxed,
                                                    memory_order_relaxed))
            return;
    }
}

static bool walk_believed(const hm_walk_t *walk, const char *trust)
{
    uint64_t key = frames_key(walk->frame, walk->frames);
    int found = slot_find(key);
    if (found >= 0) return found != 0;
    bool believed = walk_decide(walk, trust);
    slot_store(key, believed);
    return believed;
}

/* From the job's innermost frame to the outermost one that counts. */
static void walk_go_on(hm_walk_t *walk)
{
    walk->judged = walk->frames;
    walk->frames = 0;
    _Unwind_Backtrace(walk_step, walk);
}

hm_belief_t caller_belief(const void *return_address, bool far)
{
    const char *trust = settings_get()->trust;
    if ((trust[0] | 0x20) == 's' && strcasecmp(trust, "shape") == 0) return HM_BELIEF_SHAPE;
    if (return_address == NULL) return HM_BELIEF_NOBODY;
    int issuer = slot_find(frames_key(&return_address, 1));
    if (issuer == 0 && !far) return HM_BELIEF_NOBODY;
    hm_walk_t walk = {.from = return_address, .frame = {return_address}, .frames = 1};
    if (issuer > 0 || (issuer < 0 && walk_believed(&walk, trust))) return HM_BELIEF_ISSUER;
    if (!far) return HM_BELIEF_NOBODY;
    walk_go_on(&walk);
    return walk.frames > 1 && walk_believed(&walk, trust) ? HM_BELIEF_OUTER : HM_BELIEF_NOBODY;
}

static bool name_take(const char *name, const void *context)
{
    char *text = *(char *const *)context;
    snprintf(text, HM_NAMED, "%s", name);
    return true;
}

/* The name of the function that goes on at this address. */
static bool frame_name(const void *frame, char text[HM_NAMED])
{
    Dl_info info;
    const void *call = (const void *)((uintptr_t)frame - 1);
    if (dladdr(call, &info) == 0 || info.dli_sname == NULL) return symbol_any(call, name_take, &text);
    return name_take(info.dli_sname, &text);
}

bool caller_describe(const void *return_address, char *text, size_t size)
{
    char name[HM_NAMED];
    Dl_info info = {.dli_fname = NULL};
    hm_walk_t walk = {.from = return_address};
    if (return_address != NULL) walk_go_on(&walk);
    if (walk.frames == 0) walk.frame[walk.frames++] = return_address;
    bool named = frame_name(walk.frame[0], name);
    if (!named && dladdr(return_address, &info) == 0) info.dli_fname = NULL;
    size_t used = (size_t)(named ? snprintf(text, size, "%s", name)
                                 : snprintf(text, size, "a function without a name in %.*s", HM_NAMED,
                                            info.dli_fname != NULL ? info.dli_fname : "no file"));
    for (int i = 1, more = 0; i < walk.frames && more < HM_MORE && used < size; i++)
        if (frame_name(walk.frame[i], name)) {
            used += (size_t)snprintf(text + used, size - used, " < %s", name);
            more++;
        }
    return named;
}
