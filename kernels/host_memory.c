/* Memory of the host back end: given back in stream order, and shared between the threads of a process. */
#include "host_context.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

int host_alloc(hm_context_t *context, size_t bytes, void **memory)
{
    (void)context;
    return posix_memalign(memory, 64, bytes > 0 ? bytes : 1) == 0 ? 0 : -ENOMEM;
}

void host_free(hm_context_t *context, void *memory)
{
    if (memory != NULL) host_order_free(context, memory);
}

/* How shared memory is reached: from within this process only. */
typedef struct host_ticket {
    void *memory;
    uint64_t process; /* drawn at random, once in each */
} host_ticket_t;

static uint64_t process_mark;
static pthread_once_t process_once = PTHREAD_ONCE_INIT;

static void process_draw(void)
{
    if (getrandom(&process_mark, sizeof process_mark, GRND_NONBLOCK) != sizeof process_mark) process_mark = 0;
}

int host_share(hm_context_t *context, size_t bytes, void **memory, unsigned char *ticket)
{
    hm_host_shared_t *shared = malloc(sizeof *shared);
    if (shared == NULL || host_alloc(context, bytes, &shared->memory) != 0) {
        free(shared);
        return -ENOMEM;
    }
    shared->next = context->shared;
    context->shared = shared;
    *memory = shared->memory;
    pthread_once(&process_once, process_draw);
    memset(ticket, 0, HM_TICKET);
    memcpy(ticket, &(host_ticket_t){shared->memory, process_mark}, sizeof(host_ticket_t));
    return 0;
}

int host_window_open(hm_context_t *context, const unsigned char *ticket, void **window)
{
    host_ticket_t read;
    (void)context;
    memcpy(&read, ticket, sizeof read);
    if (read.process == 0 || read.process != process_mark) return -ENOTSUP;
    *window = read.memory;
    return 0;
}

/* Memory that others may still read. */
static pthread_mutex_t abandoned_lock = PTHREAD_MUTEX_INITIALIZER;
static hm_host_shared_t *abandoned;

void host_abandon(hm_context_t *context)
{
    pthread_mutex_lock(&abandoned_lock);
    while (context->shared != NULL) {
        hm_host_shared_t *shared = context->shared;
        context->shared = shared->next;
        shared->next = abandoned;
        abandoned = shared;
    }
    pthread_mutex_unlock(&abandoned_lock);
}

void host_share_close(hm_context_t *context)
{
    while (context->shared != NULL) {
        hm_host_shared_t *shared = context->shared;
        context->shared = shared->next;
        host_free(context, shared->memory);
        free(shared);
    }
}
