/* What the library wrote to a file, as text. */
#ifndef HM_FILE_TEXT_H
#define HM_FILE_TEXT_H

#include <stdio.h>

static inline const char *file_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    text[file != NULL ? fread(text, 1, size - 1, file) : 0] = 0;
    if (file != NULL) fclose(file);
    return text;
}

#endif
