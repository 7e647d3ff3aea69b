/* hiermoe info -c. */
#include "info.h"

#include "../../shim/base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Variables of others that the library heeds. */
static const struct {
    const char *name, *help;
} heeded[] = {
    {"NCCL_COMM_BLOCKING", "0: communicators do not block, and their calls are left alone"},
    {"NCCL_HOSTID", "ranks with equal ids sit on one node"},
    {"NCCL_IB_DISABLE", "1: nodes are taken to be connected by TCP"},
    {"NCCL_NET", "Socket: nodes are taken to be connected by TCP"},
    {"NCCL_P2P_DISABLE", "1: ranks do not read each other's GPU memory"},
    {"NCCL_P2P_LEVEL", "set: the same"},
    {"HOME", "where ~/.hiermoe.conf is looked for"},
};

static json_t *setting_json(const hm_settings_view_t *view)
{
    const char *source = view->given == NULL ? "default" : view->path != NULL ? view->path : "environment";
    json_t *setting = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:s}", "name", view->name, "value", view->value,
                                "default", view->standard, "source", source, "accepted", view->accepted,
                                "same_on_all_ranks", view->same, "understood", !view->refused, "help", view->help);
    if (view->path != NULL) json_object_set_new(setting, "line", json_integer(view->line));
    return setting;
}

json_t *info_settings(void)
{
    json_t *settings = json_array(), *others = json_array(), *complaints = json_array();
    hm_settings_view_t view;
    char text[1024];
    for (int i = 0; settings_view(i, &view); i++) json_array_append_new(settings, setting_json(&view));
    for (size_t i = 0; i < sizeof heeded / sizeof heeded[0]; i++)
        json_array_append_new(others, json_pack("{s:s, s:s?, s:s}", "name", heeded[i].name, "value",
                                                getenv(heeded[i].name), "help", heeded[i].help));
    for (int i = 0; settings_complaint(i, text, sizeof text); i++) json_array_append_new(complaints, json_string(text));
    return json_pack("{s:o, s:o, s:o}", "settings", settings, "heeded", others, "complaints", complaints);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void setting_print(const json_t *setting)
{
    const json_t *line = json_object_get(setting, "line");
    const char *name = text_of(setting, "name");
    printf("# %s.\n# Accepted: %s. %s on all ranks. From: %s", text_of(setting, "help"), text_of(setting, "accepted"),
           json_is_true(json_object_get(setting, "same_on_all_ranks")) ? "The same" : "Not compared",
           text_of(setting, "source"));
    if (line != NULL) printf(", line %d", (int)json_integer_value(line));
    /* The one that cannot stand in a file. */
    printf("\n%s%s=%s\n\n", strcmp(name, HM_SETTINGS_CONF) == 0 ? "# " : "", name, text_of(setting, "value"));
}

void info_settings_print(const json_t *settings)
{
    size_t i;
    json_t *each;
    json_array_foreach(json_object_get(settings, "settings"), i, each) setting_print(each);
    puts("# Heeded, too, and only from the environment:");
    json_array_foreach(json_object_get(settings, "heeded"), i, each)
        printf("#   %s=%s  %s\n", text_of(each, "name"), text_of(each, "value"), text_of(each, "help"));
    json_array_foreach(json_object_get(settings, "complaints"), i, each)
        fprintf(stderr, "hiermoe: %s\n", json_string_value(each));
}
