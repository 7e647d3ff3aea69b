/* Loaded images: the program and its libraries. */
#ifndef HM_IMAGE_H
#define HM_IMAGE_H

#include <link.h>
#include <stdbool.h>

/* The image with a segment that `at` lies in; its parts stay as long as it is loaded. false: there is none, *info is
 * unchanged. Takes the loader's lock. */
bool image_find(const void *at, struct dl_phdr_info *info);

#endif
