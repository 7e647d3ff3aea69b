/* hiermoe counters: the tables that the lines in HIERMOE_STATS_FILE are made of. */
#include "command.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct entry {
    const char *key, *unit, *help;
} entry_t;

/* The first ones say when the line was written and whose counters they are. */
static const entry_t lines[] = {
    {"event", "", "interval: the job goes on; end: the communicator or the process ended"},
    {"time", "s", "when the line was written, seconds since 1970"},
    {"host", "", "name of the host, up to the first dot"},
    {"pid", "", "process"},
    {"communicator", "", "number of the communicator in this process, from 0"},
    {"rank", "", "rank in it"},
    {"ranks", "", "its size; 0 where NCCL does not tell, as for communicators that do not block"},
    {"node", "", "the node on which it sits, from 0, once the ranks have met"},
    {"nodes", "", "nodes of the communicator; 0 before the ranks have met"},
    {"profile", "", "name of the profile in use; empty before the ranks have met"},
    {"version", "", "of libhiermoe.so"},
    {"nccl", "", "version of NCCL as its header has it, such as 22809"},
    {"began", "s", "when the communicator was made, seconds since 1970"},
#define HM_STAT(field, key, unit, help) {key, #unit, help},
#define HM_STAT_DIFFERENCE(key, field, less, help) {key, "ms", help},
#define HM_STAT_LIST(field, key, length, unit, help) {key, "list of " #unit, help},
#include "../../shim/base/stats.def"
    {"depth", "list of count", "replaced calls by depth, from 0"},
    {"left", "object", "calls left alone by reason, see below"},
};

static const entry_t reasons[] = {
#define HM_REASON(id, text) {#id, "", text},
#include "../../shim/base/reasons.def"
};

static void entries_print(const entry_t *entries, size_t count)
{
    int width = 0, unit = 0;
    for (size_t i = 0; i < count; i++) {
        if ((int)strlen(entries[i].key) > width) width = (int)strlen(entries[i].key);
        if ((int)strlen(entries[i].unit) > unit) unit = (int)strlen(entries[i].unit) + 2;
    }
    for (size_t i = 0; i < count; i++) {
        int length = 0;
        printf("  ");
        for (const char *at = entries[i].key; *at != '\0'; at++, length++) putchar(tolower((unsigned char)*at));
        printf("%*s  %-*s%s\n", width - length, "", unit, entries[i].unit, entries[i].help);
    }
}

int counters_main(int argc, char **argv)
{
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
    if (argc > 1) {
        fputs("usage: hiermoe counters\nLists key, unit and meaning of what the library counts for each communicator, "
              "and the reasons for which calls are\nleft alone. HIERMOE_STATS_FILE names the file that JSON lines "
              "of each communicator are added to, every\nHIERMOE_STATS_INTERVAL seconds and when it ends. Counters are "
              "cumulative: of lines with one host, pid and\ncommunicator the last one counts.\n",
              help ? stdout : stderr);
        return help ? 0 : HM_EXIT_BAD_INPUT;
    }
    printf("lines of each communicator, of which the last one counts:\n");
    entries_print(lines, sizeof lines / sizeof lines[0]);
    printf("\nreasons for which calls are left alone, keys of \"left\":\n");
    entries_print(reasons + 1, sizeof reasons / sizeof reasons[0] - 1); /* the first one is no reason */
    return 0;
}
