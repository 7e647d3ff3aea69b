/* What the kernel counted on this host's links. */
#ifndef MP_WIRE_H
#define MP_WIRE_H

#include <stdint.h>
#include <stdio.h>

typedef struct mp_wire {
    uint64_t rx, tx; /* bytes */
} mp_wire_t;

/* Sums the counters of the interfaces in a file laid out as /proc/net/dev. interfaces: comma-separated names, or NULL
 * for all but lo. 0, or -EINVAL where a named interface is not there or the file is not such a one. */
int wire_parse(FILE *file, const char *interfaces, mp_wire_t *wire);

/* The same of this process's network namespace; errors are said. */
int wire_read(const char *interfaces, mp_wire_t *wire);

/* Equal for processes that see the same counters, different for others. */
uint64_t wire_host_key(void);

#endif
