/* server.c -- one server's part in an op: read, compare, swap, read again.
 *
 *            +--------------------- pause <--------------------+
 *            v                                                 | trouble, NXRRSET or YXRRSET,
 *   begin -> READING --not as wanted--> UPDATING --answered----+ or no answer: unknown
 *            |   ^                        |                    |
 *            |   +-----accepted-----------+                    |
 *            +--as wanted, STALE, or no way on--> ended <------+ too often
 *
 * Every READING is a fresh connection; an update goes over the connection that was read from.  What decides
 * is always what a reading showed: an answer to an update only says when to read again.  An update that was
 * not answered may have been carried out, now or later; its prerequisites make that harmless. */
#include "adapters/dns_rfc2136/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/assert.h"
#include "sys/clock.h"

enum {
	TROUBLES_MAX = 4,  /* connections that fail or stay silent, in one op */
	UPDATES_MAX = 16,  /* swaps lost to somebody else, or unanswered */
	UNCHANGED_MAX = 7, /* readings after an accepted update that show no change: 20 ms doubling, 2.5 s */
	PAUSE_MS = 20,
	PAUSE_MAX_MS = 1280,
};

static uint16_t random_u16(void)
{
	uint16_t v = 0;
	int rc = RAND_bytes((unsigned char *)&v, sizeof(v));
	dr_assert(rc == 1);
	return v;
}

static void drop_link(struct dr_dns_server *sv)
{
	if (sv->link != NULL)
		dr_dns_link_drop(sv->link);
	sv->link = NULL;
}

void dr_dns_server_drop(struct dr_dns_server *sv)
{
	drop_link(sv);
	(void)uv_timer_stop(&sv->timer);
	sv->phase = DR_DNS_IDLE;
}

/* e == NULL: it shows what was wanted (or, observing, showed what there is). */
static void end(struct dr_dns_server *sv, const struct dr_error *e)
{
	dr_assert(sv->phase != DR_DNS_IDLE);
	dr_dns_server_drop(sv);
	sv->ok = e == NULL;
	if (e != NULL && e != &sv->why)
		sv->why = *e;
	dr_dns_server_ended(sv);
}

void dr_dns_server_give_up(struct dr_dns_server *sv)
{
	if (sv->phase == DR_DNS_IDLE)
		return;
	if (sv->why.code == DR_OK)
		(void)dr_fail(&sv->why, DR_E_UNREACHABLE, "no answer in time");
	end(sv, &sv->why);
}

static void start_reading(struct dr_dns_server *sv);

static void on_pause_over(uv_timer_t *t)
{
	start_reading(t->data);
}

/* Half to one and a half times ms, so that two leaders that collide do not keep colliding. */
static void pause_then_read(struct dr_dns_server *sv, unsigned doublings)
{
	uint32_t ms = doublings < 6 ? (uint32_t)PAUSE_MS << doublings : PAUSE_MAX_MS;
	drop_link(sv);
	sv->phase = DR_DNS_PAUSED;
	(void)uv_timer_start(&sv->timer, on_pause_over, ms / 2 + random_u16() % ms, 0);
}

/* The connection is of no more use; what it left undone is found out by reading again. */
static void trouble(struct dr_dns_server *sv, const struct dr_error *e)
{
	sv->why = *e;
	if (++sv->troubles >= TROUBLES_MAX)
		end(sv, &sv->why);
	else
		pause_then_read(sv, sv->troubles);
}

static void on_exchange_late(uv_timer_t *t)
{
	struct dr_dns_server *sv = t->data;
	struct dr_error e;
	const char *what = !dr_dns_link_connected(sv->link) ? "the connection was not accepted"
			   : sv->phase == DR_DNS_READING    ? "it accepts connections but does not answer"
							    : "it did not answer the update";
	(void)dr_fail(&e, DR_E_UNREACHABLE, "%s within %u ms", what, sv->dns->exchange_ms);
	trouble(sv, &e);
}

static void on_link_failed(void *ctx, const struct dr_error *e)
{
	trouble(ctx, e);
}

static void on_link_gone(void *ctx)
{
	struct dr_dns_server *sv = ctx;
	dr_dns_handle_gone(sv->dns);
}

static void send_update(struct dr_dns_server *sv)
{
	struct dr_dns *d = sv->dns;
	struct dr_dns_out out;
	struct dr_error e;

	sv->before = sv->seen;
	sv->accepted = false;
	sv->updates++;
	sv->id[0] = random_u16();
	dr_dns_put_update(&out, sv->id[0], &d->route, &sv->before);
	dr_tsig_sign(&out, &d->key, dr_clock_wall_ms() / 1000, NULL, &sv->mac);
	if (out.over) {
		(void)dr_fail(&e, DR_E_CONFLICT, "the old record sets are too large for one update");
		end(sv, &e);
		return;
	}
	sv->phase = DR_DNS_UPDATING;
	dr_dns_link_send(sv->link, out.data, out.len);
	(void)uv_timer_start(&sv->timer, on_exchange_late, d->exchange_ms, 0);
}

