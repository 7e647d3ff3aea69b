#define _GNU_SOURCE
#include "launch.h"

#include "run_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAMES_MOST 128

/* What is made: copies of words, a NULL behind the last one. */
typedef struct hm_words {
    char **word;
    size_t count;
    bool failed; /* out of memory */
} hm_words_t;

static void words_add(hm_words_t *words, const char *text)
{
    char **more = realloc(words->word, (words->count + 2) * sizeof *more);
    if (more != NULL) words->word = more;
    char *copy = more != NULL ? strdup(text) : NULL;
    if (copy != NULL) words->word[words->count++] = copy;
    if (more != NULL) words->word[words->count] = NULL;
    words->failed = words->failed || copy == NULL;
}

static void words_add_all(hm_words_t *words, char *const *from, char *const *end)
{
    for (; from != end && *from != NULL; from++) words_add(words, *from);
}

void launch_free(char **words)
{
    for (char **word = words; word != NULL && *word != NULL; word++) free(*word);
    free(words);
}

/* Open MPI takes the values from its own environment. */
static void openmpi_add(hm_words_t *words, char *const *command, char *const *names)
{
    words_add(words, command[0]);
    for (; *names != NULL; names++) {
        words_add(words, "-x");
        words_add(words, *names);
    }
    words_add_all(words, command + 1, NULL);
}

/* "--export=FIRST,NAME,NAME": names alone, so that commas in values do no harm. */
static void export_add(hm_words_t *words, const char *first, char *const *names)
{
    size_t size = strlen(first) + sizeof "--export=";
    for (char *const *name = names; *name != NULL; name++) size += strlen(*name) + 1;
    char *option = malloc(size), *at = option;
    if (option == NULL) {
        words->failed = true;
        return;
    }
    at += sprintf(at, "--export=%s", first);
    for (; *names != NULL; names++) at += sprintf(at, "%s%s", at[-1] == '=' ? "" : ",", *names);
    words_add(words, option);
    free(option);
}

/* The value of --export at command[0]; *taken says how many words it takes. NULL: it stands elsewhere. */
static const char *export_value(char *const *command, size_t *taken)
{
    bool apart = strcmp(command[0], "--export") == 0 && command[1] != NULL;
    *taken = apart ? 2 : 1;
    if (apart) return command[1];
    return strncmp(command[0], "--export=", 9) == 0 ? command[0] + 9 : NULL;
}

/* What the user exports stays; NONE and NIL are the empty list. Options end at the program. */
static void srun_add(hm_words_t *words, char *const *command, char *const *names)
{
    char program[PATH_MAX];
    const char *list = getenv("SLURM_EXPORT_ENV");
    size_t place = 1, taken = 0;
    for (size_t i = 1; command[i] != NULL && !program_path(command[i], program); i++) {
        size_t length;
        const char *value = export_value(command + i, &length);
        if (value != NULL) list = value, place = i, taken = length;
    }
    if (list == NULL || *list == '\0') list = "ALL";
    bool none = strcasecmp(list, "NONE") == 0 || strcasecmp(list, "NIL") == 0;
    words_add_all(words, command, command + place);
    export_add(words, none ? "" : list, names);
    words_add_all(words, command + place + taken, NULL);
}

char **launch_words(char *const *command)
{
    hm_words_t words = {.word = NULL}, names = {.word = NULL};
    hm_launcher_t launcher = launcher_of(command[0]);
    char *settings[NAMES_MOST];
    size_t count = run_settings_names(settings, NAMES_MOST);
    words_add(&names, "LD_PRELOAD");
    if (getenv("PYTHONPATH") != NULL) words_add(&names, "PYTHONPATH");
    for (size_t i = 0; i < count; i++) {
        words_add(&names, settings[i]);
        free(settings[i]);
    }
    words.failed = names.failed;
    if (!words.failed && launcher == HM_LAUNCHER_OPENMPI)
        openmpi_add(&words, command, names.word);
    else if (!words.failed && launcher == HM_LAUNCHER_SRUN)
        srun_add(&words, command, names.word);
    else
        words_add_all(&words, command, NULL);
    launch_free(names.word);
    if (!words.failed) return words.word;
    launch_free(words.word);
    return NULL;
}
