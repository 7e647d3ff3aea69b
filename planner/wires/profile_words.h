/* Text line by line and word by word: '#' starts a comment, blanks part words. Errors name the line. */
#ifndef HM_PROFILE_WORDS_H
#define HM_PROFILE_WORDS_H

#include "parse_error.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct hm_words {
    const char *at, *end;        /* rest of the text */
    const char *word, *line_end; /* rest of the line, comment and blanks cut off */
    hm_parse_error_t *error;
    int line; /* number of the line, from 1 */
} hm_words_t;

/* Fills the error in, with the line at hand; returns -EINVAL. */
__attribute__((format(printf, 2, 3))) int words_fail(hm_words_t *words, const char *format, ...);

/* Bytes of a word as an error may show them: cut short, nothing unprintable. */
const char *words_show(const char *word, size_t length, char text[32]);

/* Goes on to the next line that is not empty; false at the end of the text. */
bool words_line(hm_words_t *words);

/* The next word of the line; length 0 at its end. */
const char *words_next(hm_words_t *words, size_t *length);

bool words_equal(const char *word, size_t length, const char *key);

/* The next word as a plain decimal number, in the C locale, which the caller has set; `what` says what is expected. 0,
 * or -EINVAL with the error filled in. */
int words_between(hm_words_t *words, const char *what, double least, double most, double *value);
int words_number(hm_words_t *words, const char *what, double most, double *value); /* from 0 */
int words_whole(hm_words_t *words, const char *what, long least, long most, long *value);

/* 0 where the line ends here, else -EINVAL with the error filled in. */
int words_finish(hm_words_t *words, const char *after);

#endif
