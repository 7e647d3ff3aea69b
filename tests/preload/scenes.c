/* What jobs do with NCCL, one scene each; prints what every call returned. Built into plugins (job.c loads them) that
 * are linked with NCCL in all the ways there are. The names of the functions that end groups are PyTorch's. */
#define _GNU_SOURCE
#include "fake_nccl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFF(n) ((void *)(uintptr_t)(0x1000 + (n)))
#define STREAM ((cudaStream_t)(uintptr_t)0x500)
#define OTHER_STREAM ((cudaStream_t)(uintptr_t)0x501)
#define SAY(call) printf("%s = %d\n", #call, (int)(call))

static ncclComm_t world, second;
static ncclUniqueId id;

int scenes_run(const char *name);
ncclComm_t scenes_world(void);
void scenes_use(ncclComm_t comm);

/* torch::cuda::nccl::version: of the NCCL that it was built with. */
uint64_t torch_nccl_version(void) __asm__("_ZN5torch4cuda4nccl7versionEv");
uint64_t torch_nccl_version(void)
{
    return (uint64_t)2 << 32 | (uint64_t)28 << 16 | 9;
}

/* torch::cuda::nccl::all2all_single_unequal_split */
__attribute__((noinline, visibility("protected"))) void
all2all(ncclComm_t comm, int ranks, ncclDataType_t type, cudaStream_t stream) __asm__(
    "_ZN5torch4cuda4nccl28all2all_single_unequal_splitEPvPKmS4_S2_S4_S4_mN3c1010ScalarTypeES2_RNS5_4cuda10CUDAStreamE");

void all2all(ncclComm_t comm, int ranks, ncclDataType_t type, cudaStream_t stream)
{
    SAY(ncclGroupStart());
    for (int r = 0; r < ranks; r++) {
        /* rank 2 gets nothing, from an empty tensor */
        SAY(ncclSend(r == 2 ? NULL : BUFF(r), r == 2 ? 0 : 100 + (size_t)r, type, r, comm, stream));
        SAY(ncclRecv(BUFF(64 + r), 200 + (size_t)r, type, r, comm, stream));
    }
    SAY(ncclGroupEnd());
}

static void scene_all2all(void)
{
    all2all(world, 4, ncclBfloat16, STREAM);
    all2all(world, 4, ncclUint8, NULL);
}

static void scene_untrusted(void)
{
    SAY(ncclGroupStart());
    for (int r = 3; r >= 0; r--) {
        SAY(ncclRecv(BUFF(r), 1, ncclInt8, r, world, STREAM));
        SAY(ncclSend(BUFF(r), 1, ncclInt8, r, world, STREAM));
    }
    SAY(ncclGroupEnd());
}

static void scene_point_to_point(void)
{
    SAY(ncclSend(BUFF(0), 5, ncclInt8, 1, world, STREAM));
    SAY(ncclGroupStart());
    SAY(ncclSend(BUFF(0), 5, ncclInt8, 1, world, STREAM));
    SAY(ncclRecv(BUFF(1), 5, ncclInt8, 3, world, STREAM));
    SAY(ncclGroupEnd());
}

static void scene_nested(void)
{
    SAY(ncclGroupStart());
    all2all(world, 4, ncclFloat32, STREAM);
    SAY(ncclGroupEnd());
    SAY(ncclGroupStart());
    SAY(ncclSend(BUFF(0), 5, ncclInt8, 1, world, STREAM));
    all2all(world, 4, ncclFloat32, STREAM);
    SAY(ncclRecv(BUFF(0), 5, ncclInt8, 1, world, STREAM));
    SAY(ncclGroupEnd());
    SAY(ncclGroupStart());
    for (int i = 0; i < 20; i++) SAY(ncclGroupStart());
    SAY(ncclSend(BUFF(0), 5, ncclInt8, 1, world, STREAM));
    for (int i = 0; i < 20; i++) SAY(ncclGroupEnd());
    SAY(ncclGroupEnd());
    all2all(world, 4, ncclFloat32, STREAM);
}

