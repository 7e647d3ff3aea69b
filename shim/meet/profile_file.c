#define _GNU_SOURCE
#include "profile_file.h"

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MOST 65536

/* Once, though every communicator reads the same setting. */
static void refuse(const hm_comm_t *comm, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void refuse(const hm_comm_t *comm, const char *name, const char *format, ...)
{
    static _Atomic uint64_t said;
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    uint64_t hash = bytes_hash(HM_BYTES_HASH_START, text, strlen(text));
    if (atomic_exchange(&said, hash) == hash) return;
    comm_say(HM_LOG_WARN, comm, "HIERMOE_PROFILE=%s: %s; all ranks use the prior", name, text);
}

bool profile_file_load(const hm_comm_t *comm, const char *name, hm_profile_t *profile)
{
    hm_parse_error_t error;
    size_t length;
    char *text;
    const hm_profile_t *builtin = profile_builtin(name);
    if (builtin != NULL) {
        *profile = *builtin;
        return true;
    }
    int status = file_read(name, TEXT_MOST, &text, &length);
    if (status != 0) {
        refuse(comm, name,
               "%s (expected prior, auto, a built-in profile as hiermoe profile lists them, or a file that "
               "hiermoe fit wrote)",
               file_error(status));
        return false;
    }
    status = profile_parse(text, length, profile, &error);
    free(text);
    if (status != 0) refuse(comm, name, "line %d: %s", error.line, error.text);
    return status == 0;
}

int profile_file_write(const char *path, const hm_profile_t *profile)
{
    char text[8192];
    size_t length;
    if (profile_write(profile, text, sizeof text, &length) != 0) return -EFBIG;
    return file_replace(path, text, length);
}
