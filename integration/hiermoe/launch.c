#define _GNU_SOURCE
#include "launch.h"

#include "run_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAMES_MOST 128

static size_t words_count(char *const *words)
{
    size_t count = 0;
    while (words[count] != NULL) count++;
    return count;
}

/* Room for every word that may be added, and the NULL at the end. */
static char **words_make(char *const *command, size_t more)
{
    return calloc(words_count(command) + more + 1, sizeof(char *));
}

/* Words from `from` on, behind the `at` that are there. */
static void words_add(char **words, size_t at, char **from)
{
    while (*from != NULL) words[at++] = *from++;
}

/* Open MPI takes the values from its own environment. */
static char **openmpi_command(char **command, const char *const *names, size_t count)
{
    char **words = words_make(command, 2 * count);
    if (words == NULL) return NULL;
    size_t at = 0;
    words[at++] = command[0];
    for (size_t i = 0; i < count; i++) {
        words[at++] = "-x";
        words[at++] = (char *)names[i];
    }
    words_add(words, at, command + 1);
    return words;
}

/* "first,NAME,NAME": names alone, so that commas in values do no harm. */
static char *export_option(const char *first, const char *const *names, size_t count)
{
    size_t size = strlen(first) + sizeof "--export=";
    for (size_t i = 0; i < count; i++) size += strlen(names[i]) + 1;
    char *option = malloc(size);
    if (option == NULL) return NULL;
    char *at = option + sprintf(option, "--export=%s", first);
    for (size_t i = 0; i < count; i++) at += sprintf(at, "%s%s", at[-1] == '=' ? "" : ",", names[i]);
    return option;
}

/* The value of --export at command[i]; *words says how many words it takes. NULL: it stands elsewhere. */
static const char *export_value(char **command, size_t i, size_t *words)
{
    bool apart = strcmp(command[i], "--export") == 0 && command[i + 1] != NULL;
    *words = apart ? 2 : 1;
    if (apart) return command[i + 1];
    return strncmp(command[i], "--export=", 9) == 0 ? command[i] + 9 : NULL;
}

/* What the user exports stays; NONE and NIL are the empty list. Options end at the program. */
static char **srun_command(char **command, const char *const *names, size_t count)
{
    char program[PATH_MAX], **words = words_make(command, 1);
    const char *list = getenv("SLURM_EXPORT_ENV");
    size_t place = 1, taken = 0;
    if (words == NULL) return NULL;
    for (size_t i = 1; command[i] != NULL && !program_path(command[i], program); i++) {
        size_t length = 0;
        const char *value = export_value(command, i, &length);
        if (value != NULL) list = value, place = i, taken = length;
    }
    if (list == NULL || *list == '\0') list = "ALL";
    bool none = strcasecmp(list, "NONE") == 0 || strcasecmp(list, "NIL") == 0;
    memcpy(words, command, place * sizeof *words);
    words[place] = export_option(none ? "" : list, names, count);
    words_add(words, place + 1, command + place + taken);
    return words[place] != NULL ? words : NULL;
}

static char **launch_command(hm_launcher_t launcher, char **command, const char *const *names, size_t count)
{
    if (launcher == HM_LAUNCHER_OPENMPI) return openmpi_command(command, names, count);
    if (launcher == HM_LAUNCHER_SRUN) return srun_command(command, names, count);
    return command;
}

char **launch_words(char **command)
{
    const char *names[NAMES_MOST] = {"LD_PRELOAD", "PYTHONPATH"};
    size_t first = getenv("PYTHONPATH") != NULL ? 2 : 1;
    size_t count = run_settings_names(names + first, NAMES_MOST - first);
    return launch_command(launcher_of(command[0]), command, names, first + count);
}