static void scene_empty(void)
{
    SAY(ncclGroupStart());
    SAY(ncclGroupEnd());
    SAY(ncclGroupStart());
    SAY(ncclGroupStart());
    SAY(ncclGroupEnd());
    SAY(ncclGroupEnd());
}

static void scene_extra_end(void)
{
    SAY(ncclGroupEnd());
    all2all(world, 4, ncclFloat32, STREAM);
    SAY(ncclGroupEnd());
    SAY(ncclGroupSimulateEnd(NULL));
    all2all(world, 4, ncclFloat32, STREAM);
}

static void scene_simulate(void)
{
    SAY(ncclGroupStart());
    SAY(ncclSend(BUFF(0), 5, ncclInt8, 1, world, STREAM));
    SAY(ncclGroupSimulateEnd(NULL));
    SAY(ncclGroupStart());
    SAY(ncclGroupSimulateEnd(NULL));
    all2all(world, 4, ncclFloat32, STREAM);
}

/* A whole all-to-all but for one call that does not belong to it. */
static void spoiled(ncclComm_t comm, cudaStream_t stream, ncclDataType_t type)
{
    SAY(ncclGroupStart());
    for (int r = 0; r < 4; r++) {
        SAY(ncclSend(BUFF(r), 1, ncclInt32, r, world, STREAM));
        if (r < 3)
            SAY(ncclRecv(BUFF(r), 1, ncclInt32, r, world, STREAM));
        else
            SAY(ncclRecv(BUFF(r), 1, type, r, comm, stream));
    }
    SAY(ncclGroupEnd());
}

static void scene_second(void)
{
    SAY(ncclCommSplit(world, 1, 0, &second, NULL));
    spoiled(second, STREAM, ncclInt32);
    spoiled(world, OTHER_STREAM, ncclInt32);
    spoiled(world, STREAM, ncclFloat32);
    SAY(ncclGroupStart());
    SAY(ncclSend(BUFF(0), 1, ncclInt32, 1, world, STREAM));
    SAY(ncclSend(BUFF(1), 1, ncclInt32, 1, world, STREAM));
    SAY(ncclGroupEnd());
    all2all(second, 4, ncclInt32, STREAM);
}

static void argument(const void *buff, size_t count, ncclDataType_t type, int peer, ncclComm_t comm)
{
    SAY(ncclGroupStart());
    SAY(ncclSend(BUFF(0), 1, ncclInt32, 1, world, STREAM));
    SAY(ncclSend(buff, count, type, peer, comm, STREAM));
    SAY(ncclRecv(BUFF(0), 1, ncclInt32, 1, world, STREAM));
    SAY(ncclGroupEnd());
    SAY(ncclGroupStart());
    SAY(ncclSend(buff, count, type, peer, comm, STREAM));
    SAY(ncclGroupEnd());
}

static void scene_arguments(void)
{
    argument(BUFF(1), 1, ncclInt32, -1, world);
    argument(BUFF(1), 1, ncclInt32, 4, world);
    argument(BUFF(1), 1, ncclInt32, 1 << 30, world);
    argument(BUFF(1), 1, (ncclDataType_t)99, 2, world);
    argument(BUFF(1), 1, ncclInt32, 2, NULL);
    argument(BUFF(1), 1, ncclInt32, 2, (ncclComm_t)(uintptr_t)999999);
    argument(NULL, 1, ncclInt32, 2, world);
    all2all(world, 4, ncclInt32, STREAM);
}

