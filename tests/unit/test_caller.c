#define _GNU_SOURCE
#include "front_double.h"

#include "base/settings.h"
#include "door/caller.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unwind.h>

#define NOINLINE __attribute__((noinline, visibility("default")))

static volatile int after; /* work after a call keeps it from becoming a jump */

/* What ncclGroupEnd's hook does. */
NOINLINE bool probe(void);
bool probe(void)
{
    bool trusted = caller_belief(__builtin_return_address(0), true) != HM_BELIEF_NOBODY;
    after++;
    return trusted;
}

NOINLINE bool legacy(void) __asm__("_ZN5torch4cuda4nccl7all2allERSt6vectorIN2at6TensorESaIS4_EES7_Pv");
bool legacy(void)
{
    bool trusted = probe();
    after++;
    return trusted;
}

/* c10d::nccl2::DefaultNcclApi::groupEnd: everybody's way out, so alone it says nothing. */
NOINLINE bool group_end(void) __asm__("_ZN4c10d5nccl214DefaultNcclApi8groupEndEv");
bool group_end(void)
{
    bool trusted = probe();
    after++;
    return trusted;
}

NOINLINE bool second_back_end(void) __asm__("_ZN4c10d5nccl216ProcessGroupNCCL19all_to_all_v_singleERN2at6TensorE");
bool second_back_end(void)
{
    bool trusted = group_end();
    after++;
    return trusted;
}

NOINLINE bool pipeline(void);
bool pipeline(void)
{
    bool trusted = group_end();
    after++;
    return trusted;
}

NOINLINE bool my_dispatch(void);
bool my_dispatch(void)
{
    bool trusted = probe();
    after++;
    return trusted;
}

NOINLINE bool my_other_dispatch(void);
bool my_other_dispatch(void)
{
    bool trusted = probe();
    after++;
    return trusted;
}

static void trust(const char *value)
{
    setenv("HIERMOE_TRUST", value, 1);
    settings_forget();
}

static void known_callers(void **state)
{
    (void)state;
    trust("known");
    for (int i = 0; i < 3; i++) { /* decided, then remembered */
        assert_true(legacy());
        assert_true(second_back_end());
        assert_false(pipeline()); /* the same inner frames */
        assert_false(my_dispatch());
    }
}

static void any_caller_by_shape(void **state)
{
    (void)state;
    trust("SHAPE");
    assert_true(my_dispatch());
    assert_true(pipeline());
}

static void named_caller_beside_known_ones(void **state)
{
    (void)state;
    trust("somebody,other_dispatch,");
    assert_true(my_other_dispatch());
    assert_true(legacy());
}

/* Nobody's call: nothing may be read before address 0. */
static void null_return_address(void **state)
{
    (void)state;
    trust("known");
    assert_false(caller_belief(NULL, true) != HM_BELIEF_NOBODY);
    assert_false(caller_belief(NULL, true) != HM_BELIEF_NOBODY);
    trust("shape");
    assert_true(caller_belief(NULL, true) != HM_BELIEF_NOBODY);
}

/* Names looked up, and stacks walked. */
static int lookups, walks;
int __real_dladdr(const void *address, Dl_info *info);
int __wrap_dladdr(const void *address, Dl_info *info);
_Unwind_Reason_Code __real__Unwind_Backtrace(_Unwind_Trace_Fn step, void *argument);
_Unwind_Reason_Code __wrap__Unwind_Backtrace(_Unwind_Trace_Fn step, void *argument);

int __wrap_dladdr(const void *address, Dl_info *info)
{
    lookups++;
    return __real_dladdr(address, info);
}

_Unwind_Reason_Code __wrap__Unwind_Backtrace(_Unwind_Trace_Fn step, void *argument)
{
    walks++;
    return __real__Unwind_Backtrace(step, argument);
}

/* Only the first call from a place looks names up, and PyTorch's own three are known without a walk. */
static void decision_is_remembered(void **state)
{
    (void)state;
    trust("known");
    lookups = walks = 0;
    for (int i = 0; i < 100; i++) assert_true(legacy());
    assert_int_equal(walks, 0);
    assert_in_range(lookups, 0, 1);
    lookups = 0;
    for (int i = 0; i < 100; i++) assert_true(second_back_end());
    assert_int_equal(walks, 100);
    assert_in_range(lookups, 1, 16);
}

int main(void)
{
    setenv("TORCH_PLUGIN_NCCL", TORCH_NCCL, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_callers),
        cmocka_unit_test(any_caller_by_shape),
        cmocka_unit_test(named_caller_beside_known_ones),
        cmocka_unit_test(null_return_address),
        cmocka_unit_test(decision_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
