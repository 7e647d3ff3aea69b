/* What the library wrote to a file, as text. */
#ifndef HM_FILE_TEXT_H
#define HM_FILE_TEXT_H

#include <stdio.h>
#include <string.h>

static inline const char *file_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    text[file != NULL ? fread(text, 1, size - 1, file) : 0] = 0;
    if (file != NULL) fclose(file);
    return text;
}

/* Lines that hold all three of these. */
static inline int text_lines_with(const char *text, const char *one, const char *two, const char *three)
{
    int count = 0;
    for (const char *line = text; *line != 0; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *end = line + strcspn(line, "\n"), *wanted[] = {one, two, three};
        int found = 0;
        for (int i = 0; i < 3; i++) {
            const char *at = strstr(line, wanted[i]);
            found += at != NULL && at + strlen(wanted[i]) <= end;
        }
        count += found == 3;
    }
    return count;
}

#endif
