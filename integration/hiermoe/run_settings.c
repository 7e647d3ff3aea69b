#define _GNU_SOURCE
#include "run_settings.h"

#include "command.h"

#include "../../shim/base/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "HIERMOE_"
#define TESTS "HIERMOE_TEST_"
#define NAME_MOST 64

/* HIERMOE_MIN_BYTES of min-bytes; variables stay as they are. false: too long. */
static bool variable_of(const char *name, char variable[NAME_MOST])
{
    bool whole = strncmp(name, PREFIX, strlen(PREFIX)) == 0;
    int length = snprintf(variable, NAME_MOST, "%s%s", whole ? "" : PREFIX, name);
    if (length >= NAME_MOST) return false;
    for (char *at = variable; *at != '\0'; at++) *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    return true;
}

static bool view_find(const char *variable, hm_settings_view_t *view)
{
    for (int i = 0; settings_view(i, view); i++)
        if (strcmp(view->name, variable) == 0) return true;
    return false;
}

bool run_setting_exists(const char *option)
{
    char variable[NAME_MOST];
    hm_settings_view_t view;
    return strncmp(option, PREFIX, strlen(PREFIX)) != 0 && variable_of(option, variable) &&
           view_find(variable, &view) && strncmp(variable, TESTS, strlen(TESTS)) != 0;
}

int run_setting_set(const char *verb, const char *name, const char *value)
{
    char variable[NAME_MOST];
    hm_settings_view_t view;
    if (!variable_of(name, variable)) return command_fail("%s: \"%s\": expected the name of a setting", verb, name);
    if (!view_find(variable, &view)) {
        const char *nearest = settings_name_nearest(variable);
        return command_fail("%s: %s is not a setting%s%s; hiermoe settings lists them", verb, variable,
                            nearest != NULL ? ", did you mean " : "", nearest != NULL ? nearest : "");
    }
    if (setenv(variable, value, 1) != 0) return command_fail("%s: %s", verb, strerror(errno));
    settings_forget(); /* the next look reads the environment again */
    view_find(variable, &view);
    if (!view.refused) return 0;
    return command_fail("%s: %s=%s is not understood; accepted: %s", verb, variable, value, view.accepted);
}

int run_settings_check(const char *verb)
{
    hm_settings_view_t view;
    for (int i = 0; settings_view(i, &view); i++)
        if (view.refused)
            return command_fail("%s: %s=%s (from %s) is not understood; accepted: %s", verb, view.name, view.given,
                                view.path != NULL ? view.path : "the environment", view.accepted);
    return 0;
}

const char *run_setting_value(const char *name)
{
    hm_settings_view_t view;
    return view_find(name, &view) ? view.value : "";
}

size_t run_settings_names(char **names, size_t most)
{
    size_t count = 0;
    for (char **entry = environ; *entry != NULL && count < most; entry++) {
        if (strncmp(*entry, PREFIX, strlen(PREFIX)) != 0 || strchr(*entry, '=') == NULL) continue;
        names[count] = strndup(*entry, strcspn(*entry, "="));
        if (names[count] != NULL) count++;
    }
    return count;
}

void run_settings_help(FILE *out)
{
    hm_settings_view_t view;
    for (int i = 0; settings_view(i, &view); i++) {
        char option[NAME_MOST];
        if (strncmp(view.name, TESTS, strlen(TESTS)) == 0) continue;
        snprintf(option, sizeof option, "%s", view.name + strlen(PREFIX));
        for (char *at = option; *at != '\0'; at++) *at = *at == '_' ? '-' : (char)tolower((unsigned char)*at);
        fprintf(out, "  --%-16s %s\n", option, view.accepted);
    }
}