static void scene_named(void)
{
    size_t counts[] = {1, 2, 0, 4}, starts[] = {0, 1, 3, 3};
    SAY(ncclAlltoAll(BUFF(0), BUFF(1024), 16, ncclFloat16, world, STREAM));
    SAY(ncclAlltoAll(BUFF(0), BUFF(1024), 0, ncclFloat16, world, STREAM));
    SAY(ncclAlltoAll(NULL, NULL, 16, ncclFloat16, world, STREAM));
    SAY(ncclAlltoAll(BUFF(0), BUFF(1024), 16, (ncclDataType_t)77, world, STREAM));
    SAY(ncclAlltoAll(BUFF(0), BUFF(1024), 16, ncclFloat16, NULL, STREAM));
    SAY(ncclAllToAll(BUFF(0), BUFF(1024), 16, ncclFloat16, world, STREAM));
    SAY(ncclAlltoAllConfig(BUFF(0), BUFF(1024), 16, ncclFloat16, world, STREAM, NULL));
    SAY(ncclAlltoAllConfig(BUFF(0), BUFF(1024), 16, ncclFloat16, world, STREAM, (ncclCollConfig_t *)BUFF(5)));
    SAY(ncclAllToAllv(BUFF(0), counts, starts, BUFF(1024), counts, starts, ncclFloat64, world, STREAM));
    SAY(ncclAllToAllv(BUFF(0), NULL, starts, BUFF(1024), counts, starts, ncclFloat64, world, STREAM));
    SAY(ncclGroupStart());
    SAY(ncclAlltoAll(BUFF(0), BUFF(1024), 16, ncclFloat16, world, STREAM));
    SAY(ncclGroupEnd());
    SAY(ncclGroupStart());
    SAY(ncclSend(BUFF(0), 1, ncclInt32, 1, world, STREAM));
    SAY(ncclAlltoAll(BUFF(0), BUFF(1024), 16, ncclFloat16, world, STREAM));
    SAY(ncclAllToAllv(BUFF(0), counts, starts, BUFF(1024), counts, starts, ncclFloat64, world, STREAM));
    SAY(ncclGroupEnd());
}

static void scene_init_in_group(void)
{
    static ncclComm_t pair[2], later; /* NCCL may fill them in at the end of the group */
    ncclConfig_t config = {sizeof config, 0xcafebeef, 22809, HM_NCCL_UNDEF_INT};
    SAY(ncclGroupStart());
    for (int i = 0; i < 2; i++) SAY(ncclCommInitRank(&pair[i], 3 + i, id, i));
    SAY(ncclGroupEnd());
    for (int i = 0; i < 2; i++) all2all(pair[i], 3 + i, ncclInt32, STREAM);
    SAY(ncclGroupStart());
    SAY(ncclSend(BUFF(0), 1, ncclInt32, 1, world, STREAM));
    SAY(ncclCommInitRankConfig(&later, 5, id, 2, &config));
    SAY(ncclGroupEnd());
    all2all(later, 5, ncclInt32, STREAM);
    SAY(ncclCommInitRankScalable(&later, 6, 3, 1, &id, NULL));
    all2all(later, 6, ncclInt32, STREAM);
    static ncclComm_t all[3];
    SAY(ncclCommInitAll(all, 3, NULL));
    for (int i = 0; i < 3; i++) all2all(all[i], 3, ncclInt32, STREAM);
}

static void scene_non_blocking(void)
{
    ncclConfig_t config = {sizeof config, 0xcafebeef, 22809, 0};
    SAY(ncclCommInitRankConfig(&second, 4, id, 0, &config));
    all2all(second, 4, ncclInt32, STREAM);
    SAY(ncclAlltoAll(BUFF(0), BUFF(1024), 16, ncclFloat16, second, STREAM));
    ncclComm_t child = NULL;
    SAY(ncclCommSplit(second, 0, 0, &child, NULL));
    all2all(child, 4, ncclInt32, STREAM);
    SAY(ncclCommSplit(world, 0, 0, &child, &config));
    all2all(child, 4, ncclInt32, STREAM);
    SAY(ncclCommSplit(world, -1, 0, &child, NULL));
}

static void scene_handle_again(void)
{
    ncclComm_t old = NULL, new = NULL;
    SAY(ncclCommInitRank(&old, 4, id, 0));
    all2all(old, 4, ncclInt32, STREAM);
    SAY(ncclCommDestroy(old));
    SAY(ncclCommInitRank(&new, 3, id, 2));
    SAY(old == new);
    all2all(new, 3, ncclInt32, STREAM);
    SAY(ncclCommAbort(new));
    ncclConfig_t config = {sizeof config, 0xcafebeef, 22809, 0};
    SAY(ncclCommInitRankConfig(&new, 4, id, 2, &config));
    all2all(new, 4, ncclInt32, STREAM);
    SAY(ncclCommFinalize(new));
    SAY(ncclCommDestroy(new));
    all2all(new, 4, ncclInt32, STREAM);
}

