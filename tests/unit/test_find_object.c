/* test_find_object with|without: what the unwinder asks for, with glibc's own answer behind it, and as on a glibc
 * before 2.35, which has none. dlvsym of the code under test comes here first. */
#define _GNU_SOURCE
#include "front_double.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

void *__real_dlvsym(void *handle, const char *name, const char *version);
void *__wrap_dlvsym(void *handle, const char *name, const char *version);

#ifdef DLFO_STRUCT_HAS_EH_DBASE

static bool with;
static int asked;

void *__wrap_dlvsym(void *handle, const char *name, const char *version)
{
    asked++;
    assert_string_equal(name, "_dl_find_object");
    return with ? __real_dlvsym(handle, name, version) : NULL;
}

static int glibc_find(void *at, struct dl_find_object *result)
{
    __typeof__(_dl_find_object) *find;
    *(void **)&find = __real_dlvsym(RTLD_DEFAULT, "_dl_find_object", "GLIBC_2.35");
    if (find == NULL) skip(); /* nothing to compare with */
    return find(at, result);
}

static void same_unwind_table_as_glibcs(void **state)
{
    void *places[] = {(void *)same_unwind_table_as_glibcs, (void *)malloc, (void *)dlopen,
                      (void *)_assert_string_equal};
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct dl_find_object own = {.dlfo_flags = 0}, want = {.dlfo_flags = 0};
        assert_int_equal(glibc_find(places[i], &want), 0);
        assert_int_equal(_dl_find_object(places[i], &own), 0);
        assert_non_null(own.dlfo_eh_frame);
        assert_ptr_equal(own.dlfo_eh_frame, want.dlfo_eh_frame);
    }
    assert_int_equal(asked, 1);
}

static void no_code(void **state)
{
    struct dl_find_object object;
    (void)state;
    assert_int_equal(_dl_find_object(&object, &object), -1);
    assert_int_equal(_dl_find_object(NULL, &object), -1);
}

/* dlerror is the job's. */
static void nothing_is_left_to_dlerror(void **state)
{
    (void)state;
    assert_null(dlerror());
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_unwind_table_as_glibcs),
        cmocka_unit_test(no_code),
        cmocka_unit_test(nothing_is_left_to_dlerror),
    };
    with = argc == 2 && strcmp(argv[1], "with") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else /* this glibc has none, and so this compiler's unwinder does not ask for it */

void *__wrap_dlvsym(void *handle, const char *name, const char *version)
{
    return __real_dlvsym(handle, name, version);
}

int main(void)
{
    return 77;
}

#endif
