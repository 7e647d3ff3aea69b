#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static _Thread_local char last[512];

ncclResult_t say_error(ncclResult_t result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last, sizeof last, format, args);
    va_end(args);
    const char *debug = getenv("NCCL_DEBUG");
    if (debug && (!strcasecmp(debug, "WARN") || !strcasecmp(debug, "INFO") || !strcasecmp(debug, "TRACE")))
        fprintf(stderr, "hostnccl: %s\n", last);
    return result;
}

const char *say_last(void)
{
    return last;
}
