/* Counters of the whole process in Prometheus's text format (exposition format 0.0.4), for a collector of text files
 * such as node_exporter's. Made from stats.def, as the JSON lines are:
 *
 *   hiermoe_KEY_total                                    counters of counts and bytes
 *   hiermoe_KEY_seconds_total                            those whose KEY ends in _ms
 *   hiermoe_replaced_by_depth_total{depth="2"}, hiermoe_left_total{reason="no_gain"}
 *   hiermoe_call_seconds_bucket{kind="replaced",le="0.001024"} ..._sum ..._count; kind is replaced or plain
 *
 * All have the labels host and pid. Bytes by node are left out: nodes of different communicators are not the same. */
#ifndef HM_PROMETHEUS_H
#define HM_PROMETHEUS_H

#include "stats.h"

/* Replaces HIERMOE_PROMETHEUS_FILE by these counters, if it is set. For the thread of statistics alone: takes some
 * time and 32 KB of stack. Where it fails that is said, once. */
void prometheus_write(const hm_stats_t *whole);

#endif
