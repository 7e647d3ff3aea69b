/* Settings as users write them: values of each kind, and names that are nearly right. */
#ifndef HM_SETTINGS_TEXT_H
#define HM_SETTINGS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The kinds of settings.def, and the C type of each. */
typedef enum hm_kind {
    HM_KIND_choice,
    HM_KIND_mode,
    HM_KIND_number,
    HM_KIND_size,
    HM_KIND_flag,
    HM_KIND_list,
    HM_KIND_text
} hm_kind_t;
typedef int hm_choice_t;
typedef int hm_mode_t;
typedef long hm_number_t;
typedef size_t hm_size_t;
typedef bool hm_flag_t;
typedef unsigned hm_list_t;
typedef const char *hm_text_t;

/* Reads `text` as a value of this kind into *field, a variable of the kind's type; `accepted` is the column of
 * settings.def. A text is not copied: it must stay. false: not understood, nothing is set. */
bool settings_value_parse(hm_kind_t kind, const char *accepted, const char *text, void *field);

/* Smallest number of letters to insert, drop or exchange to make a into b; anything above limit comes back as
 * limit + 1. For "did you mean". */
int settings_name_distance(const char *a, const char *b, int limit);

#endif
