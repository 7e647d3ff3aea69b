/* What transfers cost on one cluster: alpha and beta of every kind of all-to-all that a plan can use.
 *
 * HierMoE (2508.09591) measures 2D - 1 kinds on a cluster of D levels: the flat all-to-all, one between the groups of
 * each level i (Inter-level-i: ranks with the same place in sibling groups), and one inside a group of each level
 * (Intra). The flat one is Intra of level 0. Units: ms, and ms per byte of one rank's whole buffer, own share included.
 * A profile is plain data: copy it freely; any thread may read it. */
#ifndef HM_PROFILE_H
#define HM_PROFILE_H

#include "link.h"
#include "parse_error.h"
#include "topo.h"

#include <stdbool.h>

#define HM_PROFILE_TEXT 64

#define HM_PROFILE_HOST "cpu" /* device of ranks without GPUs */

typedef struct hm_profile {
    char name[HM_PROFILE_TEXT];
    char device[HM_PROFILE_TEXT];    /* GPU model or HM_PROFILE_HOST; with versions, transport and groups the key of a
                                        stored profile */
    char versions[HM_PROFILE_TEXT];  /* of NCCL, CUDA, driver */
    char transport[HM_PROFILE_TEXT]; /* what the outermost level runs over */
    int levels;                      /* D */
    int groups[HM_MAX_LEVELS + 1];   /* U[i]; groups[0] = 1, groups[levels] = ranks */
    hm_link_t intra[HM_MAX_LEVELS];  /* [0..levels-1]; [0] is the flat all-to-all */
    hm_link_t inter[HM_MAX_LEVELS];  /* [1..levels-1], timed in slices as calls are cut; [0] unused */
    double alone_ms[HM_MAX_LEVELS];  /* [1..levels-1] beta of inter when one rank of each group sends: less where the
                                      * ranks of a group share a wire; 0: not known, taken as equal */
    double few_ms[HM_MAX_LEVELS];    /* the same when every other group sends: less where all groups share a wire */
    double agree_ms;                 /* one agreement between all ranks */
    double identify_ms;              /* per byte of a send buffer: finding its equal rows */
    double pack_ms;                  /* per byte written: pack, forward, expand */
} hm_profile_t;

/* The built-in profile of a name, or number `index` of them; NULL where there is none. */
const hm_profile_t *profile_builtin(const char *name);
const hm_profile_t *profile_builtin_at(int index);

/* Whether a stored profile was made on the cluster that `wanted` describes: levels, groups, device, versions and
 * transport are equal; the name may differ. */
bool profile_same_cluster(const hm_profile_t *stored, const hm_profile_t *wanted);

/* The profile of a usual start, from those that several starts of a job measured on one cluster; over TCP, starts
 * differ. Each link is that of the start nearest to the medians of all starts, size by size (the first of several);
 * numbers are medians. 0; -EINVAL for no profile or one of another cluster than the first, -ENOMEM, with *middle
 * unchanged. */
int profile_middle(const hm_profile_t *start, int count, hm_profile_t *middle);

/* Whether the outermost groups are joined inside a node, as `transport` says. */
bool profile_within_node(const hm_profile_t *profile);

/* The profile for another topology: the same wires between other groups. The wires between the profile's outermost
 * groups join the topology's; or, with `inside`, the topology lies within one of the profile's outermost groups. With
 * as many levels, each matches its own; otherwise levels match by the size of their groups. A rank's share of a wire
 * stays the same, and so does how far groups share one. Betas change, since they are per byte of a whole buffer, and
 * another part of it leaves among more groups or fewer. Returns `profile` itself where it has the topology's groups,
 * else *room. The cost functions do this with the profiles they are given, never `inside`. */
const hm_profile_t *profile_adapt(const hm_profile_t *profile, const hm_topo_t *topo, bool inside, hm_profile_t *room);

/* Which levels of a profile match those of a topology: intra of topology level l is intra[map[l]], inter of level l is
 * inter[map[l - 1] + 1] or, where there is none, the innermost intra. */
void profile_map(const hm_profile_t *profile, const hm_topo_t *topo, bool inside, int map[HM_MAX_LEVELS + 1]);

/* Share of inter's beta that one rank pays when it sends alone: 1 where every rank has a wire of its own. */
double profile_alone(const hm_profile_t *profile, int level);
/* How far the groups of a level share one wire: 0 where each has its own, 1 where all use the same. */
double profile_shared(const hm_profile_t *profile, int level);

/* Kinds of wire for profiles that nobody has measured yet. */
typedef enum hm_wire { HM_WIRE_NVLINK, HM_WIRE_PCI, HM_WIRE_NET, HM_WIRE_TCP, HM_WIRE_SHM, HM_WIRES } hm_wire_t;

/* A wire's name, or NULL past the last; and the wire of that name, or -1. */
const char *profile_wire_name(int wire);
int profile_wire_find(const char *name, size_t length);

/* Fills in a profile from what NCCL itself assumes of such wires, for the topology's levels: wire[l], l in 1..levels,
 * joins the groups of level l. gb_per_s[l] > 0 is its speed per rank where known; 0 or a NULL array: the wire's usual
 * one. Rows are taken to be on a GPU. */
void profile_prior(const hm_topo_t *topo, const hm_wire_t *wire, const double *gb_per_s, hm_profile_t *profile);

/* Reads a profile's text form, one item a line, '#' starts a comment; see profile_text.h for the grammar. It need not
 * end in NUL. 0; -EINVAL with *error filled and *profile unchanged. */
int profile_parse(const char *text, size_t length, hm_profile_t *profile, hm_parse_error_t *error);

/* Writes the text form, at most `size` bytes, NUL included; *length is its length without the NUL. 0; -ENOSPC if it did
 * not fit, -ENOMEM. */
int profile_write(const hm_profile_t *profile, char *text, size_t size, size_t *length);

#endif
