/* watch.h -- one member as a coordinator watches it: its probes, its agent's session, the order on its way. */
#ifndef DR_COORD_SHELL_WATCH_H
#define DR_COORD_SHELL_WATCH_H

#include "adapters/adapter.h"
#include "coord/shell/probe_kind.h"
#include "model/ids.h"

struct dr_coord;
struct dr_in;

enum { DR_PROBE_WHY_MAX = 200 };

/* One member under watch. */
struct dr_watch {
	struct dr_coord *coord;
	uint32_t service;
	dr_member_ix member;
	bool used, open, closing, probing, failed; /* failed: to open, and that was said */
	struct dr_target target;
	struct dr_session session;
	struct dr_op op;
	uint64_t since_ms;       /* when watching began: before that nothing is known */
	uint64_t agent_ms, server_ms, write_ms; /* last heard, reached, wrote; 0: never */
	uint64_t stalled_ms;     /* so much of our own standing still is taken off these (stall.h) */
	uint64_t probe_ms;       /* when the newest probe began */
	struct dr_probe_streak streak;
	char why[DR_PROBE_WHY_MAX]; /* in which words the newest write probe failed; "": it did not */
	uint32_t beats;
	bool in_recovery;
	struct dr_cluster_seen cluster; /* of a Redis Cluster's node, newest; masters 0: never */
	uint64_t position;
	struct dr_in *agent;     /* its agent's session here; NULL */
	struct dr_watch *agent_next; /* of those that this session speaks for */
	uint64_t order_sent;     /* the order that was sent over that session */
	uint64_t order_sent_ms;
	struct {
		uint64_t id, ns;
	} asked[2];              /* its newest renewals, and when they came */
};

#endif
