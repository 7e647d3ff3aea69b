#include "numbers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int numbers_whole(const char *text, uint64_t most, uint64_t *value, int room, const char **why)
{
    *why = "expected whole numbers with commas between, such as 9,4,1";
    for (int count = 0;;) {
        uint64_t number = 0;
        if (*text < '0' || *text > '9') return 0;
        for (; *text >= '0' && *text <= '9'; text++) {
            number = number * 10 + (uint64_t)(*text - '0');
            if (number > most) {
                *why = "expected no number above 1000000000000";
                return 0;
            }
        }
        if (count == room) {
            *why = "expected fewer numbers";
            return 0;
        }
        value[count++] = number;
        if (*text == '\0') return count;
        if (*text++ != ',') return 0;
    }
}

int numbers_real(const char *text, double *value, int count, const char **why)
{
    *why = count == 1 ? "expected a number from 0 to 1e18" : "expected two numbers from 0 to 1e18, such as 0.5,0.02";
    if (strspn(text, "0123456789.eE+-,") != strlen(text)) return -1;
    for (int i = 0; i < count; i++) {
        char *end;
        double number = strtod(text, &end);
        bool last = i + 1 == count;
        if (end == text || !(number >= 0 && number <= 1e18) || *end != (last ? '\0' : ',')) return -1;
        value[i] = number + 0.0; /* no -0 */
        text = end + 1;
    }
    return 0;
}
