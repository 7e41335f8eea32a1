/* spec.h -- the cluster spec as plain data: what `drcoordctl apply` puts into the log.
 *
 * One spec describes every site, service, member and route.  It is made by conf/ from YAML (which
 * checks it), carried in the log by proto/, and read by the core.  It holds no secret, only the names of
 * files on the node that hold one.  Plain data: no pointers, memcpy copies it, all zero is empty.
 * Durations are milliseconds. */
#ifndef DR_MODEL_SPEC_H
#define DR_MODEL_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "model/ids.h"

/* design.md 6; the symbols there stand behind each field. */
struct dr_timing {
	uint32_t renew_ms;          /* R: how often an agent renews */
	uint32_t ttl_ms;            /* TTL: a lease's length on the agent's clock */
	uint32_t fence_budget_ms;   /* F: from TTL - F on the agent stops the server */
	uint32_t guard_margin_ms;   /* M: at TTL - M the guard kills it */
	uint32_t probe_ms;          /* P: how often coordinators probe a server and report to the leader */
	uint32_t probe_deadline_ms; /* Pd */
	uint32_t detect_after_ms;   /* D: silence this long, seen by a majority, is loss */
	uint32_t drift_ppm;         /* d: bound of a clock's drift against true time, parts per million */
};

/* How much of the cluster plans of drcoord's own may move. */
struct dr_limits {
	uint32_t automatic_moves;   /* so many ...; 0: no limit */
	uint32_t within_ms;         /* ... within this time */
};

enum dr_kind { DR_KIND_NONE, DR_KIND_POSTGRES, DR_KIND_MARIADB, DR_KIND_MYSQL, DR_KIND_REDIS, DR_KIND_VALKEY,
	       DR_KIND_REDIS_CLUSTER, DR_KIND_COUNT };
/* BOUNDED promises nothing about a write that was acknowledged: whatever may be lost is judged as under ASYNC.  But a primary
 * that has not heard sync_k standbys for a moment takes no more writes, so that less is lost. */
enum dr_durability { DR_DURABILITY_SYNC, DR_DURABILITY_ASYNC, DR_DURABILITY_BOUNDED, DR_DURABILITY_COUNT };
enum dr_when_alone { DR_ALONE_CONTINUE, DR_ALONE_BLOCK };
enum dr_errant { DR_ERRANT_BLOCK, DR_ERRANT_ALLOW };
enum dr_route_kind {
	DR_ROUTE_NONE, DR_ROUTE_DNS_RFC2136, DR_ROUTE_FILE, DR_ROUTE_HAPROXY, DR_ROUTE_PGBOUNCER, DR_ROUTE_EXEC,
	DR_ROUTE_WEBHOOK, DR_ROUTE_KIND_COUNT
};
enum dr_tsig_algorithm { DR_TSIG_HMAC_SHA256, DR_TSIG_HMAC_SHA512 };

struct dr_site {
	struct dr_name name;
	struct dr_name region;
};

/* An address literal and a port. */
struct dr_address {
	char host[DR_HOST_MAX];
	uint16_t port;
};

struct dr_spec_member {
	struct dr_name name;       /* unique in its service; empty: this place is free */
	struct dr_name site;
	struct dr_name agent;      /* the agent (by its certificate's name) that speaks for it */
	struct dr_address address; /* where clients and the other members reach the server */
	struct dr_address agent_address; /* where its agent takes the other agents' questions; port 0: nowhere */
	uint32_t priority;         /* lower is preferred as candidate and for the sync set; 0: never promoted */
};

enum { DR_WORD_MAX = 64, DR_COMMAND_MAX = 256, DR_URL_MAX = 512 };

/* A route has one to four places that are to show the primary: servers, files, or the one command or receiver.  What
 * stands in the union is of its kind alone. */
