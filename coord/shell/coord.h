/* coord.h -- drcoordd: its parts, and who owns what.
 *
 *   main.c      arguments, node file, bootstrap and join, loop, signals
 *   first.c     the first start: founding or joining; asks the others whether it was there before
 *   loop.c      the core's door: events in, decisions carried out, wake-ups
 *   fsm.c       Raft's side: entries to events, snapshots, the ledger's chain
 *   server.c    listening; the first frame says who somebody is: raft, agent, coordinator or client
 *   agents.c    agents' sessions: reports and renewals in; orders, grants, who leads out
 *   ledger.c    heads of the ledger's chain, compared with the others'
 *   peers.c     connections to the other coordinators: observations, heads of the ledger to all
 *   probe.c     own probes of every server
 *   routes.c    routes that ought to point elsewhere
 *   runbook.c   steps of people's own in site plans
 *   clients.c   what people ask
 *   turn.c      how much of a turn of the loop they get
 *   reads.c     the spec, as it stands when it is asked for
 *   stream.c    events for those who watch
 *   status.c    the JSON of status and explain
 *   event_json.c  the JSON of an event
 *   snapshot.c  the replicated state as bytes
 *   disk.c      whether the data folder has room left
 *   probe_kind.c  what a probe's answers mean, by kind of server
 *   recover.c   a majority is gone for good: one goes on alone
 *   meter.c      what is counted, and the snapshots that the HTTP server tells
 *   ready.c      whether each service would move by itself now, and what stands in the way
 *   simulate.c   what a failover or a switchover would do
 *   yield.c     a leader that cannot store gives up the lead
 *   nodes.c     coordinators' names kept equal to Raft's members; leaving when removed
 *
 * One thread, one libuv loop; struct dr_coord lives as long as the program. */
#ifndef DR_COORD_SHELL_COORD_H
#define DR_COORD_SHELL_COORD_H

#include <jansson.h>
#include <stdio.h>
#include <uv.h>

#include "adapters/adapter.h"
#include "conf/conf.h"
#include "coord/core/core.h"
#include "coord/shell/clients.h"
#include "coord/shell/ledger.h"
#include "coord/shell/stall.h"
#include "coord/shell/watch.h"
#include "net/conn.h"
#include "net/tls.h"
#include "proto/codec.h"
#include "raft/node.h"

struct dr_coord;

/* One accepted connection. */
enum dr_peer_role { DR_SESSION_NEW, DR_SESSION_AGENT, DR_SESSION_PEER, DR_SESSION_CLIENT, DR_SESSION_RAFT };

struct dr_in {
	struct dr_coord *coord;
	struct dr_conn conn;
	enum dr_peer_role role;
	bool open;
	uint64_t watch_id;     /* request id of a watch stream; 0: none */
	uint64_t watch_next;   /* index that it gets next */
	struct dr_raft_inbox *raft; /* of a link of raft */
	uint64_t raft_id;      /* of a coordinator, as it was told with DR_FRAME_BEATS; 0: nothing was told */
	bool held;             /* among those whose requests wait (turn.c) */
	struct dr_in *held_prev, *held_next;
	bool keeps;            /* a request that waits is kept here */
	struct dr_buf kept;
	enum dr_read_state read; /* of the spec (reads.c) */
	uint64_t read_id;
	enum dr_err read_outcome;
	struct dr_in *read_next;
	uint64_t told_ms;      /* an agent: when it was last told who leads, or anything that a leader alone says ... */
	struct dr_in *told_prev, *told_next; /* ... among the others, by that time */
	struct dr_watch *speaks_for; /* of an agent: the members that it was heard of */
	char software[DR_SOFTWARE_MAX]; /* of an agent: its version, as it says; "": it does not */
	struct dr_in *prev, *next;
};

/* One outbound connection to another coordinator. */
struct dr_out {
	struct dr_coord *coord;
	struct dr_name name;   /* empty: this place is free */
	struct dr_address address;
	struct dr_conn conn;
	bool connecting, open, stale;
	uint32_t fails;
	uint64_t takes_beats;  /* its raft id, once it said that it takes heartbeats; 0: it doesn't */
	enum dr_ledger_verdict ledger; /* its ledger against ours, when last compared */
	uv_timer_t retry;
};

enum { DR_ROUTE_JOBS_MAX = 64, DR_ROUTES_TOLD = 16, DR_REFUSALS_MAX = 2 * DR_PROPOSE_MAX };

struct dr_route_job {
	struct dr_coord *coord;
	bool used, running, closing, wanted;
	bool hold, settled;    /* its clients are to wait, rather than be led to `to`; the last try found or made it so */
	uint32_t service, route;
	uint64_t epoch;
	struct dr_name primary;
	struct dr_address to;
	struct dr_session session;
	struct dr_op op;
	uv_timer_t retry;
	bool timer_ready;
	uint32_t fails;
	uint32_t threads;      /* of the pool, while it runs */
	uint64_t ended_ms;     /* its newest try */
	/* The newest error of each server, as the spec counts them; empty: none, or not tried yet for this epoch. */
	char why[DR_ROUTE_SERVERS_MAX][DR_SERVER_WHY_MAX];
};

