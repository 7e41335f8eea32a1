/* predict.h -- what a timing promises: the inequalities of design.md 6, and each service's RTO and RPO.
 *
 * A spec does not say how fast its network and disks are, so each profile stands for an assumption, which
 * every text made here shows.  Pure. */
#ifndef DR_CONF_PREDICT_H
#define DR_CONF_PREDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/spec.h"

/* What is taken for granted about the machines; milliseconds. */
struct dr_assumed {
	const char *profile;
	uint32_t election_ms;   /* E: from the node file when one is at hand */
	uint32_t heartbeat_ms;  /* hb */
	uint32_t round_trip_ms; /* between two sites, p99 */
	uint32_t fsync_ms;      /* p99 */
};

/* By profile word; NULL when unknown. */
const struct dr_assumed *dr_assumed_profile(const char *word);
/* The profile whose TTL is nearest: for a timing whose word is not known any more. */
const struct dr_assumed *dr_assumed_near(const struct dr_timing *t);

/* Call `failed` for each inequality of design.md 6 that does not hold, with its name, the key that is most
 * likely wrong and a line with the numbers.  Returns how many failed. */
typedef void dr_inequality_cb(void *ctx, const char *name, const char *key, const char *text);
uint32_t dr_timing_check(const struct dr_timing *t, const struct dr_assumed *a, dr_inequality_cb *failed,
			 void *ctx);
/* Number 3, of the node file alone: hb <= E/5. */
uint32_t dr_raft_timing_check(uint32_t election_ms, uint32_t heartbeat_ms, dr_inequality_cb *failed,
			      void *ctx);

/* What one service may expect; milliseconds from the fault to the first write on the new primary. */
struct dr_prediction {
	bool automatic;        /* false: an operator is waited for, whose time is not counted */
	uint64_t rto_crash_ms; /* the server died, its agent lives and says so */
	uint64_t rto_lost_ms;  /* host or site lost or cut off: the lease is waited out */
	uint64_t rto_name_ms;  /* the same for clients that find the primary by name; 0: no route */
	uint64_t gap_switchover_ms;
	bool rpo_zero;      /* sync: nothing acknowledged is lost with one site */
	uint64_t rpo_bytes; /* async: above this an automatic failover asks */
};
void dr_predict(const struct dr_spec *spec, const struct dr_spec_service *s, const struct dr_assumed *a,
		struct dr_prediction *out);
/* Two or three lines for people: RTO, RPO and under which condition. */
void dr_predict_print(const struct dr_spec_service *s, const struct dr_prediction *p, struct dr_buf *out);

#endif
