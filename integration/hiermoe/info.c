/* hiermoe info: what there is here, which settings are in effect, and whether the library can serve a job. */
#define _GNU_SOURCE
#include "info.h"

#include "check.h"
#include "command.h"
#include "commit.h"
#include "preload.h"
#include "profile_find.h"
#include "run_settings.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number that ranks compare when they meet. */
#ifdef HM_SOURCES_KNOWN
#include "fingerprint.h"
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)
#define HM_SOURCES TEXT(HM_FINGERPRINT)
#define HM_SOURCES_LENGTH (int)(sizeof HM_SOURCES - 2) /* without the u */
#else
#define HM_SOURCES "unknown" /* the command built alone */
#define HM_SOURCES_LENGTH 7
#endif

static const char usage[] =
    "usage: hiermoe info [-c] [--library FILE] [--json]\n"
    "       hiermoe info [--library FILE] [--json] --check [--] COMMAND...\n"
    "Says which version this is and what it finds here: NCCL, the driver, GPUs, adapters, the profile in effect.\n\n"
    "  -c                 every setting with its value, where that is from, and its meaning, as a file that can be "
    "used\n"
    "                     as ~/.hiermoe.conf\n"
    "  --check COMMAND    looks at a job's command without starting it: whether the library loads here, and can stand\n"
    "                     before the job's NCCL. Exit status 1: it cannot\n"
    "  --json             the same as JSON\n";

typedef struct hm_info_request {
    bool settings, check, json;
    const char *library;
    char **command;
} hm_info_request_t;

static int request_parse(char **argv, hm_info_request_t *request)
{
    int at = 1;
    for (; argv[at] != NULL && argv[at][0] == '-' && strcmp(argv[at], "--") != 0; at++) {
        if (strcmp(argv[at], "-c") == 0)
            request->settings = true;
        else if (strcmp(argv[at], "--json") == 0)
            request->json = true;
        else if (strcmp(argv[at], "--check") == 0)
            request->check = true;
        else if (strcmp(argv[at], "--library") == 0 && argv[at + 1] != NULL)
            request->library = argv[++at];
        else
            return command_fail("info: %s: expected -c, --json, --library FILE or --check -- COMMAND", argv[at]);
    }
    request->command = argv + at + (argv[at] != NULL && strcmp(argv[at], "--") == 0);
    if (request->check && *request->command == NULL)
        return command_fail("info: --check: expected the command that starts the job");
    if (!request->check && *request->command != NULL)
        return command_fail("info: %s: expected --check before a command", *request->command);
    return 0;
}

static int json_print(json_t *root)
{
    errno = 0;
    bool failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF;
    json_decref(root);
    return failed ? command_fail("info: %s", strerror(errno != 0 ? errno : ENOMEM)) : 0;
}

static const char *const verdicts[] = {"good", "unknown", "bad"};

int info_check(const char *library, char **command, int json)
{
    static hm_check_t checks[HM_CHECKS];
    hm_run_folder_t folder = {""};
    char path[PATH_MAX], loaded[PATH_MAX];
    json_t *list = json_array();
    bool bad = false;
    int status = preload_find("info", "--library", library, path);
    if (status == 0) status = preload_path("info", path, false, &folder, loaded);
    if (status == 0) check_command(loaded, command, checks);
    run_folder_remove(&folder);
    for (int i = 0; i < HM_CHECKS && status == 0; i++) {
        bad = bad || checks[i].verdict == HM_VERDICT_BAD;
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", checks[i].name, "verdict",
                                              verdicts[checks[i].verdict], "text", checks[i].text));
        if (!json) printf("%-11s %-8s %s\n", checks[i].name, verdicts[checks[i].verdict], checks[i].text);
    }
    if (json && status == 0) status = json_print(json_pack("{s:O}", "checks", list));
    json_decref(list);
    return status == 0 && bad ? 1 : status;
}

