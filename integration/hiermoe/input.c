#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *input_read(const char *path, size_t most, size_t *length)
{
    size_t size = 4096, used = 0;
    char *text = NULL;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        command_fail("%s: %s", path, strerror(errno));
        return NULL;
    }
    for (;;) {
        char *grown = realloc(text, size);
        if (grown == NULL) {
            command_fail("%s: out of memory", path);
            goto fail;
        }
        text = grown;
        used += fread(text + used, 1, size - used, file);
        if (ferror(file)) {
            command_fail("%s: %s", path, strerror(errno));
            goto fail;
        }
        if (used > most) {
            command_fail("%s: more than %zu bytes; expected at most that", path, most);
            goto fail;
        }
        if (used < size) break;
        size *= 2;
    }
    fclose(file);
    *length = used;
    return text;

fail:
    free(text);
    fclose(file);
    return NULL;
}