struct dr_spec_route {
	enum dr_route_kind kind;         /* NONE: this place is free */
	struct dr_name name;             /* unique in its service */
	uint32_t timeout_ms;             /* but DNS: how long one try may take */
	uint32_t servers;                /* how many of: */
	struct dr_address server[DR_ROUTE_SERVERS_MAX]; /* DNS, haproxy, pgbouncer: each is told and read back */
	union {
		struct { /* dns_rfc2136 */
			char record[DR_FQDN_MAX];   /* the A or AAAA record, fully qualified, with the final dot */
			char zone[DR_FQDN_MAX];     /* with the final dot */
			uint32_t ttl_s;             /* of the record, seconds */
			char tsig_key[DR_FQDN_MAX]; /* the key's name */
			enum dr_tsig_algorithm tsig_algorithm;
			char tsig_secret_file[DR_PATH_MAX]; /* on each coordinator; base64 inside */
		};
		struct { /* file */
			char file[DR_WORD_MAX];     /* a name in the coordinator's files_in */
			char made_from[DR_WORD_MAX]; /* likewise: the template */
			char validate[DR_COMMAND_MAX];
			char reload[DR_COMMAND_MAX];
			struct dr_name on[DR_ROUTE_SERVERS_MAX]; /* the coordinators, `servers` of them */
		};
		struct { /* haproxy */
			char backend[DR_WORD_MAX];
			char backend_server[DR_WORD_MAX];
		};
		struct { /* pgbouncer */
			char pool[DR_WORD_MAX];     /* its name in pgbouncer's [databases] */
			char pool_user[DR_WORD_MAX]; /* of admin_users */
			char pool_password_file[DR_PATH_MAX];
		};
		struct { /* exec */
			char run[DR_COMMAND_MAX];   /* words, the first a name in the coordinator's commands_in */
			char verify[DR_COMMAND_MAX]; /* "": run's exit code alone counts */
			char undo[DR_COMMAND_MAX];  /* after a run that failed; "": nothing */
		};
		struct { /* webhook */
			char url[DR_URL_MAX];
			char hmac_secret_file[DR_PATH_MAX];
			char ca_file[DR_PATH_MAX];  /* "": those of the system */
		};
	};
};

/* Field by field, those of their kind: what lies between and behind them is nobody's, and coordinators must agree. */
bool dr_spec_route_eq(const struct dr_spec_route *a, const struct dr_spec_route *b);
/* So many places has it, and so all of them as a mask look. */
static inline uint32_t dr_route_places(const struct dr_spec_route *r)
{
	return r->kind == DR_ROUTE_EXEC || r->kind == DR_ROUTE_WEBHOOK ? 1 : r->servers;
}
static inline uint32_t dr_route_all(const struct dr_spec_route *r)
{
	return (1u << dr_route_places(r)) - 1u;
}
/* Each of the coordinators that it names carries it out by itself; the leader alone carries out the others. */
static inline bool dr_route_is_local(const struct dr_spec_route *r)
{
	return r->kind == DR_ROUTE_FILE;
}
/* It can hold the clients while the primary is switched. */
static inline bool dr_route_holds(const struct dr_spec_route *r)
{
	return r->kind == DR_ROUTE_PGBOUNCER;
}
/* What of it points to the primary, and where one of its places is, for people.  text: DR_URL_MAX bytes. */
const char *dr_route_what(const struct dr_spec_route *r, char *text);
const char *dr_route_where(const struct dr_spec_route *r, uint32_t place, char *text);

struct dr_spec_service {
	struct dr_name name; /* unique; empty: this place is free */
	enum dr_kind kind;
	uint32_t group;              /* a site plan moves lower ones first */
	bool auto_failover;          /* false: plans of ours wait for an operator's approve */
	enum dr_durability durability;
	uint32_t sync_k;             /* ANY k ...; bounded: so many standbys */
	uint32_t sync_set_max;       /* ... of a set of at most this many standbys */
	enum dr_when_alone when_alone;
	uint32_t alone_after_ms;
	enum dr_errant errant;       /* whether a standby with transactions that no primary had may be promoted */
	uint64_t rpo_bytes;          /* not sync: an automatic failover that may lose more asks */
	uint32_t cooldown_ms;        /* after a failover no automatic one for this long */
	uint32_t write_stall_ms;     /* a primary that a majority can't write to for so long has failed; 0: 5 s */
	uint32_t restart_within_ms;  /* a primary whose server is down may come back in place this long */
	struct dr_name cluster;      /* redis-cluster: services of the same name are its shards; empty: of other kinds */
	bool takeover;               /* redis-cluster: promote also where no majority of its masters is there to vote */
	char database[DR_NAME_MAX];  /* what probes connect to */
	char user[DR_NAME_MAX];
	char password_file[DR_PATH_MAX]; /* on coordinators and agents; empty: none */
	char ca_file[DR_PATH_MAX];   /* on coordinators: who may sign the servers' certificates; empty: TLS as it comes */
	struct dr_spec_member member[DR_MEMBERS_MAX];
	struct dr_spec_route route[DR_ROUTES_MAX];
};

