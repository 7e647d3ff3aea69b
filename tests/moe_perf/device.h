/* Where the buffers live: GPU memory through the CUDA driver, or ordinary memory for an NCCL without devices.
 *
 * All functions are for the one thread of the benchmark; 0, or a negative errno after a sentence on stderr. */
#ifndef MP_DEVICE_H
#define MP_DEVICE_H

#include <stddef.h>
#include <stdint.h>

/* Device memory and its image on the host; one and the same where the host can touch device memory. */
typedef struct mp_buffer {
    void *device;
    uint8_t *host;
    size_t bytes;
} mp_buffer_t;

typedef struct mp_device {
    const char *name;
    /* Takes device `local_rank` (modulo those there are) for this process; label: its number, address and name. */
    int (*open)(int local_rank, char *label, size_t label_bytes);
    int (*stream_create)(void **stream);
    void (*stream_destroy)(void *stream);
    /* Until the stream is idle; -ETIMEDOUT after `seconds`. */
    int (*stream_wait)(void *stream, double seconds);
    /* What is put on the stream from here on waits until *word is 1. It lies in the host image of a buffer. */
    int (*stream_hold)(void *stream, const volatile uint32_t *word);
    int (*alloc)(size_t bytes, mp_buffer_t *buffer);
    void (*free)(mp_buffer_t *buffer);
    /* Host image to device and back, the first `bytes`; done when they return. */
    int (*upload)(const mp_buffer_t *buffer, size_t bytes);
    int (*download)(const mp_buffer_t *buffer, size_t bytes);
} mp_device_t;

/* Host memory if the loaded NCCL has streams of its own (hostncclStreamCreate), else CUDA. NULL after a sentence. */
const mp_device_t *device_find(void);

const mp_device_t *device_host_find(void); /* NULL: the loaded NCCL is a real one */
const mp_device_t *device_cuda_find(void); /* NULL after a sentence */

#endif
