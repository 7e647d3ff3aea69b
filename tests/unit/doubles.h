/* Stand-ins for the shim's settings, log and statistics, so that a test sets them at will. */
#ifndef DOUBLES_H
#define DOUBLES_H

#include "../../shim/base/settings.h"
#include "../../shim/base/stats.h"

extern hm_settings_t doubles_settings;
/* What the calling thread sees instead, if not NULL: a rank with settings of its own. */
extern _Thread_local const hm_settings_t *doubles_own;
/* What the calling thread's rank has attached: adapters_hash. */
extern _Thread_local uint64_t doubles_adapters;
/* Messages said since the last reset, and the last one. */
extern _Atomic int doubles_said;
extern char doubles_text[1024];

/* Defaults of a run: exact mode, depth by rule, patience with held streams for ever, 20 s. */
void doubles_reset(void);

#endif