static void scene_ends(void)
{
    ncclComm_t child = NULL;
    SAY(ncclCommSplit(world, 0, 0, &second, NULL));
    SAY(ncclCommRevoke(second, 0));
    all2all(second, 4, ncclInt32, STREAM);
    SAY(ncclCommShrink(second, NULL, 0, &child, NULL, 1));
    all2all(child, 4, ncclInt32, STREAM);
    SAY(ncclCommGrow(child, 5, NULL, -1, &second, NULL));
    all2all(second, 5, ncclInt32, STREAM);
    SAY(ncclGroupStart());
    SAY(ncclCommFinalize(second));
    SAY(ncclGroupEnd());
    all2all(second, 5, ncclInt32, STREAM);
    SAY(ncclGroupStart());
    SAY(ncclSend(BUFF(0), 1, ncclInt32, 1, child, STREAM));
    SAY(ncclCommAbort(child));
    SAY(ncclGroupEnd());
}

/* Each call without behaviour of its own, alone and in the middle of a group. Arguments are small numbers: the calls'
 * C types matter to the compiler, not to the machine's way of passing them. */
static void scene_every_call(void)
{
    typedef ncclResult_t any_t(long, long, long, long, long, long, long, long, long, long, long);
#define EVERY_own(name)
#define EVERY_own0(name)
#define EVERY_pass(name) \
    { \
        any_t *call = (any_t *)(void *)name; \
        printf("%s %d\n", #name, (int)call(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)); \
        SAY(ncclGroupStart()); \
        SAY(ncclSend(BUFF(0), 1, ncclInt32, 1, world, STREAM)); \
        printf("%s %d\n", #name, (int)call(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)); \
        SAY(ncclRecv(BUFF(0), 1, ncclInt32, 1, world, STREAM)); \
        SAY(ncclGroupEnd()); \
    }
#define HM_CALL(name, params, args, comm, treatment) EVERY_##treatment(name)
#include "door/calls.def"
}

/* A communicator of another plugin, in a group and alone. */
__attribute__((visibility("protected"))) void scenes_use(ncclComm_t comm)
{
    all2all(comm, 4, ncclInt32, STREAM);
    SAY(ncclAllReduce(BUFF(0), BUFF(1), 8, ncclInt32, ncclSum, comm, STREAM));
}

static const struct {
    const char *name;
    void (*play)(void);
} scenes[] = {
    {"all2all", scene_all2all},
    {"untrusted", scene_untrusted},
    {"point_to_point", scene_point_to_point},
    {"nested", scene_nested},
    {"empty", scene_empty},
    {"extra_end", scene_extra_end},
    {"simulate", scene_simulate},
    {"second", scene_second},
    {"arguments", scene_arguments},
    {"named", scene_named},
    {"init_in_group", scene_init_in_group},
    {"non_blocking", scene_non_blocking},
    {"handle_again", scene_handle_again},
    {"ends", scene_ends},
    {"every_call", scene_every_call},
};

__attribute__((visibility("protected"))) ncclComm_t scenes_world(void)
{
    const char *rank = getenv("SCENES_RANK"); /* rank 0 says more than others */
    if (world == NULL && ncclCommInitRank(&world, 4, id, rank != NULL ? atoi(rank) : 1) != ncclSuccess) world = NULL;
    return world;
}

__attribute__((visibility("protected"))) int scenes_run(const char *name)
{
    scenes_world();
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        if (strcmp(name, "list") == 0) puts(scenes[i].name);
        if (strcmp(name, scenes[i].name) != 0) continue;
        scenes[i].play();
        return 0;
    }
    return strcmp(name, "list") != 0;
}

#ifdef SCENES_AT_LOAD
/* As a library's constructor, before main and before any constructor of ours could have run. */
__attribute__((constructor)) static void scenes_at_load(void)
{
    const char *name = getenv("SCENES_AT_LOAD");
    if (name) scenes_run(name);
    fflush(stdout);
}
#endif