/* What another coordinator said of its own file. */
struct dr_route_told {
	uint32_t service, route, place;
	uint64_t epoch; /* 0: this place is free */
	char why[DR_SERVER_WHY_MAX];
};

/* A client that waits for its entry to be applied. */
struct dr_waiter {
	uint64_t tag, request;
	struct dr_in *client;     /* NULL: it left */
	bool used;
};

/* A recent event in words, at its index modulo DR_EVENT_TEXTS. */
enum { DR_EVENT_TEXTS = 128, DR_EVENT_TEXT_MAX = 16384 };
struct dr_event_text {
	uint64_t index; /* 0: none yet */
	struct dr_buf json;
};

struct dr_coord {
	uv_loop_t *loop;
	struct dr_conf_coordinator conf;
	struct dr_tls *tls;
	struct dr_listener *listener;
	struct dr_raft *raft;
	struct dr_core *core;         /* mapped at full size */
	struct dr_decision *decision; /* likewise */
	bool stepping;
	struct dr_waiter *asking;     /* whose request the core is given now */
	struct {
		uint64_t tag;
		enum dr_err why;
	} refusal[DR_REFUSALS_MAX];   /* proposals of the present step that were not taken */
	uint32_t refusals;
	uint64_t appended_ms;         /* a tick entered the log while stepping; 0: none */
	uint64_t restored;            /* index that the snapshot has all up to; 0: there was none */
	uint64_t events_seen;         /* highest event that was chained, logged and streamed */
	uint8_t ledger_head[DR_LEDGER_HEAD];
	struct dr_ledger ledger;
	uv_timer_t wake, beat, slice_timer;
	uint32_t slice;               /* the beat's next (loop.c) */
	uv_idle_t stream_idle;
	struct dr_in *stream_turn;    /* whose turn it is among those who watch; NULL: the first one's */
	struct dr_event_text event_text[DR_EVENT_TEXTS];
	uv_check_t turn_end;
	uv_idle_t turn_go;
	uv_timer_t turn_look;
	uint64_t turn_ns;             /* what clients' requests took in this turn of the loop */
	struct dr_in *held_first, *held_last; /* clients whose requests wait, longest first */
	uint32_t held;
	struct dr_in *reads_asked, *reads_begun; /* clients whose reads wait for the next barrier; for the one under way */
	bool reading;                 /* one is under way */
	struct dr_made spec_made, status_made;
	uint64_t status_until_ns;     /* what was made is told until then */
	struct dr_timing timing_told; /* to the agents */
	uint32_t beats;
	uint64_t beat_ms;             /* when the last beat was ... */
	bool sliced;                  /* ... and whether it is spread over its time */
	struct dr_stall stall;
	struct dr_in *in;             /* all accepted connections */
	uint32_t ins, clients;
	uint64_t said_since_ms;       /* of sessions that failed: so many lines since then, and so many not written */
	uint32_t said, unsaid;
	struct dr_out out[DR_COORDINATORS_MAX];
	uint32_t services_seen;       /* the most that there ever were */
	struct dr_watch *watch;       /* DR_SERVICES_MAX x DR_MEMBERS_MAX, mapped: only what is used takes memory */
	uint32_t watched, watched_next; /* members that are; counted anew */
	uint32_t restless, restless_before; /* those of this beat, and of the last, that are not calm */
	bool recounted;               /* amid this beat: watched is new already */
	struct dr_route_job *route;   /* DR_ROUTE_JOBS_MAX */
	struct dr_runbook *runbook;   /* private to runbook.c */
	struct dr_route_told route_told[DR_ROUTES_TOLD];
	uint32_t route_told_next;
	bool routes_full;             /* more routes were to be brought somewhere than there are jobs, and that was said */
	struct dr_in *told_first, *told_last; /* agents' sessions, those told longest ago first */
	struct dr_waiter waiter[DR_CLIENTS_MAX]; /* of operators and above: what others ask never takes one */
	uint32_t waiters;             /* behind so many of them none is used */
	uv_signal_t on_term, on_int, on_hup;
	bool stopping;
	uint64_t started_wall_ms;     /* events older than that are not logged again */
	bool recovering;              /* after `--recover`: listen, raise epochs and numbers, then act */
	uint64_t recover_until_ms;    /* listens until then at least; 0: not begun */
};

/* main.c: leave in order; the loop ends once Raft is closed. */
void dr_coord_leave(struct dr_coord *c);

/* first.c */
/* Make the data folder a coordinator's unless it is one.  EXISTS: the others know this one, or a cluster without
 * it.  May take 2 s and runs the loop. */
DR_MUST_USE enum dr_err dr_first_start(struct dr_coord *c, bool bootstrap, bool joins, struct dr_error *e);
/* Tell a coordinator that has just connected what this one knows of it. */
void dr_first_answer(struct dr_in *in);

/* recover.c */
/* Offline, before Raft is opened: makes this node the only voter when asked, or when a start before this one was
 * asked and did not get to its end. */
