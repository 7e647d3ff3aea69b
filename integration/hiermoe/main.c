/* hiermoe: plans, profiles and settings on the command line. */
#include "command.h"
#include "commit.h"
#include "verb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *help;
    int (*main)(int argc, char **argv);
    bool job; /* its words hold those of a job */
} commands[] = {
    {"run", "run a job with the library preloaded", run_main, true},
    {"info", "say what is here, which settings are in effect, and whether a job can be served", info_main, true},
    {"plan", "predict all-to-all times and suggest expert swaps for a routing, a cluster and a model", plan_main,
     false},
    {"profile", "check a profile and print it, or list the built-in ones", profile_main, false},
    {"fit", "run a job that measures what transfers cost here, and keep that as a profile", fit_main, true},
    {"settings", "list the settings of libhiermoe.so", settings_main, false},
    {"counters", "list what libhiermoe.so counts, and why it leaves calls alone", counters_main, false},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

int command_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("hiermoe: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return HM_EXIT_BAD_INPUT;
}

static void usage(FILE *out)
{
    fputs("usage: hiermoe COMMAND [OPTIONS]\n\n", out);
    for (size_t i = 0; i < COMMANDS; i++) fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    verb_list(out);
    fputs("\nhiermoe help COMMAND, or hiermoe COMMAND --help, tells the options; hiermoe --version the version.\n",
          out);
}

static int version_print(void)
{
    printf("hiermoe %s (commit %s)\n", HM_VERSION, HM_COMMIT);
    return 0;
}

/* argv[0] is the subcommand's name. */
static int verb_main(int argc, char **argv)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[0], commands[i].name) != 0) continue;
        if (argc > 1 && strcmp(argv[1], "--version") == 0) return version_print();
        /* That of a job is the job's. */
        if (argc > 1 && strcmp(argv[argc - 1], "-h") == 0 && (argc == 2 || !commands[i].job)) argv[argc - 1] = "--help";
        return commands[i].main(argc, argv);
    }
    int status = verb_exec(argv);
    return status >= 0 ? status : command_fail("\"%s\": expected a command; hiermoe help lists them", argv[0]);
}

static int command_main(int argc, char **argv)
{
    bool help = strcmp(argv[1], "help") == 0;
    if (help && argc == 3) return verb_main(2, (char *[]){argv[2], "--help", NULL});
    if (help || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) return version_print();
    return verb_main(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return HM_EXIT_BAD_INPUT;
    }
    int status = command_main(argc, argv);
    /* A full disk must not look like success. */
    if (status == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        return command_fail("standard output: %s", strerror(errno));
    return status;
}
