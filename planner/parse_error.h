/* Why a parser refused a text. */
#ifndef HM_PARSE_ERROR_H
#define HM_PARSE_ERROR_H

typedef struct hm_parse_error {
    int line;       /* 1-based; 0: not in a line of text */
    char text[192]; /* what was found and what was expected */
} hm_parse_error_t;

#endif
