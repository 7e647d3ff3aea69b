/* test_caller_hidden readable|unreadable: callers that are not exported, where their file can be read and where not.
 * open and dladdr of the code under test come here first. */
#define _GNU_SOURCE
#include "front_double.h"

#include "base/settings.h"
#include "door/caller.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define HIDDEN __attribute__((noinline)) static
#define EXPORTED __attribute__((noinline, visibility("default")))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_dladdr(const void *at, Dl_info *info);
int __wrap_dladdr(const void *at, Dl_info *info);

static bool readable;
static int opened, named;
static volatile int after;

/* The log's file, and those of callers. */
int __wrap_open(const char *path, int flags, ...)
{
    if ((flags & O_CREAT) != 0) return __real_open(path, flags, 0600);
    if (strstr(path, "hiermoe.conf") != NULL) return __real_open(path, flags); /* settings files */
    opened++;
    errno = EACCES;
    return readable ? __real_open(path, flags) : -1;
}

int __wrap_dladdr(const void *at, Dl_info *info)
{
    named++;
    return __real_dladdr(at, info);
}

EXPORTED bool probe(void);
bool probe(void)
{
    bool trusted = caller_belief(__builtin_return_address(0), true) != HM_BELIEF_NOBODY;
    after++;
    return trusted;
}

/* after: equal functions would become one, with two names. */
#define CALLS(name, inner) \
    bool name(void) \
    { \
        bool trusted = inner(); \
        after += __LINE__; \
        return trusted; \
    }

EXPORTED bool exported_dispatch(void);
CALLS(exported_dispatch, probe)
HIDDEN CALLS(hidden_dispatch, probe)
HIDDEN CALLS(hidden_bystander, probe)
EXPORTED bool exported_way_out(void);
CALLS(exported_way_out, probe)
HIDDEN CALLS(hidden_layer, exported_way_out)
HIDDEN CALLS(other_layer, exported_way_out)
HIDDEN bool hidden_torch(void) __asm__("_ZN4c10d5nccl216ProcessGroupNCCL18allToAllSingleImplERN2at6TensorES3_");
HIDDEN CALLS(hidden_torch, exported_way_out)

    static void trust(const char *value)
{
    setenv("HIERMOE_TRUST", value, 1);
    settings_forget();
}

static void no_file_is_read_where_exported_names_do(void **state)
{
    (void)state;
    trust("shape");
    assert_true(hidden_bystander());
    trust("exported_dispatch");
    assert_true(exported_dispatch());
    assert_int_equal(opened, 0);
}

static void hidden_callers(void **state)
{
    (void)state;
    trust("hidden_dispatch,hidden_layer");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hidden_dispatch(), readable);
        assert_int_equal(hidden_layer(), readable);
        assert_int_equal(hidden_torch(), readable);
        assert_false(hidden_bystander());
        assert_false(other_layer());
        assert_true(exported_dispatch());
    }
    assert_true(opened > 0);
}

static void decided_once(void **state)
{
    (void)state;
    int before = 0, files = 0;
    for (volatile int i = 0; i < 1000; i++) { /* volatile: one call site, not a first and a later one */
        hidden_dispatch();
        if (i == 0) before = named, files = opened;
    }
    assert_true(before > 0);
    assert_int_equal(named, before);
    assert_int_equal(opened, files);
}

int main(int argc, char **argv)
{
    setenv("TORCH_PLUGIN_NCCL", TORCH_NCCL, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file_is_read_where_exported_names_do),
        cmocka_unit_test(hidden_callers),
        cmocka_unit_test(decided_once),
    };
    if (argc != 2) return 2;
    readable = strcmp(argv[1], "readable") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
