/* predict.c -- see predict.h.  The symbols are those of design.md 6. */
#include "conf/predict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct dr_assumed profiles[] = {
	/*            E     hb   round trip  fsync */
	{ "default", 1000, 100, 50, 50 },
	{ "metro", 300, 50, 5, 20 },
	{ "geo", 3000, 300, 250, 50 },
};
enum { PROFILES = sizeof(profiles) / sizeof(profiles[0]) };

/* What local work is taken to need, milliseconds: measured on small machines, rounded up. */
enum {
	TICK_MS = 20,     /* a renewal waits at most so long for the lease tick before its own */
	STALL_MS = 20,    /* a loop that was held up */
	KILL_MS = 30,     /* from SIGKILL to the last process gone */
	WAKE_MS = 20,     /* until the guard runs */
	STOP_MS = 50,     /* a fenced server's stop that was asked for */
	FREEZE_MS = 60,   /* standbys stop receiving and say so */
	PROMOTE_MS = 200, /* out of recovery, new timeline, first write */
	ROUTE_MS = 100    /* DNS update and reading back */
};

const struct dr_assumed *dr_assumed_profile(const char *word)
{
	for (size_t i = 0; i < PROFILES; i++) {
		if (strcmp(profiles[i].profile, word) == 0)
			return &profiles[i];
	}
	return NULL;
}

const struct dr_assumed *dr_assumed_near(const struct dr_timing *t)
{
	const struct dr_assumed *best = &profiles[0];
	uint64_t least = UINT64_MAX;
	for (size_t i = 0; i < PROFILES; i++) {
		const struct dr_timing *p = dr_timing_profile(profiles[i].profile);
		uint64_t apart = p->ttl_ms > t->ttl_ms ? p->ttl_ms - t->ttl_ms : t->ttl_ms - p->ttl_ms;
		if (apart < least) {
			least = apart;
			best = &profiles[i];
		}
	}
	return best;
}

static uint32_t commit_ms(const struct dr_assumed *a)
{
	return a->round_trip_ms + a->fsync_ms + TICK_MS;
}

/* Short timeouts are hit harder by split votes (measured with libraft). */
static uint32_t election_worst_ms(const struct dr_assumed *a)
{
	return a->election_ms <= 500 ? a->election_ms * 27 / 10 : a->election_ms * 21 / 10;
}

struct report {
	dr_inequality_cb *failed;
	void *ctx;
	uint32_t count;
};

