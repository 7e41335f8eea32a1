/* metrics.h -- what a coordinator knows of itself and its cluster at one moment, as plain values, and as text.
 *
 * The loop fills a struct dr_metrics and hands it over; whoever has it may print it in another thread, for as long as it
 * likes: nothing in it points into the loop's memory but to words of tables, which never change.  No secret is in it. */
#ifndef DR_COORD_HTTP_METRICS_H
#define DR_COORD_HTTP_METRICS_H

#include "base/buf.h"
#include "model/plan.h"

/* How long something took.  Zeroed it is empty; one thread. */
enum { DR_HISTOGRAM_BUCKETS = 16 };
struct dr_histogram {
	uint64_t count, sum_us;
	uint64_t bucket[DR_HISTOGRAM_BUCKETS]; /* not cumulative; what is longer than the last bound is in count only */
};
void dr_histogram_note(struct dr_histogram *h, uint64_t us);
/* The upper bound of a bucket, in microseconds. */
uint64_t dr_histogram_bound_us(unsigned bucket);

/* One step of one kind of plan. */
enum { DR_METRICS_STEPS_MAX = 64 };
struct dr_metrics_step {
	enum dr_plan_kind plan; /* NONE: this place is free, and all behind it */
	enum dr_step step;
	uint64_t done, skipped;
	struct dr_histogram took; /* of those done */
};

/* Counted since this process began. */
struct dr_metrics_counts {
	uint64_t renewals, grants;
	struct dr_histogram granted; /* from a renewal's receipt to its grant's sending */
	uint64_t opened[DR_PLAN_KIND_MAX], done[DR_PLAN_KIND_MAX], failed[DR_PLAN_KIND_MAX], asked[DR_PLAN_KIND_MAX];
	struct dr_metrics_step step[DR_METRICS_STEPS_MAX];
};

/* By the word of a table, or NULL where nothing is to be told. */
struct dr_metrics_member {
	struct dr_name name, site; /* name empty: this place is free */
	const char *state, *server;
	bool primary, in_sync_set, heard;
	uint64_t agent_age_ms, lag, lease_left_ms;
};

/* What stands in the way of a service's readiness. */
enum { DR_METRICS_NOTES_MAX = 16 };
struct dr_metrics_note {
	const char *reason;
	uint32_t member; /* its place in member[]; DR_MEMBERS_MAX: it is about no member */
	bool blocks;
};

struct dr_metrics_service {
	struct dr_name name;
	const char *kind, *ready; /* ready: NULL where this coordinator does not lead */
	bool managed, paused, has_primary, lag_in_bytes;
	uint64_t epoch;
	enum dr_plan_kind plan; /* NONE: no plan is open */
	bool asks;
	uint32_t rejoins, routes, routes_current, notes;
	struct dr_name primary_site; /* empty: nobody is primary */
	struct dr_metrics_note note[DR_METRICS_NOTES_MAX];
	struct dr_metrics_member member[DR_MEMBERS_MAX];
};

struct dr_metrics_site {
	struct dr_name name;
	const char *ready;
};

struct dr_metrics_coordinator {
	struct dr_name name, site;
	bool reachable, voter, ledger_differs;
};

struct dr_metrics {
	uint64_t at_ms;                /* CLOCK_BOOTTIME, when it was filled */
	bool whole;                    /* services and sites are in it */
	const char *version;
	struct dr_name cluster, name, site, leader; /* leader empty: none is known */
	char not_ready[DR_REASON_MAX]; /* why this coordinator does not serve its part; empty: it does */
	uint64_t started_wall_ms;
	bool leads, storage_suspect;
	uint64_t term, commit, applied, last, stored, snapshot, events;
	uint32_t outstanding, agents, peers, clients, links, waiting;
	uint64_t stalled_ms, log_dropped, disk_free;
	int64_t certificate_ends_s;
	uint32_t leases_held;          /* of holders, as far as this leader knows; 0 elsewhere */
	struct dr_metrics_counts counts;
	uint32_t coordinators, sites, services;
	struct dr_metrics_coordinator coordinator[DR_COORDINATORS_MAX];
	struct dr_metrics_site ready_site[DR_SITES_MAX];
	struct dr_metrics_service *service; /* its own */
};

/* All zero, with room for so many services. */
struct dr_metrics *dr_metrics_new(uint32_t services);
void dr_metrics_free(struct dr_metrics *m); /* NULL is fine */

/* Prometheus' text format 0.0.4. */
void dr_metrics_print(const struct dr_metrics *m, struct dr_buf *out);

#endif
