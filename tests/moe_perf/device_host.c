#include "device.h"

#include "say.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int (*stream_create)(void **stream);
static int (*stream_destroy)(void *stream);
static int (*stream_wait)(void *stream, double seconds);
static int (*stream_enqueue)(void *stream, void (*run)(void *), void *argument);

static int host_open(int local_rank, char *label, size_t label_bytes)
{
    snprintf(label, label_bytes, "%d [host memory]", local_rank);
    return 0;
}

static int host_stream_create(void **stream)
{
    if (!stream_create(stream)) return 0;
    say("hostncclStreamCreate failed");
    return -EIO;
}

static void host_stream_destroy(void *stream)
{
    stream_destroy(stream);
}

static int host_stream_wait(void *stream, double seconds)
{
    if (!stream_wait(stream, seconds)) return 0;
    say("the stream was not idle after %g s", seconds);
    return -ETIMEDOUT;
}

static void word_wait(void *word)
{
    while (__atomic_load_n((uint32_t *)word, __ATOMIC_ACQUIRE) != 1) nanosleep(&(struct timespec){0, 100000}, NULL);
}

static int host_stream_hold(void *stream, const volatile uint32_t *word)
{
    if (!stream_enqueue(stream, word_wait, (void *)(uintptr_t)word)) return 0;
    say("hostncclStreamEnqueue failed");
    return -EIO;
}

static int host_alloc(size_t bytes, mp_buffer_t *buffer)
{
    void *memory;
    if (posix_memalign(&memory, 4096, bytes ? bytes : 1)) {
        say("no memory for a buffer of %zu bytes", bytes);
        return -ENOMEM;
    }
    *buffer = (mp_buffer_t){memory, memory, bytes};
    return 0;
}

static void host_free(mp_buffer_t *buffer)
{
    free(buffer->device);
    *buffer = (mp_buffer_t){0};
}

static int host_copy(const mp_buffer_t *buffer, size_t bytes)
{
    (void)buffer;
    (void)bytes;
    return 0; /* the image is the memory itself */
}

static const mp_device_t device_host = {"host",           host_open,        host_stream_create, host_stream_destroy,
                                        host_stream_wait, host_stream_hold, host_alloc,         host_free,
                                        host_copy,        host_copy};

const mp_device_t *device_host_find(void)
{
    *(void **)&stream_create = dlsym(RTLD_DEFAULT, "hostncclStreamCreate");
    *(void **)&stream_destroy = dlsym(RTLD_DEFAULT, "hostncclStreamDestroy");
    *(void **)&stream_wait = dlsym(RTLD_DEFAULT, "hostncclStreamWait");
    *(void **)&stream_enqueue = dlsym(RTLD_DEFAULT, "hostncclStreamEnqueue");
    return stream_create && stream_destroy && stream_wait && stream_enqueue ? &device_host : NULL;
}
