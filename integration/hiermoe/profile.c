/* hiermoe profile, and how every subcommand finds a profile. */
#include "wires/profile.h"

#include "command.h"
#include "profile_find.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROFILE_BYTES_MOST 65536

/* "prior:net,nvlink" has a kind of link for each level of the topology. */
static int prior_make(const char *kinds, const hm_topo_t *topo, hm_profile_t *profile)
{
    hm_wire_t wire[HM_MAX_LEVELS + 1] = {HM_WIRE_NET};
    int levels = 0;
    if (topo == NULL) return command_fail("prior:%s: expected hiermoe plan and --topo with it", kinds);
    for (const char *at = kinds;; at++) {
        size_t length = strcspn(at, ",");
        int kind = profile_wire_find(at, length);
        if (kind < 0 || levels == topo->levels) break;
        wire[++levels] = (hm_wire_t)kind;
        at += length;
        if (*at == '\0' && levels == topo->levels) {
            profile_prior(topo, wire, NULL, profile);
            return 0;
        }
        if (*at == '\0') break;
    }
    return command_fail("prior:%s: expected nvlink, pci, net, tcp or shm for each of the topology's %d levels, such as "
                        "prior:net,nvlink",
                        kinds, topo->levels);
}

int profile_read(const char *path, hm_profile_t *profile)
{
    hm_parse_error_t error;
    size_t length;
    char *text = input_read(path, PROFILE_BYTES_MOST, &length);
    if (text == NULL) return HM_EXIT_BAD_INPUT;
    int rc = profile_parse(text, length, profile, &error);
    free(text);
    return rc == 0 ? 0 : command_fail("%s: line %d: %s", path, error.line, error.text);
}

int profile_find(const char *name, const hm_topo_t *topo, hm_profile_t *profile)
{
    const hm_profile_t *builtin = profile_builtin(name);
    if (strncmp(name, "prior:", 6) == 0) return prior_make(name + 6, topo, profile);
    if (builtin != NULL) {
        *profile = *builtin;
        return 0;
    }
    if (access(name, F_OK) == 0) return profile_read(name, profile);
    return command_fail(
        "profile \"%s\": expected a file, a built-in name (hiermoe profile) or, to plan with, prior:KINDS "
        "(%s: %s)",
        name, name, strerror(errno));
}

/* The lines of a file. */
static int overlap_read(const char *path, hm_overlap_text_t *overlap)
{
    hm_parse_error_t error;
    size_t length;
    char *text = input_read(path, PROFILE_BYTES_MOST, &length);
    if (text == NULL) return HM_EXIT_BAD_INPUT;
    int rc = overlap_parse(text, length, overlap, &error);
    free(text);
    return rc == 0 || rc == -ENOENT ? 0 : command_fail("%s: line %d: %s", path, error.line, error.text);
}

int overlap_find(const char *name, bool needed, hm_profile_t *profile, hm_overlap_text_t *overlap)
{
    const hm_overlap_text_t *builtin = overlap_builtin(name);
    int rc = profile_find(name, NULL, profile);
    *overlap = (hm_overlap_text_t){.layers = 0};
    if (rc != 0) return rc;
    if (builtin != NULL) *overlap = *builtin;
    if (profile_builtin(name) == NULL) rc = overlap_read(name, overlap);
    if (rc == 0 && needed && overlap->layers == 0)
        rc =
            command_fail("%s: expected lines that begin with overlap_; hiermoe plan --overlap --help lists them", name);
    return rc;
}

static int profile_list(void)
{
    const hm_profile_t *builtin;
    for (int i = 0; (builtin = profile_builtin_at(i)) != NULL; i++) printf("%s\n", builtin->name);
    return 0;
}

/* One profile is taken as it is, of several the usual one. */
static int profiles_read(int count, char **names, hm_profile_t *read, hm_profile_t *profile)
{
    for (int i = 0; i < count; i++) {
        int rc = profile_find(names[i], NULL, &read[i]);
        if (rc != 0) return rc;
        if (!profile_same_cluster(&read[i], &read[0]))
            return command_fail("%s: expected the levels, groups, device, versions and transport of %s", names[i],
                                names[0]);
    }
    return profile_middle(read, count, profile) == 0 ? 0 : command_fail("profile: out of memory");
}

/* What a profile says of a step besides: appends its lines. */
static int overlap_lines_add(const char *name, char *text, size_t size)
{
    size_t length;
    hm_profile_t profile;
    hm_overlap_text_t overlap;
    int rc = overlap_find(name, false, &profile, &overlap);
    if (rc != 0 || overlap.layers == 0) return rc;
    return overlap_write(&overlap, text, size, &length) == 0 ? 0 : command_fail("%s: too long", name);
}

int profile_main(int argc, char **argv)
{
    char text[10240];
    size_t length;
    hm_profile_t profile;
    if (argc == 1) return profile_list();
    if (argv[1][0] == '-') {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fputs("usage: hiermoe profile [NAME|FILE...]\nLists the built-in profiles, or checks one and prints it. Of "
              "several, measured by\nseveral starts of a job on one cluster, prints the usual one: links nearest to "
              "the medians.\n",
              help ? stdout : stderr);
        return help ? 0 : HM_EXIT_BAD_INPUT;
    }
    hm_profile_t *read = malloc((size_t)(argc - 1) * sizeof(*read));
    if (read == NULL) return command_fail("profile: out of memory");
    int rc = profiles_read(argc - 1, argv + 1, read, &profile);
    free(read);
    if (rc != 0) return rc;
    if (profile_write(&profile, text, sizeof(text), &length) != 0) return command_fail("%s: too long", argv[1]);
    if (argc == 2) rc = overlap_lines_add(argv[1], text + length, sizeof(text) - length);
    if (rc == 0) fputs(text, stdout);
    return rc;
}
