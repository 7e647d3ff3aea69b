#define _GNU_SOURCE
#include "seat.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/settings.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NVLINKS_MAX 18
#define NVML_SWITCH 2 /* NVML_NVLINK_DEVICE_TYPE_SWITCH */

/* Ranks with equal values share a node, by NCCL's rule: NCCL_HOSTID, else host name and boot id. */
static uint64_t host_hash(void)
{
    char text[512] = "";
    const char *id = getenv("NCCL_HOSTID");
    if (id != NULL && *id != '\0') return bytes_hash(HM_BYTES_HASH_START, id, strlen(id));
    gethostname(text, 255);
    text[255] = '\0';
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file != NULL) {
        size_t used = strlen(text);
        size_t got = fread(text + used, 1, sizeof text - 1 - used, file);
        text[used + got] = '\0';
        fclose(file);
    }
    return bytes_hash(HM_BYTES_HASH_START, text, strlen(text));
}

static bool folder_has_entries(const char *path)
{
    DIR *folder = opendir(path);
    bool found = false;
    if (folder == NULL) return false;
    for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) found = entry->d_name[0] != '.';
    closedir(folder);
    return found;
}

/* NCCL uses RDMA unless it was told not to. */
static bool rdma_used(void)
{
    const char *off = getenv("NCCL_IB_DISABLE"), *net = getenv("NCCL_NET");
    if (off != NULL && strcmp(off, "0") != 0) return false;
    if (net != NULL && strcasecmp(net, "Socket") == 0) return false;
    return folder_has_entries("/sys/class/infiniband");
}

void seat_pci_find(const char *root, const char *address, hm_seat_t *seat)
{
    char path[PATH_MAX], real[PATH_MAX];
    int node = -1;
    snprintf(path, sizeof path, "%s/bus/pci/devices/%s/numa_node", root, address);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%d", &node) != 1) node = -1;
        fclose(file);
    }
    seat->key[1] = node >= 0 ? (uint64_t)node + 1 : 0;
    seat->key[2] = 0;
    snprintf(path, sizeof path, "%s/bus/pci/devices/%s", root, address);
    if (realpath(path, real) == NULL) return;
    /* .../devices/pci0000:16/0000:16:01.0/...: ranks below one root share its traffic to the CPU. */
    const char *pci = strstr(real, "/pci");
    if (pci != NULL) seat->key[2] = bytes_hash(HM_BYTES_HASH_START, pci, strcspn(pci + 1, "/") + 1) | 1;
}

/* The part of NVML that is needed, from the copy that NCCL has loaded. */
typedef struct nvml {
    int (*handle)(const char *address, void **device);
    int (*state)(void *device, unsigned link, unsigned *active);
    int (*type)(void *device, unsigned link, unsigned *type);
    int (*remote)(void *device, unsigned link, void *pci);
} nvml_t;

/* nvmlPciInfo_t since CUDA 10. */
typedef struct nvml_pci {
    char legacy[16];
    unsigned domain, bus, device, pci_device, pci_subsystem;
    char address[32];
} nvml_pci_t;

static bool nvml_open(nvml_t *nvml)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOLOAD | RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL) return false;
    const struct {
        void *at;
        const char *name;
    } symbols[] = {{&nvml->handle, "nvmlDeviceGetHandleByPciBusId_v2"},
                   {&nvml->state, "nvmlDeviceGetNvLinkState"},
                   {&nvml->type, "nvmlDeviceGetNvLinkRemoteDeviceType"},
                   {&nvml->remote, "nvmlDeviceGetNvLinkRemotePciInfo_v2"}};
    bool all = true;
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        all = all && symbol != NULL;
        memcpy(symbols[i].at, &symbol, sizeof symbol);
    }
    dlclose(library); /* NCCL keeps its own reference for as long as the process lives */
    return all;
}

/* Lower case and a domain of four digits, as sysfs writes addresses. */
static void address_tidy(const char *from, char address[32])
{
    size_t length = strlen(from), skip = length > 12 ? length - 12 : 0;
    snprintf(address, 32, "%.31s", from + skip);
    for (char *at = address; *at != '\0'; at++) *at = (char)tolower((unsigned char)*at);
}

/* What NVLink joins this GPU to: all of the host through a switch, or some neighbours. The smallest address among them
 * names the domain and its place, so that ranks of one domain agree on the levels above it too. */
static void nvlink_look(const char *address, hm_seat_t *seat, char first[32])
{
    nvml_t nvml;
    void *device;
    if (!nvml_open(&nvml) || nvml.handle(address, &device) != 0) return;
    for (unsigned link = 0; link < NVLINKS_MAX; link++) {
        unsigned active = 0, type = 0;
        nvml_pci_t pci = {.address = ""};
        char peer[32];
        if (nvml.state(device, link, &active) != 0 || !active) continue;
        seat->links |= HM_SEAT_NVLINK;
        if (nvml.type(device, link, &type) == 0 && type == NVML_SWITCH) {
            first[0] = '\0';
            return;
        }
        if (nvml.remote(device, link, &pci) != 0) continue;
        pci.address[sizeof pci.address - 1] = '\0';
        address_tidy(pci.address, peer);
        if (strcmp(peer, first) < 0) memcpy(first, peer, sizeof peer);
    }
}

