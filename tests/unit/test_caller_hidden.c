/* test_caller_hidden hidden_with|hidden_without: callers that are not exported, with libunwind, and where it cannot be
 * opened. dlopen and dladdr of the code under test come here first. */
#define _GNU_SOURCE
#include "front_double.h"

#include "door/caller.h"
#include "base/settings.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HIDDEN __attribute__((noinline)) static
#define EXPORTED __attribute__((noinline, visibility("default")))

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);
int __real_dladdr(const void *at, Dl_info *info);
int __wrap_dladdr(const void *at, Dl_info *info);

#ifdef HM_LIBUNWIND
#define OPENED 1
#else
#define OPENED 0 /* built without its header, it is not looked for */
#endif

static bool installed;
static int opened, named;
static volatile int after;

void *__wrap_dlopen(const char *name, int flags)
{
    assert_string_equal(name, "libunwind.so.8");
    assert_int_equal(flags & RTLD_GLOBAL, 0);
    opened++;
    return __real_dlopen(installed ? name : "libnone.so.8", flags);
}

int __wrap_dladdr(const void *at, Dl_info *info)
{
    named++;
    return __real_dladdr(at, info);
}

EXPORTED bool probe(void);
bool probe(void)
{
    bool trusted = caller_trusted(__builtin_return_address(0));
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

static void not_opened_before_it_is_needed(void **state)
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
        assert_int_equal(hidden_dispatch(), installed);
        assert_int_equal(hidden_layer(), installed);
        assert_int_equal(hidden_torch(), installed);
        assert_false(hidden_bystander());
        assert_false(other_layer());
        assert_true(exported_dispatch());
    }
    assert_int_equal(opened, OPENED);
}

static void decided_once(void **state)
{
    (void)state;
    int before = 0;
    for (volatile int i = 0; i < 1000; i++) { /* volatile: one call site, not a first and a later one */
        hidden_dispatch();
        if (i == 0) before = named;
    }
    assert_true(before > 0);
    assert_int_equal(named, before);
    assert_int_equal(opened, OPENED);
}

static void absence_said_once(void **state)
{
    (void)state;
    char line[1024];
    int said = 0;
    FILE *file = fopen(getenv("HIERMOE_DEBUG_FILE"), "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        said += strstr(line, "libunwind.so.8 is not used") != NULL;
    if (file != NULL) fclose(file);
    assert_int_equal(said, installed ? 0 : OPENED);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_opened_before_it_is_needed),
        cmocka_unit_test(hidden_callers),
        cmocka_unit_test(decided_once),
        cmocka_unit_test(absence_said_once),
    };
    char log[] = "/tmp/caller_hidden.XXXXXX";
    int file = mkstemp(log);
    if (argc != 2 || file < 0) return 2;
    close(file);
    installed = strcmp(argv[1], "hidden_with") == 0;
    setenv("HIERMOE_DEBUG", "INFO", 1);
    setenv("HIERMOE_DEBUG_FILE", log, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(log);
    return failed;
}
