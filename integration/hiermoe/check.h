/* What can be known of a job before it starts: whether the library can load and stand before its NCCL. */
#ifndef HM_CHECK_H
#define HM_CHECK_H

#include <stddef.h>

typedef enum hm_verdict { HM_VERDICT_GOOD, HM_VERDICT_UNKNOWN, HM_VERDICT_BAD } hm_verdict_t;

/* One thing that was looked at. */
typedef struct hm_check {
    const char *name;
    hm_verdict_t verdict;
    char text[8192];
} hm_check_t;

enum { HM_CHECKS = 5 };

__attribute__((format(printf, 3, 4))) void check_say(hm_check_t *check, hm_verdict_t verdict, const char *format, ...);

/* The parts of check_command. */
void check_nccl(const char *program, hm_check_t *check);
void check_dispatcher(char *const *command, hm_check_t *check);

/* Whether this machine's loader loads the library: "library". */
void check_library(const char *library, hm_check_t *check);

/* Looks at a job's command, without starting it: "library", "program", "nccl", "dispatcher", "driver", in this order.
 */
void check_command(const char *library, char *const *command, hm_check_t checks[HM_CHECKS]);

/* The driver's CUDA version as 12040 for 12.4, 0 where there is no driver. */
int check_driver_version(void);

/* Writes the path of the NCCL that `file` is linked with, or nothing. */
void check_nccl_path(const char *file, char *path, size_t size);

/* The folder of the PyTorch that a Python finds; empty: none. */
void check_torch_folder(const char *python, char *folder, size_t size);

#endif