static bool gpu_address(int device, char address[32])
{
    char text[64];
    void *driver = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY | RTLD_LOCAL);
    void *symbol = driver != NULL ? dlsym(driver, "cuDeviceGetPCIBusId") : NULL;
    int (*bus_id)(char *text, int size, int device);
    if (driver != NULL) dlclose(driver);
    if (symbol == NULL || device < 0) return false;
    memcpy(&bus_id, &symbol, sizeof symbol);
    if (bus_id(text, sizeof text, device) != 0) return false;
    address_tidy(text, address);
    return true;
}

void seat_find(int device, bool gpu, hm_seat_t *seat)
{
    char address[32], first[32];
    *seat = (hm_seat_t){.key = {host_hash()}, .links = rdma_used() ? HM_SEAT_RDMA : 0};
    if (!gpu) return;
    seat->links |= HM_SEAT_GPU;
    if (!gpu_address(device, address)) return;
    memcpy(first, address, sizeof first);
    nvlink_look(address, seat, first);
    if (first[0] == '\0') return; /* a switch makes the host one domain, whatever its sockets */
    seat_pci_find("/sys", first, seat);
    if (seat->links & HM_SEAT_NVLINK) seat->key[3] = bytes_hash(HM_BYTES_HASH_START, first, strlen(first));
}

static const hm_seat_t *seat_at(const hm_seat_t *seats, size_t stride, int rank)
{
    return (const hm_seat_t *)((const char *)seats + stride * (size_t)rank);
}

int seats_topology(const hm_comm_t *comm, const hm_seat_t *seats, size_t stride, hm_topo_t **topo)
{
    const char *spec = settings_get()->topo, *why = NULL;
    if (spec != NULL && *spec != '\0') {
        int status = topo_parse(spec, comm->ranks, topo, &why);
        if (status == 0 || status == -ENOMEM)
            return status; /* another topology than the other ranks' is worse than none */
        if (comm->rank == 0)
            comm_say(HM_LOG_WARN, comm, "HIERMOE_TOPO=%s is not used where it does not fit: %s", spec, why);
    }
    size_t n = (size_t)comm->ranks;
    uint64_t *keys = malloc(HM_SEAT_LEVELS * n * sizeof *keys);
    const uint64_t *key[HM_SEAT_LEVELS];
    if (keys == NULL) return -ENOMEM;
    for (size_t l = 0; l < HM_SEAT_LEVELS; l++) {
        for (size_t r = 0; r < n; r++) keys[l * n + r] = seat_at(seats, stride, (int)r)->key[l];
        key[l] = keys + l * n;
    }
    int status = topo_create(comm->ranks, HM_SEAT_LEVELS, key, topo);
    free(keys);
    return status;
}

/* What joins the groups of one level: the slowest kind between any two of them within one group of the level above. */
static hm_wire_t level_wire(const hm_topo_t *topo, int level, const hm_seat_t *seats, size_t stride, uint32_t all)
{
    bool nvlink = all & HM_SEAT_NVLINK;
    for (int p = 1; p < topo->ranks; p++) {
        int rank = topo->order[p], before = topo->order[p - 1];
        if (topo->group[level - 1][rank] != topo->group[level - 1][before]) continue;
        if (topo->group[level][rank] == topo->group[level][before]) continue;
        const hm_seat_t *a = seat_at(seats, stride, rank), *b = seat_at(seats, stride, before);
        if (a->key[0] != b->key[0]) return all & HM_SEAT_RDMA ? HM_WIRE_NET : HM_WIRE_TCP;
        if (a->key[3] != b->key[3]) nvlink = false;
    }
    return nvlink ? HM_WIRE_NVLINK : all & HM_SEAT_GPU ? HM_WIRE_PCI : HM_WIRE_SHM;
}

void seats_wires(const hm_topo_t *topo, const hm_seat_t *seats, size_t stride, hm_wire_t *wire)
{
    uint32_t all = ~0u;
    for (int r = 0; r < topo->ranks; r++) all &= seat_at(seats, stride, r)->links;
    for (int l = 1; l <= topo->levels; l++) wire[l] = level_wire(topo, l, seats, stride, all);
}

int seats_node_level(const hm_topo_t *topo, const hm_seat_t *seats, size_t stride)
{
    const char *spec = settings_get()->topo;
    bool one = spec == NULL || *spec == '\0';
    for (int r = 1; r < topo->ranks && one; r++)
        one = seat_at(seats, stride, r)->key[0] == seat_at(seats, stride, 0)->key[0];
    return one ? 0 : 1;
}

bool seats_near_together(const hm_topo_t *topo, const hm_seat_t *seats, size_t stride)
{
    hm_wire_t wire = level_wire(topo, topo->levels, seats, stride, 0);
    return wire != HM_WIRE_NET && wire != HM_WIRE_TCP;
}