/* Nobody else's update is between: the server said yes and still shows the old. */
static bool ignored_the_update(struct dr_dns_server *sv)
{
	char shows[128];
	if (!sv->accepted || !dr_dns_seen_eq(&sv->seen, &sv->before))
		return false;
	if (++sv->unchanged < UNCHANGED_MAX) {
		pause_then_read(sv, sv->unchanged - 1);
		return true;
	}
	dr_dns_seen_text(&sv->seen, shows, sizeof(shows));
	(void)dr_fail(&sv->why, DR_E_FAILED,
		      "accepted the update but still shows %s: does it serve this zone from "
		      "elsewhere, or keep old answers?",
		      shows);
	end(sv, &sv->why);
	return true;
}

/* A reading is whole: is it as wanted, and if not, what next? */
static void decide(struct dr_dns_server *sv)
{
	struct dr_dns *d = sv->dns;
	struct dr_error e;
	enum dr_err rv = dr_dns_seen_check(&sv->seen, &d->route, &e);

	if (rv != DR_OK && rv != DR_E_CONFLICT) {
		if (rv == DR_E_FAILED)
			trouble(sv, &e);
		else
			end(sv, &e);
		return;
	}
	sv->answered = true;
	sv->shown = sv->seen;
	if (sv->seen.marker_epoch > d->highest)
		d->highest = sv->seen.marker_epoch;
	if (d->op->kind == DR_OP_OBSERVED) {
		end(sv, rv == DR_OK ? NULL : &e);
	} else if (d->highest > d->route.epoch) {
		(void)dr_fail(&e, DR_E_STALE, "epoch %" PRIu64 " is there already, ours is %" PRIu64,
			      d->highest, d->route.epoch);
		end(sv, &e);
	} else if (rv != DR_OK) {
		end(sv, &e);
	} else if (dr_dns_seen_is_wanted(&sv->seen, &d->route, sv->updates == 0)) {
		end(sv, NULL);
	} else if (ignored_the_update(sv)) {
		return;
	} else if (sv->updates >= UPDATES_MAX) {
		if (sv->why.code == DR_OK)
			(void)dr_fail(&sv->why, DR_E_BUSY,
				      "somebody else changed the record %u times meanwhile", sv->updates);
		end(sv, &sv->why);
	} else {
		send_update(sv);
	}
}

static void take_reading(struct dr_dns_server *sv, const struct dr_dns_msg *m)
{
	struct dr_error e;
	for (unsigned i = 0; i < DR_DNS_ASKS; i++) {
		if (sv->id[i] != m->id || sv->seen.answer[i].in)
			continue;
		enum dr_err rv = dr_dns_seen_take(&sv->seen, &sv->dns->route, (enum dr_dns_ask)i, m, &e);
		if (rv != DR_OK) {
			trouble(sv, &e);
			return;
		}
		break;
	}
	if (dr_dns_seen_whole(&sv->seen)) {
		(void)uv_timer_stop(&sv->timer);
		decide(sv);
	}
}

/* RFC 8945, 5.2: an answer with a TSIG error says in plain words what is wrong with our key.  It is mostly
 * unsigned; believing it costs nothing but this try. */
static bool tsig_refused(struct dr_dns_server *sv, const struct dr_dns_msg *m)
{
	const struct dr_spec_route *r = &sv->dns->session->target.route;
	struct dr_error e;
	if (!m->has_tsig || dr_dns_rcode(m) != DR_DNS_NOTAUTH || m->tsig.error == 0)
		return false;
	const char *word = dr_dns_rcode_name(m->tsig.error);
	if (m->tsig.error == DR_DNS_BADTIME)
		(void)dr_fail(&e, DR_E_AUTH,
			      "rejects the signature's time (BADTIME): its clock and ours are over %d s "
			      "apart; check time synchronisation on both",
			      DR_TSIG_FUDGE_S);
	else if (m->tsig.error == DR_DNS_BADKEY)
		(void)dr_fail(
		    &e, DR_E_AUTH,
		    "does not know TSIG key \"%s\" with %s, or does not let it update (BADKEY): configure it "
		    "there, or correct the key in the route (secret in %s)",
		    r->tsig_key, dr_tsig_algorithm_name(r->tsig_algorithm), r->tsig_secret_file);
	else
		(void)dr_fail(&e, DR_E_AUTH,
			      "rejects our signature with TSIG key \"%s\" (%s): the secret in %s is not "
			      "the server's",
			      r->tsig_key, word, r->tsig_secret_file);
	end(sv, &e);
	return true;
}

