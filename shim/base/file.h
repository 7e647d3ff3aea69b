/* Files that settings name, and descriptor 2. Descriptors and signals are the job's: nothing here leaves a descriptor
 * open, raises a signal, waits for a reader, or writes where the user did not say so. Any thread; errno may change. */
#ifndef HM_FILE_H
#define HM_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Adds text to a file, in one write if that takes all of it. Makes the file, for its owner only, if there is none.
 * Opened for each call: a job may close all descriptors, as daemons do, and get the same number for a file of its own.
 * 0 or a negative errno, also where a part is written: -ENXIO for what is neither a regular file nor a character device
 * such as a terminal, -ELOOP for a symbolic link that somebody else but root made. */
int file_append(const char *path, const char *text, size_t length);

/* Reads a whole regular file of 1 to `most` bytes. *text is for free(); a 0 stands behind it. 0 or a negative errno:
 * -ENXIO for what is no regular file, -EFBIG for a larger one. */
int file_read(const char *path, size_t most, char **text, size_t *length);

/* Gives the regular file at path this content: who opens it sees all of the old or all of the new one. A symbolic link
 * is replaced, not followed. Permissions are those of the umask. 0 or a negative errno, nothing changed: -ENXIO for
 * what is there and is no regular file. */
int file_replace(const char *path, const char *text, size_t length);

/* Writes to descriptor 2 as long as it is the file that it was when the library was loaded. What finds no reader or no
 * room is lost. */
void file_stderr(const char *text, size_t length);

/* Plain words for a negative errno of these functions. */
const char *file_error(int status);

#endif
