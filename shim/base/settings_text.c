#include "settings_text.h"

#include "bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Place of `text` among the words of "a|b|c", letter case aside; -1 if it is none of them. */
static int word_find(const char *words, const char *text)
{
    size_t length = strlen(text);
    for (int at = 0; *words != '\0'; at++) {
        size_t word = strcspn(words, "|");
        if (word == length && strncasecmp(words, text, word) == 0) return at;
        words += word + (words[word] == '|');
    }
    return -1;
}

static bool reads_on(const char *text)
{
    return word_find("1|on|true|yes|y|enable|enabled", text) >= 0;
}

static bool reads_off(const char *text)
{
    return word_find("0|off|false|no|n|none|never|disable|disabled", text) >= 0;
}

static bool choice_parse(const char *accepted, const char *text, hm_choice_t *value)
{
    int at = word_find(accepted, text);
    if (at >= 0) *value = at;
    return at >= 0;
}

static bool mode_parse(const char *accepted, const char *text, hm_mode_t *value)
{
    if (choice_parse(accepted, text, value)) return true;
    if (!reads_on(text) && !reads_off(text)) return false;
    return choice_parse(accepted, reads_on(text) ? "exact" : "off", value);
}

static bool flag_parse(const char *text, hm_flag_t *value)
{
    if (!reads_on(text) && !reads_off(text)) return false;
    *value = reads_on(text);
    return true;
}

/* The words of "accepted" with commas between, in any order: bit 1 << index for each. */
static bool list_parse(const char *accepted, const char *text, hm_list_t *value)
{
    hm_list_t bits = 0;
    char word[32];
    while (*text != '\0' && !reads_off(text)) {
        size_t length = strcspn(text, ",");
        if (length >= sizeof word) return false;
        memcpy(word, text, length);
        word[length] = '\0';
        int at = word_find(accepted, word);
        if (at < 0) return false;
        bits |= 1u << at;
        text += length;
        if (*text == ',' && *++text == '\0') return false;
    }
    *value = bits;
    return true;
}

/* accepted is "word|...|low..high": the range is what holds "..". */
static bool number_parse(const char *accepted, const char *text, hm_number_t *value)
{
    const char *range = strrchr(accepted, '|');
    range = range != NULL ? range + 1 : accepted;
    if (*text < '0' || *text > '9') { /* no sign, no blank */
        if (word_find(accepted, text) < 0) return false;
        *value = -1;
        return true;
    }
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0') return false;
    long low = strtol(range, NULL, 10), high = strtol(strstr(range, "..") + 2, NULL, 10);
    if (number < low || number > high) return false;
    *value = number;
    return true;
}

static bool size_parse(const char *accepted, const char *text, hm_size_t *value)
{
    const char *end;
    size_t size = 0;
    if (strcasecmp(text, "auto") != 0 || strncmp(accepted, "auto|", 5) != 0)
        if (!bytes_size_parse(text, &end, &size) || *end != '\0') return false;
    *value = size;
    return true;
}

bool settings_value_parse(hm_kind_t kind, const char *accepted, const char *text, void *field)
{
    switch (kind) {
    case HM_KIND_choice:
        return choice_parse(accepted, text, field);
    case HM_KIND_mode:
        return mode_parse(accepted, text, field);
    case HM_KIND_number:
        return number_parse(accepted, text, field);
    case HM_KIND_size:
        return size_parse(accepted, text, field);
    case HM_KIND_flag:
        return flag_parse(text, field);
    case HM_KIND_list:
        return list_parse(accepted, text, field);
    case HM_KIND_text:
        *(hm_text_t *)field = *text != '\0' ? text : NULL;
        return true;
    }
    return false;
}

int settings_name_distance(const char *a, const char *b, int limit)
{
    size_t columns = strlen(b), above[64];
    if (columns >= 64) return limit + 1;
    for (size_t j = 0; j <= columns; j++) above[j] = j;
    for (size_t i = 1; *a != '\0'; a++, i++) {
        size_t diagonal = above[0];
        above[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t best = diagonal + (*a != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (above[j - 1] + 1 < best) best = above[j - 1] + 1;
            diagonal = above[j];
            above[j] = best;
        }
    }
    return above[columns] > (size_t)limit ? limit + 1 : (int)above[columns];
}
