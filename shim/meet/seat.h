/* Where this rank sits, and the topology that all ranks make of all seats. */
#ifndef HM_SEAT_H
#define HM_SEAT_H

#include "door/comm.h"
#include "talk/place.h"

#include "planner/wires/profile.h"

#include <stdbool.h>

enum { HM_SEAT_GPU = 1, HM_SEAT_NVLINK = 2, HM_SEAT_RDMA = 4 };

/* What one rank knows of its own place; part of the first agreement. Ranks with equal keys at a level, and at all
 * before it, share that domain; 0 everywhere: nothing is known there. */
typedef struct hm_seat {
    uint64_t key[HM_SEAT_LEVELS]; /* host, NUMA node, PCIe root, NVLink domain */
    uint32_t links;               /* HM_SEAT_* */
    uint32_t reserved;
} hm_seat_t;

/* Fills in the seat: the host by NCCL's rule, the place within it from the driver and sysfs. Never fails: what cannot
 * be found out stays unknown. device: the communicator's, below 0: not known; gpu: its memory is a GPU's. Reads files;
 * loads nothing that is not loaded. */
void seat_find(int device, bool gpu, hm_seat_t *seat);

/* The keys of a GPU by its PCI address such as "0000:19:00.0", below a sysfs root such as "/sys". */
void seat_pci_find(const char *root, const char *address, hm_seat_t *seat);

/* HIERMOE_TOPO where it fits this communicator, else by the seats, stride bytes apart. Alike on all ranks, whose
 * settings are equal. 0 or -ENOMEM. */
int seats_topology(const hm_comm_t *comm, const hm_seat_t *seats, size_t stride, hm_topo_t **topo);

/* What joins the groups of each level of a topology, by the seats: wire[1..levels]. */
void seats_wires(const hm_topo_t *topo, const hm_seat_t *seats, size_t stride, hm_wire_t *wire);

/* The level of a topology whose groups are nodes: 1, its outermost groups; or 0, one node, where all ranks share a host
 * and HIERMOE_TOPO says nothing else. */
int seats_node_level(const hm_topo_t *topo, const hm_seat_t *seats, size_t stride);

/* Whether the ranks of each innermost group are on one host. */
bool seats_near_together(const hm_topo_t *topo, const hm_seat_t *seats, size_t stride);

#endif
