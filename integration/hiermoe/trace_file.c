#include "trace_file.h"

#include "command.h"

#include <stdlib.h>

#define TRACE_BYTES_MOST ((size_t)1 << 33)

int trace_file_read(const char *path, hm_trace_t *trace)
{
    hm_parse_error_t error;
    size_t length;
    char *data = input_read(path, TRACE_BYTES_MOST, &length);
    if (data == NULL) return HM_EXIT_BAD_INPUT;
    int rc = trace_parse(data, length, trace, &error);
    free(data);
    if (rc == 0) return 0;
    return error.line > 0 ? command_fail("%s: line %d: %s", path, error.line, error.text)
                          : command_fail("%s: %s", path, error.text);
}
