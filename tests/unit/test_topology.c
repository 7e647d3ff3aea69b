/* Description: seats to topologies and wires; a GPU's place from sysfs, real or missing. */
#include "../../shim/meet/seat.h"
#include "doubles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static hm_topo_t *topo_of(const hm_seat_t *seats, int ranks, hm_wire_t *wire)
{
    hm_topo_t *topo = NULL;
    hm_comm_t comm = {.ranks = ranks};
    assert_int_equal(seats_topology(&comm, seats, sizeof *seats, &topo), 0);
    seats_wires(topo, seats, sizeof *seats, wire);
    return topo;
}

static void nvlink_pairs_below_sockets_below_hosts(void **context)
{
    (void)context;
    hm_seat_t seats[16];
    hm_wire_t wire[HM_MAX_LEVELS + 1];
    doubles_reset();
    for (uint64_t r = 0; r < 16; r++)
        seats[r] = (hm_seat_t){.key = {100 + r / 8, 1 + r / 4 % 2, 7 + r / 4 % 2, 50 + r / 2 % 4},
                               .links = HM_SEAT_GPU | HM_SEAT_NVLINK | HM_SEAT_RDMA};
    hm_topo_t *topo = topo_of(seats, 16, wire);
    assert_int_equal(topo->levels, 4); /* PCIe roots are the sockets here and add nothing */
    assert_int_equal(topo->groups[1], 2);
    assert_int_equal(topo->groups[2], 4);
    assert_int_equal(topo->groups[3], 8);
    assert_int_equal(wire[1], HM_WIRE_NET);
    assert_int_equal(wire[2], HM_WIRE_PCI);
    assert_int_equal(wire[3], HM_WIRE_PCI);
    assert_int_equal(wire[4], HM_WIRE_NVLINK);
    assert_int_equal(seats_node_level(topo, seats, sizeof *seats), 1);
    assert_int_equal(seats_node_level(topo, seats + 8, 0), 0); /* all on one host: sockets are no nodes */
    seats[11].links = HM_SEAT_GPU; /* one rank without RDMA or NVLink: nobody counts on them */
    seats_wires(topo, seats, sizeof *seats, wire);
    assert_int_equal(wire[1], HM_WIRE_TCP);
    assert_int_equal(wire[4], HM_WIRE_PCI);
    assert_true(seats_near_together(topo, seats, sizeof *seats));
    topo_destroy(topo);
}

/* Where every node has one GPU the innermost groups span nodes: nobody there reads another's memory. */
static void single_gpu_nodes_are_not_together(void **context)
{
    (void)context;
    hm_seat_t seats[4];
    hm_wire_t wire[HM_MAX_LEVELS + 1];
    doubles_reset();
    for (uint64_t r = 0; r < 4; r++) seats[r] = (hm_seat_t){.key = {1 + r}, .links = HM_SEAT_GPU | HM_SEAT_RDMA};
    hm_topo_t *topo = topo_of(seats, 4, wire);
    assert_int_equal(topo->levels, 1);
    assert_false(seats_near_together(topo, seats, sizeof *seats));
    assert_int_equal(seats_node_level(topo, seats, sizeof *seats), 1);
    topo_destroy(topo);
    doubles_settings.topo = "2,2"; /* a group of two hosts, by a setting that is wrong */
    seats[1] = seats[0];
    topo = topo_of(seats, 4, wire);
    assert_false(seats_near_together(topo, seats, sizeof *seats));
    seats[3] = seats[2];
    assert_true(seats_near_together(topo, seats, sizeof *seats));
    topo_destroy(topo);
}

static void unknown_places_are_flat_nodes(void **context)
{
    (void)context;
    hm_seat_t seats[6];
    hm_wire_t wire[HM_MAX_LEVELS + 1];
    doubles_reset();
    for (uint64_t r = 0; r < 6; r++) seats[r] = (hm_seat_t){.key = {1 + r % 3}};
    hm_topo_t *topo = topo_of(seats, 6, wire);
    assert_int_equal(topo->levels, 2);
    assert_int_equal(topo->groups[1], 3);
    assert_int_equal(wire[1], HM_WIRE_TCP);
    assert_int_equal(wire[2], HM_WIRE_SHM);
    topo_destroy(topo);
}

