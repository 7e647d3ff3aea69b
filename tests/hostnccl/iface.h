/* Where this process sits: its network interface and its node. */
#ifndef HOST_IFACE_H
#define HOST_IFACE_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

typedef union host_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} host_sockaddr_t;

/* Picks the interface: HOSTNCCL_IFNAME, else NCCL_SOCKET_IFNAME (a list of name prefixes, "=" before it: exact names,
 * "^": all but these), else the first one up that is not loopback, else loopback. Either result may be NULL.
 * 0, or -ENODEV. */
int iface_choose(host_sockaddr_t *address, char *name, size_t name_size);

/* Equal for two processes exactly if they may share memory: same kernel boot, same network namespace, same
 * NCCL_HOSTID. */
uint64_t iface_node_key(void);

/* FNV-1a over `size` bytes, continuing `hash` (0 to begin). */
uint64_t iface_hash(uint64_t hash, const void *data, size_t size);

#endif