DR_MUST_USE enum dr_err dr_recover_offline(struct dr_coord *c, bool asked, struct dr_error *e);
/* Say to *to what --recover does and what it costs. */
void dr_recover_explain(const struct dr_coord *c, FILE *to);
/* Once the core is there: whether this start has a recovery to end. */
DR_MUST_USE enum dr_err dr_recover_resume(struct dr_coord *c, struct dr_error *e);
void dr_recover_beat(struct dr_coord *c);

/* yield.c */
void dr_yield_beat(struct dr_coord *c);

/* nodes.c */
/* The leader: make the log's names and ids of coordinators those of Raft's members. */
void dr_nodes_name(struct dr_coord *c);
/* The leader, now and then: note in the log who has stored some of it under its present id. */
void dr_nodes_note_stored(struct dr_coord *c);
/* The leader: tell each coordinator the id under which it is a member (0: none), so that a removed one leaves. */
void dr_nodes_tell(struct dr_coord *c);
/* Told so by another one. */
void dr_nodes_told(struct dr_coord *c, const struct dr_name *by, const uint8_t *p, size_t n);
/* Raft's side changed: leave if it says that this node was removed. */
void dr_nodes_watch(struct dr_coord *c, const struct dr_raft_status *st);
/* This node is no member any more: say so and leave. */
void dr_nodes_removed(struct dr_coord *c, const char *how);
bool dr_nodes_is_member(const struct dr_coord *c, uint64_t id);
/* Where this coordinator is reached, as its own line under `peers` says. */
struct dr_address dr_nodes_own_address(const struct dr_coord *c);

/* loop.c */
void dr_coord_event(struct dr_coord *c, struct dr_core_event *ev);
/* Submit an entry that no core proposed (coordinators' names); result ignored. */
void dr_coord_submit(struct dr_coord *c, const struct dr_cmd *cmd);
bool dr_coord_leads(const struct dr_coord *c);
/* The leader's name and address as known here; false: none is known. */
bool dr_coord_leader(const struct dr_coord *c, struct dr_name *name, struct dr_address *at);
void dr_coord_beat_start(struct dr_coord *c);

/* fsm.c */
extern const struct dr_raft_cbs dr_coord_raft_cbs;

/* server.c */
DR_MUST_USE enum dr_err dr_coord_listen(struct dr_coord *c, struct dr_error *e);

/* agents.c */
void dr_agents_frame(struct dr_in *in, uint16_t type, const uint8_t *p, size_t n);
void dr_agents_closed(struct dr_in *in);
/* The member's agent is heard over no session any more. */
void dr_agents_silent(struct dr_watch *w);
void dr_agents_orders(struct dr_coord *c, const struct dr_decision *d);
void dr_agents_grants(struct dr_coord *c, const struct dr_decision *d);
/* Say who leads: to one session, or to all (NULL). */
void dr_agents_lead(struct dr_coord *c, struct dr_in *only);
/* The same to `most` of those who were told nothing for so long; a grant tells them as well. */
void dr_agents_lead_again(struct dr_coord *c, uint64_t for_ms, uint32_t most);

/* peers.c */
void dr_peers_sync(struct dr_coord *c);
void dr_peers_send_all(struct dr_coord *c, uint16_t frame, const struct dr_buf *b);
void dr_peers_send_one(struct dr_coord *c, const struct dr_name *to, uint16_t frame, const struct dr_buf *b);
/* A frame that a coordinator sent over the connection that it made. */
void dr_peers_frame(struct dr_in *in, uint16_t type, const uint8_t *p, size_t n);
/* struct dr_raft_config's carry. */
bool dr_peers_carry(void *ctx, uint64_t to, bool answer, const uint8_t *bytes, size_t len);
/* The same's before_tick: what the others said over the connections that this one made. */
void dr_peers_read(void *ctx);
/* Tell those that connected whether their heartbeats are taken, where that changed. */
void dr_peers_take_beats(struct dr_coord *c);
/* Tell all how our ledger stands. */
void dr_peers_tell_ledger(struct dr_coord *c);
/* What the last comparison with that coordinator's ledger said; our own is the same. */
enum dr_ledger_verdict dr_peers_ledger(const struct dr_coord *c, const struct dr_name *name);
bool dr_peers_reachable(const struct dr_coord *c, const struct dr_name *name);

/* probe.c */
void dr_probe_sync(struct dr_coord *c);
void dr_probe_slice(struct dr_coord *c, uint32_t at, uint32_t slices);
/* More are watched than a beat may look at at once. */
bool dr_probe_are_many(const struct dr_coord *c);
struct dr_watch *dr_watch_of(struct dr_coord *c, uint32_t service, dr_member_ix m);

/* status.c: the caller frees what they return with json_decref. */
json_t *dr_status_json(struct dr_coord *c);
json_t *dr_explain_json(struct dr_coord *c, uint32_t service);
/* status_site.c: site plans that are open, and the newest closed one of each site; a service's part in its newest; null. */
json_t *dr_site_plans_json(const struct dr_repl *r);
json_t *dr_site_part_json(const struct dr_repl *r, const struct dr_service *s);
json_t *dr_nodes_json(struct dr_coord *c);
json_t *dr_spec_json(struct dr_coord *c);

#endif
