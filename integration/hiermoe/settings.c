/* hiermoe settings: lists the table by which the library reads its environment. */
#include "command.h"

#include <jansson.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *kind, *standard, *accepted, *help;
    bool same;
} settings[] = {
#define HM_SETTING(field, variable, kind, standard, accepted, same, help) \
    {variable, #kind, standard, accepted, help, same},
#include "../../shim/base/settings.def"
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static int list_json(void)
{
    json_t *list = json_array();
    errno = 0;
    for (size_t i = 0; i < SETTINGS; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "name", settings[i].name, "kind",
                                              settings[i].kind, "default", settings[i].standard, "accepted",
                                              settings[i].accepted, "same_on_all_ranks", settings[i].same, "help",
                                              settings[i].help));
    bool failed = list == NULL || json_array_size(list) != SETTINGS || json_dumpf(list, stdout, JSON_INDENT(2)) != 0;
    if (!failed) failed = putchar('\n') == EOF;
    json_decref(list);
    return failed ? command_fail("settings: %s", strerror(errno != 0 ? errno : ENOMEM)) : 0;
}

static void list_text(void)
{
    int name = 4, standard = 7, accepted = 8;
    for (size_t i = 0; i < SETTINGS; i++) {
        int length = (int)strlen(settings[i].name);
        if (length > name) name = length;
        length = (int)strlen(settings[i].standard);
        if (length > standard) standard = length;
        length = (int)strlen(settings[i].accepted);
        if (length > accepted && length <= 48) accepted = length;
    }
    printf("%-*s  %-*s  %-*s  %-5s  %s\n", name, "name", standard, "default", accepted, "accepted", "ranks", "help");
    for (size_t i = 0; i < SETTINGS; i++)
        printf("%-*s  %-*s  %-*s  %-5s  %s\n", name, settings[i].name, standard,
               settings[i].standard[0] != '\0' ? settings[i].standard : "-", accepted, settings[i].accepted,
               settings[i].same ? "equal" : "any", settings[i].help);
}

int settings_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--json") == 0) return list_json();
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
    if (argc > 1) {
        fputs("usage: hiermoe settings [--json]\nLists name, default, accepted forms, whether all ranks must have the "
              "same, and meaning.\n",
              help ? stdout : stderr);
        return help ? 0 : HM_EXIT_BAD_INPUT;
    }
    list_text();
    return 0;
}
