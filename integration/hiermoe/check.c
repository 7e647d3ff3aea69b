#define _GNU_SOURCE
#include "check.h"

#include "child.h"
#include "elf_look.h"
#include "program.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void check_say(hm_check_t *check, hm_verdict_t verdict, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->text, sizeof check->text, format, arguments);
    va_end(arguments);
    check->verdict = verdict;
}

/* ld.so itself is asked: it names a glibc that is too old, a library that is missing, another machine's file. This
 * program is one that it can start. */
void check_library(const char *library, hm_check_t *check)
{
    char text[4096], own[PATH_MAX];
    char *const self[] = {"/proc/self/exe", "--version", NULL};
    check->name = "library";
    int status = child_read(self, library, HM_CHILD_ERRORS, text, sizeof text);
    text[strcspn(text, "\n")] = '\0';
    const char *why = strstr(text, "cannot be preloaded");
    if (status != 0 && why == NULL)
        check_say(check, HM_VERDICT_BAD, "%s cannot be loaded here: %s", library,
                  *text != '\0' ? text : "no reason given");
    else if (why != NULL)
        check_say(check, HM_VERDICT_BAD, "%s cannot be loaded here: %s", library, why + strlen("cannot be preloaded"));
    else
        check_say(check, HM_VERDICT_GOOD, "%s loads here", realpath(library, own) != NULL ? own : library);
}

/* A program that is linked statically or runs with more rights than its user's takes no LD_PRELOAD. */
static void check_program(const char *path, hm_check_t *check)
{
    hm_elf_look_t look;
    struct stat found;
    int rc = elf_look(path, &look);
    check->name = "program";
    if (rc != 0)
        check_say(check, HM_VERDICT_UNKNOWN, "%s: %s", path, rc == -ENOEXEC ? "no ELF file" : strerror(-rc));
    else if (look.interpreter[0] == '\0')
        check_say(check, HM_VERDICT_BAD, "%s is linked statically: nothing can be preloaded into it", path);
    else if (strstr(look.interpreter, "ld-musl") != NULL)
        check_say(check, HM_VERDICT_BAD, "%s is linked with musl: the library needs glibc", path);
    else if (stat(path, &found) == 0 && (found.st_mode & (S_ISUID | S_ISGID)) != 0 && getuid() != 0)
        check_say(check, HM_VERDICT_BAD, "%s is set-user-ID or set-group-ID: the loader ignores LD_PRELOAD for it",
                  path);
    else
        check_say(check, HM_VERDICT_GOOD, "%s can be preloaded into", path);
}

int check_driver_version(void)
{
    int version = 0, (*get)(int *);
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (driver == NULL) return 0;
    *(void **)&get = dlsym(driver, "cuDriverGetVersion");
    if (get == NULL || get(&version) != 0) version = 0;
    return version; /* the driver stays: it does not like to be closed */
}

static void check_driver(hm_check_t *check)
{
    int version = check_driver_version();
    check->name = "driver";
    if (strcmp(HM_CUDA_BUILT, "none") == 0)
        check_say(check, version != 0 ? HM_VERDICT_BAD : HM_VERDICT_UNKNOWN,
                  "the library was built without nvcc: it leaves calls on GPU memory alone");
    else if (version == 0)
        check_say(check, HM_VERDICT_UNKNOWN, "no CUDA driver on this machine: whether ranks have one is not known");
    else if (version / 1000 < atoi(HM_CUDA_BUILT))
        check_say(check, HM_VERDICT_UNKNOWN,
                  "CUDA driver %d.%d: the library was built with CUDA %s, and not tried under older drivers",
                  version / 1000, version % 1000 / 10, HM_CUDA_BUILT);
    else
        check_say(check, HM_VERDICT_GOOD, "CUDA driver %d.%d", version / 1000, version % 1000 / 10);
}

void check_command(const char *library, char *const *command, hm_check_t checks[HM_CHECKS])
{
    char program[PATH_MAX];
    check_library(library, &checks[0]);
    if (program_find(command, program)) {
        check_program(program, &checks[1]);
        check_nccl(program, &checks[2]);
    } else {
        checks[1].name = "program";
        checks[2].name = "nccl";
        check_say(&checks[1], HM_VERDICT_UNKNOWN, "%s is no program of this machine", command[0]);
        check_say(&checks[2], HM_VERDICT_UNKNOWN, "without the program it is not known which NCCL it uses");
    }
    check_dispatcher(command, &checks[3]);
    check_driver(&checks[4]);
}
