/* callers NAME: two all-to-alls from a function that the linker shows to everybody, or from one that it does not. Part
 * of throws.cc as well. */
#include "fake_nccl.h"

#include <string.h>

#define NOINLINE __attribute__((noinline))

int callers_run(const char *name);
void exported_dispatch(void);
void exported_way_out(void);

static ncclComm_t comm;
static volatile int after; /* work after a call keeps it from becoming a jump, equal functions from becoming one */

__attribute__((always_inline)) static inline void all2all(int who)
{
    static char data[8];
    ncclGroupStart();
    for (int r = 0; r < 4; r++) {
        ncclSend(data, 1, ncclInt8, r, comm, NULL);
        ncclRecv(data + 4, 1, ncclInt8, r, comm, NULL);
    }
    ncclGroupEnd();
    after = who;
}

/* The hidden one must come right behind: to a reader of a stripped file it looks like the end of this one. */
NOINLINE void exported_dispatch(void)
{
    all2all(1);
}

NOINLINE static void hidden_dispatch(void)
{
    all2all(2);
}

NOINLINE void exported_way_out(void)
{
    all2all(3);
}

NOINLINE static void hidden_layer(void)
{
    exported_way_out();
    after++;
}

int callers_run(const char *name)
{
    static const struct {
        const char *name;
        void (*call)(void);
    } callers[] = {
        {"exported_dispatch", exported_dispatch}, {"hidden_dispatch", hidden_dispatch}, {"hidden_layer", hidden_layer}};
    ncclUniqueId id = {{0}};
    if (comm == NULL && ncclCommInitRank(&comm, 4, id, 1) != ncclSuccess) return 1;
    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++) {
        if (strcmp(name, callers[i].name) != 0) continue;
        for (int n = 0; n < 2; n++) callers[i].call();
        return 0;
    }
    return 2;
}

#ifndef CALLERS_IN_CXX
int main(int argc, char **argv)
{
    return argc == 2 ? callers_run(argv[1]) : 2;
}
#endif
