/* The library that jobs are to load, and how they are made to. */
#ifndef HM_PRELOAD_H
#define HM_PRELOAD_H

#include <limits.h>
#include <stdbool.h>

/* A folder of this run's own, for what its ranks share: under TMPDIR, or where ranks may be on other machines in the
 * working directory. Empty: there is none. */
typedef struct hm_run_folder {
    char path[PATH_MAX];
} hm_run_folder_t;

/* 0, or the exit status, said. */
int run_folder_make(bool shared, hm_run_folder_t *folder);

/* Removes it with the files in it. */
void run_folder_remove(hm_run_folder_t *folder);

/* Sets path to the library: the one that the user named, or, for NULL, the one of this build or installation. verb and
 * option are for messages. 0, or the exit status, said. */
int preload_find(const char *verb, const char *option, const char *named, char path[PATH_MAX]);

/* Sets loaded to the path by which the library can stand in LD_PRELOAD. One with blanks or colons, where that is split,
 * goes by a link in the folder, which is made (shared or not) where there is none yet. 0, or the exit status, said. */
int preload_path(const char *verb, const char *library, bool shared, hm_run_folder_t *folder, char loaded[PATH_MAX]);

/* Puts such a path first in LD_PRELOAD, before what is there. 0, or the exit status, said. */
int preload_set(const char *verb, const char *loaded);

#endif