DR_PRINTF(4, 5)
static void fails(struct report *r, const char *name, const char *key, const char *fmt, ...)
{
	char text[DR_ERROR_MSG_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->count++;
	r->failed(r->ctx, name, key, text);
}

static void check_leader_death(const struct dr_timing *t, const struct dr_assumed *a, struct report *r)
{
	uint32_t c = commit_ms(a), l = a->round_trip_ms, e = election_worst_ms(a);
	uint64_t need = (uint64_t)t->renew_ms + c + l + e + l + c + l;
	if (t->fence_budget_ms >= t->ttl_ms || t->ttl_ms - t->fence_budget_ms < need)
		fails(r, "TTL - F >= (R + C + L) + Emax + (L + C + L)", "ttl",
		      "ttl %" PRIu32 "ms - fence_budget %" PRIu32 "ms < (%" PRIu32 " + %" PRIu32 " + %" PRIu32
		      ") + %" PRIu32 " + (%" PRIu32 " + %" PRIu32 " + %" PRIu32 ") = %" PRIu64
		      "ms: a leader's death would stop a healthy primary; raise ttl to %" PRIu64
		      "ms or lower renew",
		      t->ttl_ms, t->fence_budget_ms, t->renew_ms, c, l, e, l, c, l, need,
		      need + t->fence_budget_ms);
}

static void check_fence(const struct dr_timing *t, struct report *r)
{
	uint64_t stop = (uint64_t)t->fence_budget_ms / 2 + KILL_MS;
	uint64_t need = stop + t->guard_margin_ms + STALL_MS;
	if (t->fence_budget_ms < need)
		fails(
		    r, "F >= stop + M + stall", "fence_budget",
		    "fence_budget %" PRIu32 "ms < %" PRIu64 " + %" PRIu32 " + %d = %" PRIu64
		    "ms: the guard would kill a server that is being stopped in time; raise fence_budget to %" PRIu64
		    "ms or lower guard_margin",
		    t->fence_budget_ms, stop, t->guard_margin_ms, STALL_MS, need,
		    2 * ((uint64_t)t->guard_margin_ms + STALL_MS + KILL_MS));
	if (t->guard_margin_ms < WAKE_MS + KILL_MS)
		fails(r, "M >= wake-up + kill", "guard_margin",
		      "guard_margin %" PRIu32
		      "ms < %d + %d = %dms: the server could outlive its lease; raise guard_margin",
		      t->guard_margin_ms, WAKE_MS, KILL_MS, WAKE_MS + KILL_MS);
}

static void check_detect(const struct dr_timing *t, const struct dr_assumed *a, struct report *r)
{
	uint64_t looks = 2 * (uint64_t)t->probe_ms + t->probe_deadline_ms;
	if (looks > t->detect_after_ms)
		fails(r, "2P + Pd <= D", "detect_after",
		      "2 x probe %" PRIu32 "ms + probe_deadline %" PRIu32 "ms = %" PRIu64
		      "ms > detect_after %" PRIu32
		      "ms: one late probe would be taken for a loss; raise detect_after to %" PRIu64 "ms",
		      t->probe_ms, t->probe_deadline_ms, looks, t->detect_after_ms, looks);
	if (t->detect_after_ms > t->ttl_ms)
		fails(r, "D <= TTL", "detect_after",
		      "detect_after %" PRIu32 "ms > ttl %" PRIu32
		      "ms: a lost primary would have fenced itself before anybody sees that it is lost",
		      t->detect_after_ms, t->ttl_ms);
	if (t->probe_deadline_ms < 10 * a->round_trip_ms)
		fails(r, "Pd >= 10 round trips", "probe_deadline",
		      "probe_deadline %" PRIu32 "ms < 10 x %" PRIu32
		      "ms: healthy servers would fail their probes; raise it to %" PRIu32 "ms",
		      t->probe_deadline_ms, a->round_trip_ms, 10 * a->round_trip_ms);
}

uint32_t dr_timing_check(const struct dr_timing *t, const struct dr_assumed *a, dr_inequality_cb *failed,
			 void *ctx)
{
	struct report r = { .failed = failed, .ctx = ctx };
	check_leader_death(t, a, &r);
	check_fence(t, &r);
	check_detect(t, a, &r);
	uint32_t least = 10 * (a->round_trip_ms + a->fsync_ms);
	if (a->election_ms < least)
		fails(&r, "E >= 10 x (round trip + p99 fsync)", "election",
		      "election %" PRIu32 "ms < 10 x (%" PRIu32 " + %" PRIu32 ") = %" PRIu32
		      "ms: a busy network would unseat healthy leaders; raise election (node files, raft) to %" PRIu32 "ms",
		      a->election_ms, a->round_trip_ms, a->fsync_ms, least, least);
	return r.count;
}

uint32_t dr_raft_timing_check(uint32_t election_ms, uint32_t heartbeat_ms, dr_inequality_cb *failed,
			      void *ctx)
{
	struct report r = { .failed = failed, .ctx = ctx };
	if (heartbeat_ms > election_ms / 5)
		fails(&r, "hb <= E/5", "heartbeat",
		      "heartbeat %" PRIu32 "ms > election %" PRIu32 "ms / 5 = %" PRIu32
		      "ms: lost packets would unseat a healthy leader; lower heartbeat",
		      heartbeat_ms, election_ms, election_ms / 5);
	return r.count;
}

void dr_predict(const struct dr_spec *spec, const struct dr_spec_service *s, const struct dr_assumed *a,
		struct dr_prediction *out)
{
	const struct dr_timing *t = &spec->timing;
	uint64_t c = commit_ms(a), l = a->round_trip_ms;
	uint64_t route = 0, clients = 0;
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < DR_ROUTES_MAX; i++) {
		if (s->route[i].kind == DR_ROUTE_NONE)
			continue;
		route = ROUTE_MS + 2 * l;
		if (s->route[i].kind == DR_ROUTE_DNS_RFC2136)
			clients = s->route[i].ttl_s > clients ? s->route[i].ttl_s : clients;
	}
	uint64_t change = 2 * c + FREEZE_MS + 2 * l + PROMOTE_MS + l;
	out->automatic = s->auto_failover;
	out->rto_crash_ms = l + c + STOP_MS + change;
	if (s->durability != DR_DURABILITY_SYNC)
		out->rto_crash_ms += s->restart_within_ms;
	out->rto_lost_ms = dr_lease_hold_ms(t->ttl_ms, t->drift_ppm) + c + FREEZE_MS + 2 * l + PROMOTE_MS + l;
	out->rto_name_ms = route == 0 ? 0 : out->rto_lost_ms + route + clients * 1000;
	out->gap_switchover_ms = 3 * c + STOP_MS + 4 * l + PROMOTE_MS;
	out->rpo_zero = s->durability == DR_DURABILITY_SYNC;
	out->rpo_bytes = out->rpo_zero ? 0 : s->rpo_bytes;
}

