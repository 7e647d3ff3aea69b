#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void say(const char *format, ...)
{
    char line[1024];
    const char *rank = getenv("RANK");
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fprintf(stderr, "%s: rank %.8s: %s\n", program_invocation_short_name, rank ? rank : "?", line);
}
