/* Numbers of kept dispatches, which any thread may release. A number is a place in a table of the process and how often
 * that place was used before, so that a released one is never taken for a later one. What a number stands for belongs
 * to its owner, who asks now and then which of its numbers were released. */
#ifndef HM_HANDLE_H
#define HM_HANDLE_H

#include "hiermoe.h"

#include <stdbool.h>

/* A new number that stands for `content`; 0 where there is no memory, or 262144 are in use. */
hiermoe_handle_t handle_make(const void *owner, void *content);

/* Whether a number is in use and not released. Any thread; takes no lock. */
bool handle_is_live(hiermoe_handle_t handle);

/* What a live number of this owner stands for, else NULL. Only the owner may ask, one thread at a time. */
void *handle_content(hiermoe_handle_t handle, const void *owner);

/* As in hiermoe.h: any thread, takes no lock. */
void handle_release(hiermoe_handle_t handle);

/* How many were released so far: an owner looks for its own only where this has changed. */
unsigned handle_releases(void);

/* The owner is done with a number, released or not: its place may be used again. */
void handle_forget(hiermoe_handle_t handle);

#endif