static void seconds(uint64_t ms, struct dr_buf *out)
{
	dr_buf_printf(out, "%" PRIu64 ".%" PRIu64 " s", (ms + 50) / 1000, (ms + 50) % 1000 / 100);
}

void dr_predict_print(const struct dr_spec_service *s, const struct dr_prediction *p, struct dr_buf *out)
{
	dr_buf_printf(out, "%s: RTO about ", s->name.s);
	seconds(p->rto_crash_ms, out);
	dr_buf_printf(out, " after a crash, at most ");
	seconds(p->rto_lost_ms, out);
	dr_buf_printf(out, " after the loss of a host or site");
	if (p->rto_name_ms > 0) {
		dr_buf_printf(out, ", ");
		seconds(p->rto_name_ms, out);
		dr_buf_printf(out, " for clients that cache the name");
	}
	dr_buf_printf(out, "; switchover gap about ");
	seconds(p->gap_switchover_ms, out);
	dr_buf_printf(out, "%s\n", p->automatic ? "" : "; and the time until somebody approves");
	if (!p->rpo_zero) {
		dr_buf_printf(out,
			      "%s: RPO is the lag of the standby; above %" PRIu64
			      " bytes an automatic failover stops and asks\n",
			      s->name.s, p->rpo_bytes);
		if (s->durability == DR_DURABILITY_BOUNDED)
			dr_buf_printf(out,
				      "%s: RPO is bounded, not 0: a primary takes no more writes one to three seconds after it "
				      "last heard %" PRIu32 " replicas; what it took until then and they lack is lost\n",
				      s->name.s, s->sync_k);
		return;
	}
	dr_buf_printf(out,
		      "%s: RPO 0: no acknowledged write is lost with any one site (ANY %" PRIu32
		      " of up to %" PRIu32 ")",
		      s->name.s, s->sync_k, s->sync_set_max);
	if (s->when_alone == DR_ALONE_CONTINUE)
		dr_buf_printf(out,
			      "; after %" PRIu32
			      " ms without any standby it writes alone, and what is written then is at risk",
			      s->alone_after_ms);
	else
		dr_buf_printf(out, "; without any standby writes block");
	dr_buf_printf(out, "\n");
}
