/* Exchanges of two experts, one after the other, until none helps: the pairs of arrange.h. */
#ifndef HM_ARRANGE_SETTLE_H
#define HM_ARRANGE_SETTLE_H

#include "arrange_options.h"
#include "routes.h"

typedef struct hm_settle hm_settle_t;

/* Routes are searched by HM_SETTLE_TOKENS of them, spread evenly, which are copied; ids were checked. 0, -EINVAL
 * (options), -ENOMEM. The topology is kept. */
#define HM_SETTLE_TOKENS 1536
int settle_create(const hm_topo_t *topo, const hm_profile_t *profile, int experts, const hm_routes_t *routes,
                  const hm_arrange_options_t *options, hm_settle_t **settle);
void settle_destroy(hm_settle_t *settle);

/* The tokens that are searched by; they stay the settle's. */
hm_routes_t settle_routes(const hm_settle_t *settle);

/* Changes rank[experts] by up to options->steps exchanges: as far as they bring the time by true maxima down, though
 * the search itself goes by a smooth one, which sees progress where several groups are equally heavy. 0, -ENOMEM,
 * -EINVAL with rank unchanged. */
int settle_run(hm_settle_t *settle, int *rank);

#endif
