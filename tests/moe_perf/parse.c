#include "parse.h"

#include "say.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int parse_choice(const char *name, const char *text, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (!strcmp(text, names[i])) return i;
    char list[128] = "";
    for (int i = 0; names[i]; i++)
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "", names[i]);
    say("%s: expected one of %s, got '%s'", name, list, text);
    return -EINVAL;
}

int parse_number(const char *name, const char *text, char end, uint64_t low, uint64_t high, uint64_t *value)
{
    char *stop;
    errno = 0;
    uint64_t read = strtoull(text, &stop, 10);
    if (errno || *text < '0' || *text > '9' || *stop != end || read < low || read > high) {
        say("%s: expected a whole number from %llu to %llu, got '%s'", name, (unsigned long long)low,
            (unsigned long long)high, text);
        return -EINVAL;
    }
    *value = read;
    return 0;
}

int parse_int(const char *name, const char *text, int low, int high, int *value)
{
    uint64_t read;
    int status = parse_number(name, text, 0, (uint64_t)low, (uint64_t)high, &read);
    if (!status) *value = (int)read;
    return status;
}

int parse_real(const char *name, const char *text, double low, double high, double *value)
{
    char *stop;
    double read = strtod(text, &stop);
    if (stop == text || *stop || !isfinite(read) || read < low || read > high) {
        say("%s: expected a number from %g to %g, got '%s'", name, low, high, text);
        return -EINVAL;
    }
    *value = read;
    return 0;
}
