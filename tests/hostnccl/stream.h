/* Streams: a queue and the thread that runs it. */
#ifndef HOST_STREAM_H
#define HOST_STREAM_H

typedef struct host_stream host_stream_t;

/* The stream behind a handle (the default stream for NULL, 1 and 2), or NULL if there is none. */
host_stream_t *stream_find(void *handle);

/* Runs fn(arg) after everything pushed before. 0, -ENOMEM. */
int stream_push(host_stream_t *stream, void (*fn)(void *), void *arg);

#endif
