/* Description: which PyTorch is believed to send and receive every leg. An older one leaves empty legs out, on each
 * rank other ones, and a rank without tokens issues nothing at all. Argument: the plugin that passes for its library.
 */
#define _GNU_SOURCE
#include "door/torch.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *plugin;
static char tree[64];

static void command_run(const char *format, const char *what)
{
    char command[4096];
    snprintf(command, sizeof command, format, what, tree);
    assert_int_equal(system(command), 0);
}

static int tree_make(void **state)
{
    (void)state;
    strcpy(tree, "/tmp/hm_torch_XXXXXX");
    assert_non_null(mkdtemp(tree));
    command_run("mkdir -p '%2$s/torch/lib' && cp '%1$s' '%2$s/torch/lib/library.so'", plugin);
    return 0;
}

static int tree_remove(void **state)
{
    (void)state;
    command_run("rm -rf '%2$s'", "");
    return 0;
}

/* Whether the plugin is believed in a tree where `file` holds `text`. */
static bool believed(const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/torch/%s", tree, file);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    snprintf(path, sizeof path, "%s/torch/lib/library.so", tree);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    bool complete = torch_legs_complete(dlsym(library, "_ZN5torch4cuda4nccl7versionEv"));
    dlclose(library);
    snprintf(path, sizeof path, "%s/torch/%s", tree, file);
    unlink(path);
    return complete;
}

static void releases_from_2_1_on_are_believed(void **state)
{
    (void)state;
    setenv("TORCH_PLUGIN_NCCL", "2.18", 1);
    assert_true(believed("version.py", "from typing import Optional\n__version__ = '2.11.0+cu130'\ndebug = False\n"));
    assert_true(believed("version.py", "__version__ = '2.1.0+cu118'\n"));
    assert_true(believed("version.py", "__version__ = '2.6.0a0+ecf3bae40a.nv25.01'\n"));
    assert_true(believed("version.py", "__version__ = '3.0.0'\n"));
    assert_true(believed("build-version", "2.1.0+cu121\n"));
    assert_false(believed("version.py", "__version__ = '2.1.0a0+4136153'\n")); /* before or after the change */
    assert_false(believed("version.py", "__version__ = '2.0.1+cu118'\n"));
    assert_false(believed("version.py", "__version__ = '1.13.1'\n"));
    assert_false(believed("build-version", "2.0.1+cu118\n"));
}

static void what_is_not_found_is_not_believed(void **state)
{
    (void)state;
    setenv("TORCH_PLUGIN_NCCL", "2.18", 1);
    assert_false(believed("other.py", "__version__ = '2.11.0'\n"));
    assert_false(believed("version.py", "version = 'two'\n"));
    assert_false(believed("version.py", "__version__ = 'two'\n"));
    assert_false(believed("version.py", ""));
    assert_false(torch_legs_complete(NULL));
    assert_false(torch_legs_complete((const void *)(uintptr_t)&tree_make)); /* this program is no PyTorch */
}

/* Built for an NCCL that took no empty messages, any PyTorch leaves them out. */
static void builds_for_an_old_nccl_are_not_believed(void **state)
{
    static const char *const version = "__version__ = '2.11.0'\n";
    (void)state;
    setenv("TORCH_PLUGIN_NCCL", "2.13", 1);
    assert_false(believed("version.py", version));
    setenv("TORCH_PLUGIN_NCCL", "2.14", 1);
    assert_true(believed("version.py", version));
    setenv("TORCH_PLUGIN_NCCL", "1.99", 1);
    assert_false(believed("version.py", version));
    unsetenv("TORCH_PLUGIN_NCCL");
    assert_false(believed("version.py", version));
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    plugin = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(releases_from_2_1_on_are_believed, tree_make, tree_remove),
        cmocka_unit_test_setup_teardown(what_is_not_found_is_not_believed, tree_make, tree_remove),
        cmocka_unit_test_setup_teardown(builds_for_an_old_nccl_are_not_believed, tree_make, tree_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