static void a_given_topology_wins_and_keeps_its_wires(void **context)
{
    (void)context;
    hm_seat_t seats[8];
    hm_wire_t wire[HM_MAX_LEVELS + 1];
    doubles_reset();
    doubles_settings.topo = "2,2,2";
    for (uint64_t r = 0; r < 8; r++) seats[r] = (hm_seat_t){.key = {1 + r / 4}};
    hm_topo_t *topo = topo_of(seats, 8, wire);
    assert_int_equal(topo->levels, 3);
    assert_int_equal(wire[1], HM_WIRE_TCP);
    assert_int_equal(wire[2], HM_WIRE_SHM);
    assert_int_equal(seats_node_level(topo, seats, 0), 1); /* nodes by setting, all on one host */
    topo_destroy(topo);
    doubles_settings.topo = "3,2"; /* does not fit: said, and found out instead */
    topo = topo_of(seats, 8, wire);
    assert_int_equal(topo->groups[1], 2);
    assert_int_equal(doubles_said, 1);
    topo_destroy(topo);
}

static void text_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void sysfs_tells_socket_and_root(void **context)
{
    (void)context;
    char root[] = "/tmp/hiermoe_sysfs_XXXXXX", line[512];
    assert_non_null(mkdtemp(root));
    snprintf(line, sizeof line,
             "cd %s && mkdir -p bus/pci/devices devices/pci0000:16/0000:16:01.0/0000:19:00.0 "
             "devices/pci0000:16/0000:1a:00.0 devices/pci0000:97/0000:9a:00.0 && cd bus/pci/devices && "
             "ln -s ../../../devices/pci0000:16/0000:16:01.0/0000:19:00.0 . && "
             "ln -s ../../../devices/pci0000:16/0000:1a:00.0 . && ln -s ../../../devices/pci0000:97/0000:9a:00.0 .",
             root);
    assert_int_equal(system(line), 0);
    snprintf(line, sizeof line, "%s/bus/pci/devices/0000:19:00.0/numa_node", root);
    text_write(line, "0\n");
    snprintf(line, sizeof line, "%s/bus/pci/devices/0000:9a:00.0/numa_node", root);
    text_write(line, "-1\n");
    hm_seat_t a = {.links = 0}, b = a, c = a, none = a;
    seat_pci_find(root, "0000:19:00.0", &a);
    seat_pci_find(root, "0000:1a:00.0", &b);
    seat_pci_find(root, "0000:9a:00.0", &c);
    seat_pci_find(root, "0000:ff:00.0", &none);
    assert_int_equal(a.key[1], 1);
    assert_int_equal(b.key[1], 0); /* no file */
    assert_int_equal(c.key[1], 0); /* -1: the firmware does not say */
    assert_true(a.key[2] != 0 && a.key[2] == b.key[2] && a.key[2] != c.key[2]);
    assert_true(none.key[1] == 0 && none.key[2] == 0);
    snprintf(line, sizeof line, "rm -r %s", root);
    assert_int_equal(system(line), 0);
}

static void a_seat_without_gpu_knows_its_host_alone(void **context)
{
    (void)context;
    hm_seat_t one, two;
    setenv("NCCL_HOSTID", "a", 1);
    seat_find(-1, false, &one);
    setenv("NCCL_HOSTID", "b", 1);
    seat_find(-1, false, &two);
    unsetenv("NCCL_HOSTID");
    assert_true(one.key[0] != two.key[0]);
    for (int l = 1; l < HM_SEAT_LEVELS; l++) assert_int_equal(one.key[l], 0);
    assert_false(one.links & (HM_SEAT_GPU | HM_SEAT_NVLINK));
    seat_find(-1, false, &one);
    seat_find(-1, false, &two);
    assert_memory_equal(&one, &two, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nvlink_pairs_below_sockets_below_hosts),
        cmocka_unit_test(single_gpu_nodes_are_not_together),
        cmocka_unit_test(unknown_places_are_flat_nodes),
        cmocka_unit_test(a_given_topology_wins_and_keeps_its_wires),
        cmocka_unit_test(sysfs_tells_socket_and_root),
        cmocka_unit_test(a_seat_without_gpu_knows_its_host_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
