#define _GNU_SOURCE
#include "hardware.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makers' data sheets. H100 and H200 are the SXM cards, A100 the 80 GB one. */
static const hm_gpu_t hardware_gpus[] = {
    {"a100", "NVIDIA A100-SXM4-80GB", 300, 2.04, 312},
    {"h100", "NVIDIA H100 80GB HBM3", 450, 3.35, 989},
    {"h200", "NVIDIA H200", 450, 4.8, 989},
    {"b200", "NVIDIA B200", 900, 8.0, 2250},
};

/* What large messages reach: rough shares for all-to-alls of a tuned cluster, to be replaced by a measured profile. */
static const hm_network_t hardware_networks[] = {
    {"ib", "InfiniBand", HM_WIRE_NET, 0.92, 0},
    {"roce", "RoCE", HM_WIRE_NET, 0.90, 0},
    {"efa", "EFA", HM_WIRE_NET, 0.80, 15},
    {"tcp", "TCP", HM_WIRE_TCP, 0.70, 0},
};

#define NVLINK_REACHED 0.58 /* 260 of 450 GB/s: seen between two H200 (profile.c) */
/* Finding equal rows reads them once, packing reads and writes them: as shares of what an H200 needed (profile.c). */
#define MEMORY_H200 4.8
#define SPEED_MOST 100000 /* Gb/s */

const hm_gpu_t *hardware_gpu_at(int index)
{
    int count = (int)(sizeof hardware_gpus / sizeof hardware_gpus[0]);
    return index >= 0 && index < count ? &hardware_gpus[index] : NULL;
}

const hm_network_t *hardware_network_at(int index)
{
    int count = (int)(sizeof hardware_networks / sizeof hardware_networks[0]);
    return index >= 0 && index < count ? &hardware_networks[index] : NULL;
}

/* The rest of the text as a number above 0; 0 where it is none. */
static double speed_read(const char *text)
{
    char *end;
    if (*text == '\0' || strspn(text, "0123456789.") != strlen(text)) return 0;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) return 0;
    double speed = strtod_l(text, &end, plain);
    freelocale(plain);
    return *end == '\0' && speed > 0 && speed <= SPEED_MOST ? speed : 0;
}

static const hm_gpu_t *gpu_find(const char *text, size_t length)
{
    const hm_gpu_t *gpu;
    for (int i = 0; (gpu = hardware_gpu_at(i)) != NULL; i++)
        if (strlen(gpu->name) == length && memcmp(gpu->name, text, length) == 0) return gpu;
    return NULL;
}

static const hm_network_t *network_find(const char *text)
{
    const hm_network_t *network;
    for (int i = 0; (network = hardware_network_at(i)) != NULL; i++)
        if (strncmp(text, network->name, strlen(network->name)) == 0) return network;
    return NULL;
}

int hardware_parse(const char *text, hm_hardware_t *hardware, const char **why)
{
    size_t dash = strcspn(text, "-");
    hm_hardware_t result = {.gpu = gpu_find(text, dash)};
    *why = "expected a100, h100, h200 or b200, then a dash and the network, such as h100-ib400";
    if (result.gpu == NULL || text[dash] != '-') return -EINVAL;
    *why = "expected ib, roce, efa or tcp after the dash, then the Gb/s of each GPU, such as h100-ib400";
    result.network = network_find(text + dash + 1);
    if (result.network == NULL) return -EINVAL;
    result.net_gbit_per_s = speed_read(text + dash + 1 + strlen(result.network->name));
    if (result.net_gbit_per_s == 0) return -EINVAL;
    *hardware = result;
    return 0;
}

double hardware_speed(const hm_hardware_t *hardware, const hm_topo_t *topo, int level)
{
    bool network = level == 1 && topo->levels > 1;
    return network ? hardware->net_gbit_per_s / 8 * hardware->network->reached
                   : hardware->gpu->nvlink_gb_per_s * NVLINK_REACHED;
}

void hardware_profile(const hm_hardware_t *hardware, const hm_topo_t *topo, hm_profile_t *profile)
{
    hm_wire_t wire[HM_MAX_LEVELS + 1] = {HM_WIRE_NVLINK};
    double speed[HM_MAX_LEVELS + 1] = {0};
    for (int l = 1; l <= topo->levels; l++) {
        wire[l] = l == 1 && topo->levels > 1 ? hardware->network->wire : HM_WIRE_NVLINK;
        speed[l] = hardware_speed(hardware, topo, l);
    }
    profile_prior(topo, wire, speed, profile);
    snprintf(profile->name, sizeof profile->name, "%s-%s%g", hardware->gpu->name, hardware->network->name,
             hardware->net_gbit_per_s);
    snprintf(profile->device, sizeof profile->device, "%s", hardware->gpu->device);
    if (topo->levels > 1) {
        profile->intra[0].alpha_ms += hardware->network->hop_us * 1e-3;
        profile->inter[1].alpha_ms += hardware->network->hop_us * 1e-3;
    }
    double slower = MEMORY_H200 / hardware->gpu->memory_tb_per_s;
    profile->identify_ms *= slower;
    profile->pack_ms *= slower;
}