/* vouched: the answer was signed with our key, so the server knows it. */
static void update_failed(struct dr_dns_server *sv, unsigned rcode, bool vouched)
{
	const struct dr_spec_route *r = &sv->dns->session->target.route;
	const char *word = dr_dns_rcode_name(rcode);
	struct dr_error e;
	switch (rcode) {
	case DR_DNS_REFUSED:
		(void)dr_fail(&e, DR_E_AUTH,
			      "refuses the update (REFUSED): allow TSIG key \"%s\" (secret in %s) to update "
			      "A, AAAA at %s and TXT at _drcoord.%s",
			      r->tsig_key, r->tsig_secret_file, r->record, r->record);
		break;
	case DR_DNS_NOTAUTH:
		if (vouched)
			(void)dr_fail(&e, DR_E_NOT_FOUND,
				      "is no primary of zone %s (NOTAUTH): name the zone's primary in the "
				      "route's servers",
				      r->zone);
		else /* Knot from 3.4 on says no more than that (RFC 8945, 5.2.1 asks for BADKEY) */
			(void)dr_fail(&e, DR_E_AUTH,
				      "answers NOTAUTH, unsigned: it does not know TSIG key \"%s\" with %s (BADKEY): "
				      "configure it there, or correct the key in the route (secret in %s); or it is no "
				      "primary of zone %s",
				      r->tsig_key, dr_tsig_algorithm_name(r->tsig_algorithm), r->tsig_secret_file,
				      r->zone);
		break;
	case DR_DNS_NOTZONE:
		(void)dr_fail(&e, DR_E_INVALID, "says that %s is not in zone %s (NOTZONE)", r->record,
			      r->zone);
		break;
	case DR_DNS_NOTIMP:
		(void)dr_fail(&e, DR_E_UNSUPPORTED, "does not do dynamic updates (NOTIMP)");
		break;
	case DR_DNS_SERVFAIL:
		(void)dr_fail(&e, DR_E_FAILED, "cannot carry out the update now (SERVFAIL): see its log");
		trouble(sv, &e);
		return;
	default:
		(void)dr_fail(&e, DR_E_PROTOCOL, "answers the update with %s (%u)", word, rcode);
		break;
	}
	end(sv, &e);
}

static void take_update_answer(struct dr_dns_server *sv, const struct dr_dns_msg *m, const void *data)
{
	struct dr_dns *d = sv->dns;
	unsigned rcode = dr_dns_rcode(m);
	struct dr_error e;

	if (m->id != sv->id[0])
		return;
	if (tsig_refused(sv, m))
		return;
	enum dr_err rv = dr_tsig_verify(data, m, &d->key, &sv->mac, dr_clock_wall_ms() / 1000, &e);
	switch (rcode) {
	case DR_DNS_NOERROR:
		sv->accepted = rv == DR_OK;
		if (rv != DR_OK) {
			sv->why = e;
			pause_then_read(sv, 0);
		} else {
			start_reading(sv);
		}
		break;
	case DR_DNS_YXDOMAIN:
	case DR_DNS_YXRRSET:
	case DR_DNS_NXRRSET:
	case DR_DNS_NXDOMAIN:
		pause_then_read(sv, 0);
		break;
	default:
		update_failed(sv, rcode, rv == DR_OK);
		break;
	}
}

static void on_message(void *ctx, const uint8_t *data, size_t len)
{
	struct dr_dns_server *sv = ctx;
	struct dr_dns_msg m;
	struct dr_error e;
	if (dr_dns_decode(data, len, &m, &e) != DR_OK) {
		trouble(sv, &e);
		return;
	}
	unsigned opcode = sv->phase == DR_DNS_UPDATING ? DR_DNS_OP_UPDATE : DR_DNS_OP_QUERY;
	if ((m.flags & DR_DNS_QR) == 0 || (m.flags & DR_DNS_OPCODE_MASK) != opcode) {
		(void)dr_fail(&e, DR_E_PROTOCOL, "it answers with what is no answer");
		trouble(sv, &e);
	} else if (sv->phase == DR_DNS_READING) {
		take_reading(sv, &m);
	} else if (sv->phase == DR_DNS_UPDATING) {
		take_update_answer(sv, &m, data);
	}
}

/* All four questions go out together, in one round trip. */
static void start_reading(struct dr_dns_server *sv)
{
	struct dr_dns *d = sv->dns;
	struct dr_dns_link_owner owner = {
		.ctx = sv, .message = on_message, .failed = on_link_failed, .gone = on_link_gone
	};
	struct dr_dns_out out;
	struct dr_error e;

	drop_link(sv);
	sv->phase = DR_DNS_READING;
	memset(&sv->seen, 0, sizeof(sv->seen));
	d->handles++;
	if (dr_dns_link_open(&sv->link, d->session->loop, &sv->at, &owner, &e) != DR_OK) {
		trouble(sv, &e);
		return;
	}
	uint16_t id = random_u16();
	for (unsigned i = 0; i < DR_DNS_ASKS; i++) {
		sv->id[i] = (uint16_t)(id + i);
		dr_dns_put_ask(&out, sv->id[i], &d->route, (enum dr_dns_ask)i);
		dr_dns_link_send(sv->link, out.data, out.len);
	}
	(void)uv_timer_start(&sv->timer, on_exchange_late, d->exchange_ms, 0);
}

void dr_dns_server_begin(struct dr_dns_server *sv)
{
	dr_assert(sv->phase == DR_DNS_IDLE);
	sv->accepted = sv->answered = sv->ok = false;
	sv->updates = sv->troubles = sv->unchanged = 0;
	memset(&sv->shown, 0, sizeof(sv->shown));
	dr_error_clear(&sv->why);
	start_reading(sv);
}