enum dr_runbook_plans { DR_RUNBOOK_ANY, DR_RUNBOOK_FAILOVER, DR_RUNBOOK_PLANNED, DR_RUNBOOK_PLANS };
enum dr_runbook_when { DR_RUNBOOK_BEFORE, DR_RUNBOOK_AFTER_GROUP, DR_RUNBOOK_AFTER, DR_RUNBOOK_WHENS };
enum dr_runbook_failure { DR_RUNBOOK_GO_ON, DR_RUNBOOK_STOP, DR_RUNBOOK_FAILURES };

/* Something of people's own that a site plan does besides moving services: a command, or a signed request. */
struct dr_runbook_step {
	struct dr_name name;         /* unique; empty: this place is free */
	struct dr_name site;         /* of plans for this site; empty: for any */
	enum dr_runbook_plans plans;
	enum dr_runbook_when when;
	uint32_t group;              /* AFTER_GROUP: when the services of groups up to it have had their turn */
	struct dr_name on_site, on_agent; /* where its command is run: by a coordinator there, by that agent; empty: the leader */
	char run[DR_COMMAND_MAX];    /* words, the first a name in the node's commands_in; "": url is told */
	char verify[DR_COMMAND_MAX]; /* "": run's exit code alone counts */
	char undo[DR_COMMAND_MAX];   /* when a planned plan is taken back; "": nothing */
	char url[DR_URL_MAX];
	char undo_url[DR_URL_MAX];
	char hmac_secret_file[DR_PATH_MAX];
	char ca_file[DR_PATH_MAX];
	uint32_t timeout_ms;         /* all its tries together */
	enum dr_runbook_failure on_failure; /* STOP: the plan asks a person whether to go on */
};

static inline bool dr_runbook_has_undo(const struct dr_runbook_step *s)
{
	return s->undo[0] != '\0' || s->undo_url[0] != '\0';
}

static inline uint32_t dr_spec_write_stall_ms(const struct dr_spec_service *s)
{
	return s->write_stall_ms != 0 ? s->write_stall_ms : 5000; /* of a spec from before the key */
}

struct dr_spec {
	struct dr_name cluster;
	struct dr_timing timing;
	struct dr_limits limits;
	uint32_t sites;
	uint32_t services;
	struct dr_site site[DR_SITES_MAX];
	struct dr_runbook_step runbook[DR_RUNBOOK_MAX];
	struct dr_spec_service *service; /* borrowed: room for DR_SERVICES_MAX, given by whoever holds the spec */
};

/* The three profiles of design.md 6, by their word ("default", "metro", "geo"); NULL when unknown. */
const struct dr_timing *dr_timing_profile(const char *word);

/* The stable words of the enums above, as in YAML and messages; never NULL. */
const char *dr_kind_name(enum dr_kind k);
/* The word of the adapter that speaks with servers of the kind. */
const char *dr_kind_adapter(enum dr_kind k);
/* What positions of the kind count: bytes of log, else transactions. */
bool dr_kind_counts_bytes(enum dr_kind k);
/* A server of it that crashed comes back with all that it had, knows how far that is, and gives it to standbys while it
 * receives from nobody itself.  Of one that does not, the furthest standby is promoted rather. */
bool dr_kind_keeps_place(enum dr_kind k);
/* Its primary waits for any k standbys, whoever they are: a standby is in the set because it was told to acknowledge, and
 * out of it once it said that it does not.  Else the primary itself has the list. */
bool dr_kind_asks_to_ack(enum dr_kind k);
const char *dr_durability_name(enum dr_durability d);
const char *dr_when_alone_name(enum dr_when_alone w);
const char *dr_errant_name(enum dr_errant x);
const char *dr_route_kind_name(enum dr_route_kind k);
const char *dr_tsig_algorithm_name(enum dr_tsig_algorithm a);
const char *dr_runbook_plans_name(enum dr_runbook_plans p);
const char *dr_runbook_when_name(enum dr_runbook_when w);
const char *dr_runbook_failure_name(enum dr_runbook_failure f);

/* How long a lease must be waited out, rounded up: ttl x (1+d)/(1-d) (design.md 4.3). */
uint64_t dr_lease_hold_ms(uint32_t ttl_ms, uint32_t drift_ppm);

#endif
