#include "json_file.h"

#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool json_file_alone(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

int json_file_write(json_t *root, const char *path)
{
    const size_t flags = JSON_INDENT(2) | JSON_REAL_PRECISION(9);
    if (root == NULL) return command_fail("out of memory");
    errno = 0;
    int failed = json_file_alone(path) ? json_dumpf(root, stdout, flags) : json_dump_file(root, path, flags);
    if (!failed && json_file_alone(path)) failed = putchar('\n') == EOF || fflush(stdout) != 0;
    json_decref(root);
    return failed ? command_fail("%s: %s", path, errno != 0 ? strerror(errno) : "cannot be written") : 0;
}
