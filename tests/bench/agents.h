/* agents.h -- a site's agents as a load: the product's agent core for each member, no server, no journal, no guard. */
#ifndef BENCH_AGENTS_H
#define BENCH_AGENTS_H

#include "agent/core/agent_core.h"
#include "bench.h"

enum { AGENT_SERVICES = 32, SIDES = 2, COORDS = 3 };

struct fleet;

/* One connection of an agent to one coordinator.  Towards the leader a primary has one of its own, so that there are
 * as many as leases; standbys, and all towards the others, share one for AGENT_SERVICES services. */
struct line {
	struct fleet *fleet;
	struct dr_conn conn;
	struct dr_tls *tls;
	uint32_t coord, side;
	bool open, leading;
};

struct bench_member {
	struct fleet *fleet;
	uint32_t service, side; /* side 0 begins as primary */
	struct dr_agent_core core;
	struct line *line[COORDS];
	uv_timer_t wake, report, op;
	uint64_t report_ms; /* when the next one is due */
	enum dr_server_state server;
	bool receiving, asked_to_write;
	uint32_t timeline, k;
	bool counts; /* the other one is in the set that a commit waits for */
	struct dr_address upstream;
	uint64_t sent_ns[DR_RENEWALS_KEPT], sent_id[DR_RENEWALS_KEPT];
	uint64_t writable_ns; /* when it was first told to become the primary */
};

struct fleet {
	const struct bench_args *a;
	uv_loop_t loop;
	struct dr_timing timing;
	uint32_t members, lines, started, opened;
	uint32_t begun; /* members before it */
	struct bench_member *member; /* service x side */
	struct line *line;
	uint64_t leases, orders, last_order_ns, began_ms;
	uint32_t writable;  /* of side 1 */
	uint32_t fences;    /* primaries that gave up: with a load that holds none do */
	bool counting, vanished, stopping;
	struct bench_times renewals;
	uint64_t vanished_ns;
};

/* One member's agent (agent.c). */
void member_open(struct fleet *f, uint32_t service, uint32_t side);
void member_event(struct bench_member *m, struct dr_agent_event *ev);
void member_begin(struct bench_member *m);
void member_frame(struct fleet *f, uint16_t type, const uint8_t *p, size_t n);
bool member_leads(const struct bench_member *m);
void member_names(uint32_t service, uint32_t side, struct dr_name *of, struct dr_name *self);
struct dr_address member_address(uint32_t service, uint32_t side);

#endif
