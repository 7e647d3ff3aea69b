#include "option_table.h"

#include "command.h"
#include "numbers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int option_whole(const char *name, const char *text, long least, long most, long *value)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < least || number > most)
        return command_fail("--%s: \"%s\": expected a whole number from %ld to %ld", name, text, least, most);
    *value = number;
    return 0;
}

static int reals_take(const char *name, const char *text, double *value, int count)
{
    const char *why;
    return numbers_real(text, value, count, &why) == 0 ? 0 : command_fail("--%s: \"%s\": %s", name, text, why);
}

int option_real(const char *name, const char *text, double *value)
{
    return reals_take(name, text, value, 1);
}

static int value_take(const hm_option_t *option, const char *text)
{
    switch (option->kind) {
    case HM_OPTION_WHOLE:
        return option_whole(option->name, text, option->least, option->most, option->value);
    case HM_OPTION_REAL:
        return reals_take(option->name, text, option->value, 1);
    case HM_OPTION_PAIR:
        return reals_take(option->name, text, option->value, 2);
    default:
        if (text[0] == '\0') return command_fail("--%s: expected a value", option->name);
        *(const char **)option->value = text;
        return 0;
    }
}

/* The option that an argument names, with *value set to what stands behind its "=", or to NULL. */
static const hm_option_t *option_find(const hm_option_t *table, size_t count, const char *argument, const char **value)
{
    size_t length = strcspn(argument, "=");
    *value = argument[length] == '=' ? argument + length + 1 : NULL;
    if (strncmp(argument, "--", 2) != 0) return NULL;
    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].name) == length - 2 && strncmp(argument + 2, table[i].name, length - 2) == 0)
            return &table[i];
    return NULL;
}

int options_take(const hm_option_t *table, size_t count, int *argc, char **argv)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        const char *value;
        const hm_option_t *option = option_find(table, count, argv[i], &value);
        if (option == NULL) {
            argv[kept++] = argv[i];
            continue;
        }
        if (option->kind == HM_OPTION_FLAG) {
            if (value != NULL) return command_fail("--%s: expected no value", option->name);
            *(bool *)option->value = true;
            continue;
        }
        if (value == NULL && i + 1 == *argc) return command_fail("--%s: expected a value after it", option->name);
        int rc = value_take(option, value != NULL ? value : argv[++i]);
        if (rc != 0) return rc;
    }
    argv[kept] = NULL;
    *argc = kept;
    return 0;
}

int options_end(const char *question, int argc, char **argv)
{
    if (argc == 1) return 0;
    return command_fail("%s: no option of hiermoe plan --%s; hiermoe plan --%s --help lists them", argv[1], question,
                        question);
}

void options_help(const hm_option_t *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int width = 16 - (int)strlen(table[i].name) - 3;
        if (table[i].help == NULL) continue;
        printf("  --%s %-*s  %s\n", table[i].name, width > 0 ? width : 0, table[i].shown, table[i].help);
    }
}
