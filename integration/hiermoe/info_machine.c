/* What this machine has, as the driver and /sys tell. */
#define _GNU_SOURCE
#include "check.h"
#include "child.h"
#include "info.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of cuda.h. */
enum { CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 };

typedef struct hm_driver {
    int (*init)(unsigned), (*count)(int *), (*device)(int *, int), (*name)(char *, int, int);
    int (*memory)(size_t *, int), (*attribute)(int *, int, int), (*peer)(int *, int, int);
} hm_driver_t;

static bool driver_open(hm_driver_t *driver)
{
    const struct {
        const char *name;
        void *to;
    } calls[] = {{"cuInit", &driver->init},
                 {"cuDeviceGetCount", &driver->count},
                 {"cuDeviceGet", &driver->device},
                 {"cuDeviceGetName", &driver->name},
                 {"cuDeviceTotalMem_v2", &driver->memory},
                 {"cuDeviceGetAttribute", &driver->attribute},
                 {"cuDeviceCanAccessPeer", &driver->peer}};
    void *library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        void *call = library != NULL ? dlsym(library, calls[i].name) : NULL;
        if (call == NULL) return false;
        memcpy(calls[i].to, &call, sizeof call);
    }
    return true;
}

/* A line "CAPABILITY BYTES PEERS NAME" for each GPU; PEERS: how many others it can read. */
static void gpus_ask(const char *what, FILE *out)
{
    hm_driver_t driver;
    int count = 0;
    (void)what;
    if (!driver_open(&driver) || driver.init(0) != 0 || driver.count(&count) != 0) return;
    for (int i = 0; i < count; i++) {
        char name[128] = "?";
        int device = 0, other = 0, major = 0, minor = 0, peers = 0;
        size_t bytes = 0;
        if (driver.device(&device, i) != 0) return;
        driver.name(name, sizeof name, device);
        driver.memory(&bytes, device);
        driver.attribute(&major, CAPABILITY_MAJOR, device);
        driver.attribute(&minor, CAPABILITY_MINOR, device);
        for (int j = 0; j < count; j++) {
            int can = 0;
            if (j != i && driver.device(&other, j) == 0 && driver.peer(&can, device, other) == 0) peers += can;
        }
        fprintf(out, "%d.%d %zu %d %s\n", major, minor, bytes, peers, name);
    }
}

static json_t *gpus_json(void)
{
    static char text[65536];
    char *rest, *line, capability[16];
    json_t *gpus = json_array();
    child_ask(gpus_ask, NULL, text, sizeof text);
    for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        size_t bytes;
        int peers, at = 0;
        if (sscanf(line, "%15s %zu %d %n", capability, &bytes, &peers, &at) != 3) continue;
        json_array_append_new(gpus, json_pack("{s:s, s:s, s:I, s:i}", "name", line + at, "capability", capability,
                                              "bytes", (json_int_t)bytes, "peers", peers));
    }
    return gpus;
}

/* The first line of each file of a pattern, with the `part`-th folder of its path from the end. */
static json_t *files_json(const char *pattern, int part)
{
    json_t *list = json_array();
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0) return list;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char path[PATH_MAX], line[128] = "", *name = path;
        FILE *file = fopen(found.gl_pathv[i], "re");
        if (file == NULL) continue;
        if (fgets(line, sizeof line, file) == NULL) line[0] = '\0';
        fclose(file);
        line[strcspn(line, "\n")] = '\0';
        snprintf(path, sizeof path, "%s", found.gl_pathv[i]);
        for (int cut = 0; cut < part; cut++) *strrchr(path, '/') = '\0';
        name = strrchr(path, '/') + 1;
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "value", line));
    }
    globfree(&found);
    return list;
}

static size_t paths_count(const char *pattern)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0) return 0;
    size_t count = found.gl_pathc;
    globfree(&found);
    return count;
}

json_t *info_machine(void)
{
    int version = check_driver_version();
    char driver[32] = "none";
    if (version != 0) snprintf(driver, sizeof driver, "CUDA %d.%d", version / 1000, version % 1000 / 10);
    return json_pack("{s:s, s:o, s:i, s:o}", "driver", driver, "gpus", gpus_json(), "numa_nodes",
                     (int)paths_count("/sys/devices/system/node/node[0-9]*"), "adapters",
                     files_json("/sys/class/infiniband/*/ports/*/rate", 3));
}
