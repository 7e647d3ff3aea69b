#include "doubles.h"

#include "../../shim/base/log.h"
#include "../../shim/door/comm.h"
#include "../../shim/guide/adapters.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

hm_settings_t doubles_settings;
_Thread_local const hm_settings_t *doubles_own;
_Thread_local uint64_t doubles_adapters;
_Atomic int doubles_said;
char doubles_text[1024];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void doubles_reset(void)
{
    doubles_settings = (hm_settings_t){.mode = HM_MODE_EXACT,
                                       .depth = HM_DEPTH_AUTO,
                                       .slices = -1,
                                       .spread = -1,
                                       .max_scratch = (size_t)1 << 30,
                                       .max_handle_bytes = (size_t)1 << 30,
                                       .timeout = 20,
                                       .test_patience = 1000000000,
                                       .test_fingerprint_bits = 64,
                                       .test_fail_alloc = HM_ALLOC_NEVER_FAILS};
    doubles_said = 0;
    doubles_text[0] = '\0';
}

const hm_settings_t *settings_get(void)
{
    return doubles_own != NULL ? doubles_own : &doubles_settings;
}

uint64_t settings_hash(void)
{
    const hm_settings_t *settings = settings_get();
    return (uint64_t)settings->depth * 31 + settings->row_bytes * 7 + (uint64_t)settings->mode;
}

uint64_t adapters_hash(void)
{
    return doubles_adapters;
}

bool log_on(hm_log_t level)
{
    return level <= HM_LOG_WARN;
}

void comm_say(hm_log_t level, const hm_comm_t *comm, const char *format, ...)
{
    va_list arguments;
    (void)comm;
    if (!log_on(level)) return;
    pthread_mutex_lock(&lock);
    va_start(arguments, format);
    vsnprintf(doubles_text, sizeof doubles_text, format, arguments);
    va_end(arguments);
    if (getenv("HM_TEST_LOUD") != NULL) fprintf(stderr, "%s\n", doubles_text);
    pthread_mutex_unlock(&lock);
    doubles_said++;
}

void comm_leave(hm_comm_t *comm, hm_reason_t reason)
{
    comm->stats.left[reason]++;
}
