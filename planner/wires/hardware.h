/* Profiles of clusters that nobody has measured yet, from what their makers say: which GPU, which network. */
#ifndef HM_HARDWARE_H
#define HM_HARDWARE_H

#include "profile.h"

typedef struct hm_gpu {
    const char *name, *device;
    double nvlink_gb_per_s; /* of one GPU, one way, nominal */
    double memory_tb_per_s; /* nominal */
    double bf16_tflops;     /* dense, nominal */
} hm_gpu_t;

typedef struct hm_network {
    const char *name, *shown;
    hm_wire_t wire;
    double reached; /* share of the nominal speed that large messages reach */
    double hop_us;  /* on top of NCCL's own start-up */
} hm_network_t;

typedef struct hm_hardware {
    const hm_gpu_t *gpu;
    const hm_network_t *network;
    double net_gbit_per_s; /* of one GPU, one way, nominal */
} hm_hardware_t;

/* Known GPUs and networks by number from 0; NULL past the last. */
const hm_gpu_t *hardware_gpu_at(int index);
const hm_network_t *hardware_network_at(int index);

/* Reads "GPU-NETWORKn", n Gb/s of network for each GPU, such as "h100-ib400" or "a100-efa50". 0; -EINVAL with *why set
 * to a sentence that says what was expected, and *hardware unchanged. */
int hardware_parse(const char *text, hm_hardware_t *hardware, const char **why);

/* Fills in a profile for the topology: the innermost level, and all but the outermost, are joined by NVLink, the
 * outermost by the network. A topology of one level is one node. Alphas are NCCL's own assumptions (profile_prior),
 * betas nominal speeds times the share that is reached in practice. */
void hardware_profile(const hm_hardware_t *hardware, const hm_topo_t *topo, hm_profile_t *profile);

/* What the links of a level reach, in GB/s of one GPU one way: level 1 is the outermost. */
double hardware_speed(const hm_hardware_t *hardware, const hm_topo_t *topo, int level);

#endif
