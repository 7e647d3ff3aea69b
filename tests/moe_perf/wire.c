#include "wire.h"

#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* Is `name` in the comma-separated list? */
static bool listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (!strncmp(at, name, length) && (at[length] == ',' || !at[length])) return true;
    return false;
}

int wire_parse(FILE *file, const char *interfaces, mp_wire_t *wire)
{
    char line[512], name[64];
    mp_wire_t sum = {0, 0}, one;
    int found = 0, wanted = 0, lines = 0;
    for (const char *at = interfaces; at; at = strchr(at, ','), at = at ? at + 1 : NULL) wanted++;
    while (fgets(line, sizeof(line), file)) {
        if (++lines <= 2) continue; /* two lines of titles */
        if (sscanf(line, " %63[^:]: %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, name, &one.rx, &one.tx) != 3)
            return -EINVAL;
        if (interfaces ? !listed(interfaces, name) : !strcmp(name, "lo")) continue;
        found++;
        sum.rx += one.rx;
        sum.tx += one.tx;
    }
    if (lines < 3 || found < wanted) return -EINVAL;
    *wire = sum;
    return 0;
}

int wire_read(const char *interfaces, mp_wire_t *wire)
{
    FILE *file = fopen("/proc/net/dev", "r");
    int status = file ? wire_parse(file, interfaces, wire) : -errno;
    if (file) fclose(file);
    if (status) say("expected byte counters of %s in /proc/net/dev", interfaces ? interfaces : "all interfaces but lo");
    return status;
}

uint64_t wire_host_key(void)
{
    struct stat about;
    char boot[64] = "";
    uint64_t key = 0xcbf29ce484222325u;
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file) {
        if (!fgets(boot, sizeof(boot), file)) boot[0] = 0;
        fclose(file);
    }
    for (const char *at = boot; *at; at++) key = (key ^ (uint8_t)*at) * 0x100000001b3u;
    if (!stat("/proc/self/ns/net", &about)) key = (key ^ about.st_ino) * 0x100000001b3u;
    return key;
}
