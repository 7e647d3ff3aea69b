/* Ways in which programs come to NCCL: CMake defines HM_USE. Only their files are looked at. */
#include <dlfcn.h>
#include <stddef.h>

#define LINKED 1
#define HELD 2
#define HIDDEN 3
#define HANDLE 4

int use(void);

#if HM_USE == LINKED
int ncclGroupStart(void);
int use(void)
{
    return ncclGroupStart();
}
#elif HM_USE == HELD
int ncclGroupStart(void);
int ncclGroupStart(void)
{
    return 0;
}
int use(void)
{
    return ncclGroupStart();
}
#elif HM_USE == HIDDEN
__attribute__((noinline)) static int ncclGroupStart(void)
{
    __asm__ volatile("");
    return 0;
}
int use(void)
{
    return ncclGroupStart();
}
#else
int use(void)
{
    return dlopen("libnccl.so.2", RTLD_LAZY) != NULL;
}
#endif
