/* Which NCCL a program uses, and how its calls come to it: told by the files, without starting anything of the job. */
#define _GNU_SOURCE
#include "check.h"

#include "child.h"
#include "elf_look.h"
#include "program.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void check_torch_folder(const char *python, char *folder, size_t size)
{
    char *const ask[] = {(char *)python, "-c",
                         "import importlib.util as u; s = u.find_spec('torch'); "
                         "print((list(s.submodule_search_locations or ['']) if s else [''])[0])",
                         NULL};
    if (child_read(ask, NULL, HM_CHILD_OUTPUT, folder, size) != 0) folder[0] = '\0';
    folder[strcspn(folder, "\n")] = '\0';
}

/* What ld.so --list says of a file, to be gone through line by line. */
static void objects_list(const char *file, char *text, size_t size)
{
    hm_elf_look_t own;
    text[0] = '\0';
    if (elf_look("/proc/self/exe", &own) != 0 || own.interpreter[0] == '\0') return;
    char *const list[] = {own.interpreter, "--list", (char *)file, NULL};
    child_read(list, NULL, HM_CHILD_OUTPUT, text, size);
}

/* The file that a line of that list names: "\tNAME => PATH (0x...)" or "\tPATH (0x...)". false: none. */
static bool object_path(const char *line, char path[PATH_MAX])
{
    const char *from = strstr(line, " => "), *end = strstr(line, " (0x");
    from = from != NULL ? from + 4 : line + strspn(line, "\t ");
    if (end == NULL || end <= from || *from != '/') return false;
    return snprintf(path, PATH_MAX, "%.*s", (int)(end - from), from) < PATH_MAX;
}

/* Calls look for the file and for each of its libraries until that returns true. */
static bool objects_find(const char *file, bool (*look)(const char *path, void *context), void *context)
{
    static char text[65536];
    char path[PATH_MAX], *rest;
    if (look(file, context)) return true;
    objects_list(file, text, sizeof text);
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        if (object_path(line, path) && look(path, context)) return true;
    return false;
}

static bool path_is_nccl(const char *path, void *context)
{
    const char *slash = strrchr(path, '/');
    if (strncmp(slash != NULL ? slash + 1 : path, "libnccl.so", 10) != 0) return false;
    snprintf(context, PATH_MAX, "%s", path);
    return true;
}

void check_nccl_path(const char *file, char *path, size_t size)
{
    char found[PATH_MAX] = "";
    objects_find(file, path_is_nccl, found);
    snprintf(path, size, "%s", found);
}

typedef struct hm_user {
    hm_nccl_use_t use;
    char path[PATH_MAX];
} hm_user_t;

/* The first object that comes to NCCL, however it does; one that only names the library is the last choice. */
static bool object_uses(const char *path, void *context)
{
    hm_user_t *user = context;
    hm_elf_look_t look;
    char ignored[PATH_MAX];
    if (path_is_nccl(path, ignored) || elf_look(path, &look) != 0 || look.nccl == HM_NCCL_NONE) return false;
    if (user->use == HM_NCCL_NONE || look.nccl != HM_NCCL_BY_HANDLE) {
        user->use = look.nccl;
        snprintf(user->path, sizeof user->path, "%s", path);
    }
    return look.nccl != HM_NCCL_BY_HANDLE;
}

static void nccl_say(const char *file, hm_check_t *check)
{
    hm_user_t user = {.use = HM_NCCL_NONE};
    char nccl[PATH_MAX];
    objects_find(file, object_uses, &user);
    switch (user.use) {
    case HM_NCCL_LINKED:
        check_nccl_path(file, nccl, sizeof nccl);
        check_say(check, HM_VERDICT_GOOD, "%s calls NCCL by name (%s): the library can stand before it", user.path,
                  nccl[0] != '\0' ? nccl : "which libnccl.so is decided when it starts");
        break;
    case HM_NCCL_OWN:
        check_say(check, HM_VERDICT_GOOD, "%s holds NCCL and exports it: the library can stand before it", user.path);
        break;
    case HM_NCCL_SYMBOLIC:
        check_say(check, HM_VERDICT_BAD,
                  "%s holds NCCL and is linked with -Bsymbolic: its calls do not leave it, and the library sees none",
                  user.path);
        break;
    case HM_NCCL_STATIC:
        check_say(
            check, HM_VERDICT_BAD,
            "%s is linked statically with NCCL: the library sees no calls; link NCCL dynamically, as pip's wheels do",
            user.path);
        break;
    case HM_NCCL_BY_HANDLE:
        check_say(
            check, HM_VERDICT_UNKNOWN,
            "%s opens libnccl.so itself: calls that it looks up there (dlsym), or that RTLD_DEEPBIND binds, are not "
            "seen",
            user.path);
        break;
    case HM_NCCL_NONE:
        check_say(check, HM_VERDICT_UNKNOWN, "%s is not linked with NCCL: whether it loads some later is not known",
                  file);
    }
}

void check_nccl(const char *program, hm_check_t *check)
{
    char folder[PATH_MAX - 64], cuda[PATH_MAX];
    check->name = "nccl";
    if (!program_is_python(program)) {
        nccl_say(program, check);
        return;
    }
    check_torch_folder(program, folder, sizeof folder);
    snprintf(cuda, sizeof cuda, "%s/lib/libtorch_cuda.so", folder);
    if (folder[0] == '\0')
        check_say(check, HM_VERDICT_UNKNOWN, "%s has no PyTorch: whether the job uses NCCL is not known", program);
    else if (access(cuda, F_OK) != 0)
        check_say(check, HM_VERDICT_BAD, "the PyTorch in %s is built without CUDA: it makes no NCCL calls", folder);
    else
        nccl_say(cuda, check);
}
