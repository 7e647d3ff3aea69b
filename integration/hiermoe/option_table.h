/* Options by a table: parsing and --help of a question come from it. */
#ifndef HM_OPTION_TABLE_H
#define HM_OPTION_TABLE_H

#include <stddef.h>

typedef enum hm_option_kind {
    HM_OPTION_FLAG,  /* bool, set to true */
    HM_OPTION_TEXT,  /* const char *, not empty */
    HM_OPTION_WHOLE, /* long, from least to most */
    HM_OPTION_REAL,  /* double, from 0 */
    HM_OPTION_PAIR   /* double[2], from 0, a comma between */
} hm_option_kind_t;

typedef struct hm_option {
    const char *name, *shown; /* without the dashes; what --help shows for the value */
    hm_option_kind_t kind;
    void *value;
    long least, most;
    const char *help; /* NULL: --help leaves it out */
} hm_option_t;

/* Takes the table's options out of argv[1] ...; others stay there in order. Values stand behind a blank or a "=". 0, or
 * the exit status, having said why. */
int options_take(const hm_option_t *table, size_t count, int *argc, char **argv);

/* 0 where nothing is left of argv but its name; else says which option `hiermoe plan --question` does not know. */
int options_end(const char *question, int argc, char **argv);

/* The rows of --help. */
void options_help(const hm_option_t *table, size_t count);
#define HM_OPTION_INDENT "\n                    " /* of a help text's further lines */

/* One value. The same messages everywhere. */
int option_whole(const char *name, const char *text, long least, long most, long *value);
int option_real(const char *name, const char *text, double *value);

#endif