/* The profile in effect, in words. */
static void profile_describe(char *text, size_t size)
{
    const char *name = run_setting_value("HIERMOE_PROFILE");
    hm_profile_t profile;
    if (strcmp(name, "prior") == 0)
        snprintf(text, size, "guessed from the kinds of links, until one is measured (hiermoe fit)");
    else if (strcmp(name, "auto") == 0)
        snprintf(text, size, "measured at a job's first all-to-all");
    else if (profile_find(name, NULL, &profile) == 0)
        snprintf(text, size, "%d ranks, %s, %s, %s", profile.groups[profile.levels], profile.device, profile.versions,
                 profile.transport);
    else
        snprintf(text, size, "cannot be used");
}

static json_t *info_collect(const char *named)
{
    char library[PATH_MAX], profile[1024];
    profile_describe(profile, sizeof profile);
    bool found = preload_find("info", "--library", named, library) == 0;
    const char *topo = run_setting_value("HIERMOE_TOPO");
    return json_pack("{s:s, s:s, s:s#, s:s, s:s?, s:s, s:s, s:o, s:o, s:s?, s:{s:s, s:s}}", "version", HM_VERSION,
                     "commit", HM_COMMIT, "sources", HM_SOURCES, HM_SOURCES_LENGTH, "mode",
                     run_setting_value("HIERMOE_MODE"), "library", found ? library : NULL, "cuda", HM_CUDA_BUILT,
                     "architectures", HM_CUDA_CODES, "machine", info_machine(), "nccl", info_nccl(), "topology",
                     *topo != '\0' ? topo : NULL, "profile", "name", run_setting_value("HIERMOE_PROFILE"), "what",
                     profile);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void machine_print(const json_t *machine)
{
    size_t i;
    json_t *each;
    printf("driver     %s\n", text_of(machine, "driver"));
    json_array_foreach(json_object_get(machine, "gpus"), i, each) printf(
        "gpu %zu      %s, compute capability %s, %.0f GiB, reads memory of %d others\n", i, text_of(each, "name"),
        text_of(each, "capability"), (double)json_integer_value(json_object_get(each, "bytes")) / (1 << 30),
        (int)json_integer_value(json_object_get(each, "peers")));
    json_array_foreach(json_object_get(machine, "adapters"), i, each)
        printf("adapter    %s, %s\n", text_of(each, "name"), text_of(each, "value"));
    printf("numa nodes %d\n", (int)json_integer_value(json_object_get(machine, "numa_nodes")));
}

static void info_print(const json_t *info)
{
    const json_t *copies = json_object_get(info, "nccl"), *profile = json_object_get(info, "profile");
    const char *topology = text_of(info, "topology");
    size_t i;
    json_t *copy;
    printf("hiermoe    %s, commit %s, sources %s\n", text_of(info, "version"), text_of(info, "commit"),
           text_of(info, "sources"));
    printf("library    %s\n",
           json_is_string(json_object_get(info, "library")) ? text_of(info, "library") : "not found");
    if (strcmp(text_of(info, "cuda"), "none") == 0)
        puts("kernels    none: built without nvcc");
    else
        printf("kernels    CUDA %s, for %s\n", text_of(info, "cuda"), text_of(info, "architectures"));
    machine_print(json_object_get(info, "machine"));
    json_array_foreach(copies, i, copy)
        printf("nccl       %s of %s: %s\n", text_of(copy, "version"), text_of(copy, "of"), text_of(copy, "path"));
    if (json_array_size(copies) == 0) puts("nccl       none found: not with python3's PyTorch, nor by the loader");
    printf("topology   %s\n", *topology != '\0' ? topology : "found when a job's ranks meet (HIERMOE_TOPO sets it)");
    printf("profile    %s: %s\n", text_of(profile, "name"), text_of(profile, "what"));
    printf("mode       %s; hiermoe info -c shows all settings\n", text_of(info, "mode"));
}

int info_main(int argc, char **argv)
{
    hm_info_request_t request = {.settings = false};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    int status = request_parse(argv, &request);
    if (status != 0) return status;
    if (request.check) return info_check(request.library, request.command, request.json);
    json_t *found = request.settings ? info_settings() : info_collect(request.library);
    if (found == NULL) return command_fail("info: out of memory");
    if (request.json) return json_print(found);
    if (request.settings)
        info_settings_print(found);
    else
        info_print(found);
    json_decref(found);
    return 0;
}
