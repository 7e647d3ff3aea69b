#include "profile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* a6000-4x8 is the cluster of the HierMoE paper (its Fig. 9): 4 nodes of 2 CPU packages of 2 NVLink pairs of RTX A6000,
 * one 200 Gb/s NIC. fsmoe-a and fsmoe-b are the test beds of FSMoE (2501.10714): experts are sharded over the GPUs of a
 * node, so an all-to-all has one rank in each of 6 and 8 nodes; overlap/overlap_builtin.c says what else takes how
 * long.
 */
static const hm_profile_t profile_builtins[] = {
    {.name = "a6000-4x8",
     .device = "NVIDIA RTX A6000",
     .versions = "nccl 2.18.5 cuda 12.1",
     .transport = "ib 200 Gb/s",
     .levels = 4,
     .groups = {1, 4, 8, 16, 32},
     .intra = {{7.22e-1, 5.70e-7, 0.999997, 1, 0, 0, 0},
               {5.71e-1, 1.27e-7, 0.998922, 1, 0, 0, 0},
               {1.14e-1, 2.63e-8, 0.999051, 1, 0, 0, 0},
               {2.04e-1, 1.64e-8, 0.997245, 1, 0, 0, 0}},
     .inter = {{0, 0, 0, 0, 0, 0, 0},
               {4.97e-1, 5.29e-7, 0.999991, 1, 0, 0, 0},
               {3.01e-1, 1.17e-7, 0.998682, 1, 0, 0, 0},
               {1.49e-1, 2.06e-8, 0.999031, 1, 0, 0, 0}}},
    {.name = "fsmoe-a",
     .device = "NVIDIA RTX A6000",
     .versions = "nccl 2.12 cuda 11.3",
     .transport = "ib 200 Gb/s",
     .levels = 1,
     .groups = {1, 6},
     .intra = {{2.87e-1, 2.21e-7, 0.9999, 24, 0, 0, 0}}},
    {.name = "fsmoe-b",
     .device = "NVIDIA GeForce RTX 2080 Ti",
     .versions = "nccl 2.12 cuda 11.3",
     .transport = "ib 100 Gb/s",
     .levels = 1,
     .groups = {1, 8},
     .intra = {{1.75e-1, 3.06e-7, 0.9999, 24, 0, 0, 0}}},
};

const hm_profile_t *profile_builtin_at(int index)
{
    int count = (int)(sizeof profile_builtins / sizeof profile_builtins[0]);
    return index >= 0 && index < count ? &profile_builtins[index] : NULL;
}

const hm_profile_t *profile_builtin(const char *name)
{
    const hm_profile_t *profile;
    for (int i = 0; (profile = profile_builtin_at(i)) != NULL; i++)
        if (strcmp(profile->name, name) == 0) return profile;
    return NULL;
}

bool profile_same_cluster(const hm_profile_t *stored, const hm_profile_t *wanted)
{
    if (stored->levels != wanted->levels) return false;
    for (int l = 1; l <= stored->levels; l++)
        if (stored->groups[l] != wanted->groups[l]) return false;
    return strcmp(stored->device, wanted->device) == 0 && strcmp(stored->versions, wanted->versions) == 0 &&
           strcmp(stored->transport, wanted->transport) == 0;
}

bool profile_within_node(const hm_profile_t *profile)
{
    int wire = profile_wire_find(profile->transport, strlen(profile->transport));
    return wire == HM_WIRE_NVLINK || wire == HM_WIRE_PCI || wire == HM_WIRE_SHM;
}

/* Start-up: NCCL's own base and per-hop latencies for rings of the Simple protocol (its tuning.cc), NET with its
 * posting overhead. Speed: what sends and receives between two H200 reach over 18 NVLinks, PCIe 3 x16, a 400 Gb/s NIC.
 * TCP: what small all-gathers over TCP were seen to take, and a 10 Gb/s port that 8 ranks share. SHM: CPU ranks that
 * copy through shared memory. */
static const struct {
    const char *name;
    double base_us, hop_us, gb_per_s;
} profile_wires[HM_WIRES] = {
    [HM_WIRE_NVLINK] = {"nvlink", 8.4, 3.4, 260}, [HM_WIRE_PCI] = {"pci", 8.4, 5.7, 12},
    [HM_WIRE_NET] = {"net", 9.4, 14, 50},         [HM_WIRE_TCP] = {"tcp", 9.4, 200, 0.15},
    [HM_WIRE_SHM] = {"shm", 9.4, 200, 2},
};

const char *profile_wire_name(int wire)
{
    return wire >= 0 && wire < HM_WIRES ? profile_wires[wire].name : NULL;
}

int profile_wire_find(const char *name, size_t length)
{
    for (int w = 0; w < HM_WIRES; w++)
        if (strlen(profile_wires[w].name) == length && memcmp(profile_wires[w].name, name, length) == 0) return w;
    return -1;
}

/* The all-to-all among the groups of levels outer+1..inner, in equal shares: all wires in between carry their shares at
 * the same time, and the slowest one counts. */
static hm_link_t profile_guess(const hm_topo_t *topo, const hm_wire_t *wire, const double *gb_per_s, int outer,
                               int inner)
{
    hm_link_t link = {.r2 = NAN};
    for (int l = outer + 1; l <= inner; l++) {
        double speed = gb_per_s != NULL && gb_per_s[l] > 0 ? gb_per_s[l] : profile_wires[wire[l]].gb_per_s;
        double peers = (double)topo->groups[l] / topo->groups[outer];
        double above = (double)topo->groups[l - 1] / topo->groups[outer];
        double share = 1 / above - 1 / peers;
        double alpha = (profile_wires[wire[l]].base_us + profile_wires[wire[l]].hop_us) * 1e-3;
        if (alpha > link.alpha_ms) link.alpha_ms = alpha;
        if (share / (speed * 1e6) > link.beta_ms) link.beta_ms = share / (speed * 1e6);
    }
    return link;
}

void profile_prior(const hm_topo_t *topo, const hm_wire_t *wire, const double *gb_per_s, hm_profile_t *profile)
{
    memset(profile, 0, sizeof *profile);
    snprintf(profile->name, sizeof profile->name, "prior");
    snprintf(profile->device, sizeof profile->device, "unknown");
    snprintf(profile->versions, sizeof profile->versions, "unknown");
    snprintf(profile->transport, sizeof profile->transport, "%s", profile_wires[wire[1]].name);
    profile->levels = topo->levels;
    memcpy(profile->groups, topo->groups, sizeof profile->groups);
    for (int l = 0; l < topo->levels; l++) {
        profile->intra[l] = profile_guess(topo, wire, gb_per_s, l, topo->levels);
        if (l > 0) profile->inter[l] = profile_guess(topo, wire, gb_per_s, l - 1, l);
        /* One port for all ranks of a host. */
        if (l > 0 && wire[l] == HM_WIRE_TCP)
            profile->alone_ms[l] = profile->inter[l].beta_ms * topo->groups[l] / topo->ranks;
    }
    /* With the all-gather come a dozen small kernels, the host's wait, and 5 ns of planning for each pair of ranks. On
     * an H200 (tests/gpu/kernels_bench) rows are read once to find equal ones; packing reads and writes them once. */
    profile->agree_ms = 0.06 + 1.5 * profile->intra[0].alpha_ms + 5e-6 * topo->ranks * topo->ranks;
    profile->identify_ms = 1 / 3.2e9;
    profile->pack_ms = 1.5 / 3.35e9;
}
