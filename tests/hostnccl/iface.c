#include "iface.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool name_in_list(const char *list, const char *name, bool exact)
{
    for (;;) {
        size_t length = strcspn(list, ",");
        if (length && strncmp(list, name, length) == 0 && (!exact || name[length] == '\0')) return true;
        if (!list[length]) return false;
        list += length + 1;
    }
}

static bool name_wanted(const char *filter, const char *name)
{
    bool negate = *filter == '^';
    if (negate) filter++;
    bool exact = *filter == '=';
    if (exact) filter++;
    return name_in_list(filter, name, exact) != negate;
}

/* Larger is better, 0 is no candidate. IPv4 first: link-local IPv6 needs a scope that the other node does not know. */
static int rate_candidate(const struct ifaddrs *entry, const char *filter)
{
    if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP)) return 0;
    int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) return 0;
    if (filter && !name_wanted(filter, entry->ifa_name)) return 0;
    bool loopback = entry->ifa_flags & IFF_LOOPBACK;
    return 1 + (family == AF_INET) + (loopback ? 0 : 2);
}

int iface_choose(host_sockaddr_t *address, char *name, size_t name_size)
{
    const char *filter = getenv("HOSTNCCL_IFNAME");
    if (!filter || !*filter) filter = getenv("NCCL_SOCKET_IFNAME");
    if (filter && !*filter) filter = NULL;
    struct ifaddrs *list;
    if (getifaddrs(&list) != 0) return -ENODEV;
    const struct ifaddrs *best = NULL;
    int best_rate = 0;
    for (const struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
        int rate = rate_candidate(entry, filter);
        if (rate > best_rate) best = entry, best_rate = rate;
    }
    if (best) {
        size_t length = best->ifa_addr->sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
        if (address) {
            memset(address, 0, sizeof *address);
            memcpy(address, best->ifa_addr, length);
        }
        if (name) snprintf(name, name_size, "%s", best->ifa_name);
    }
    freeifaddrs(list);
    return best ? 0 : -ENODEV;
}

uint64_t iface_hash(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *byte = data;
    if (!hash) hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ byte[i]) * 0x100000001b3u;
    return hash;
}

uint64_t iface_node_key(void)
{
    char text[256];
    uint64_t hash = 0;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t length = read(fd, text, sizeof text);
        if (length > 0) hash = iface_hash(hash, text, (size_t)length);
        close(fd);
    }
    ssize_t length = readlink("/proc/self/ns/net", text, sizeof text);
    if (length > 0) hash = iface_hash(hash, text, (size_t)length);
    const char *host = getenv("NCCL_HOSTID");
    return host ? iface_hash(hash, host, strlen(host)) : hash;
}
