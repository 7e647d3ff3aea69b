/* Streams for tests: each runs its work in order on a thread of its own. NULL is no stream: work on it runs at once. */
#ifndef STREAMS_H
#define STREAMS_H

#include <stdatomic.h>
#include <stdbool.h>

typedef struct test_stream test_stream_t;

test_stream_t *stream_open(void);
/* Waits until all its work is done. */
void stream_close(test_stream_t *stream);
void stream_wait(test_stream_t *stream);

/* Holds the stream until *open is true. */
void stream_hold(test_stream_t *stream, atomic_bool *open);

/* The function that the library finds by name in a NCCL without devices. -EINVAL for a stream that was closed. */
int hostncclStreamEnqueue(void *stream, void (*run)(void *), void *argument);

/* Called by hostncclStreamEnqueue on the calling thread; may be NULL. */
extern void (*streams_enqueued)(void);

#endif
