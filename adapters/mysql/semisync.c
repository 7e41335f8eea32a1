/* semisync.c -- a primary waits for any k that acknowledge, and a standby acknowledges because it was told to
 * (docs/decisions/0020-semi-sync.md).
 *
 * A standby's setting is on only while its receiver connects: so a connection that was made for it acknowledges, and one
 * that the server makes anew by itself does not.  That it was told is kept in a second setting, in the server's memory
 * alone: whoever finds it there knows that the server was not restarted since, and has all that it acknowledged. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/mysql/my.h"
#include "base/parse.h"

/* The longest that the servers take; less would let commits go on without anybody. */
static const uint64_t NEVER_MS = UINT64_MAX;
enum { AGAIN_MS = 5, DUMPS_MAX = 256, WAITS_MAX = 3, STUCK_MS = 30 /* many times what an acknowledgement takes */ };

/* A commit waits until k have it, however long that takes. */
static bool waits(const struct my_semi *s)
{
	return s->source && s->works && s->after_sync && s->waits_for_nobody && s->timeout_ms >= NEVER_MS / 2;
}

static void tell(struct my_run *r)
{
	const struct my_semi *s = &r->semi;

	r->evidence.sync_k = !r->state.read_only && waits(s) ? (uint32_t)s->k : 0;
	r->evidence.acks = r->state.read_only && r->state.asked && s->acks && s->told;
}

/* Whoever may not read it, or has no plugin for it, has nothing of it. */
enum dr_err my_semi_read(struct my_run *r, struct dr_error *e)
{
	struct my_semi *s = &r->semi;
	struct my_row row;
	enum dr_err rv = my_query(r, my_sql(r->dialect, MY_SQL_SEMI_READ), &row, e);

	*s = (struct my_semi){ .known = false };
	if (rv == DR_E_NOT_FOUND || rv == DR_E_DENIED)
		return DR_OK;
	if (rv != DR_OK)
		return rv;
	s->known = row.cell[0][0] != '\0';
	s->source = my_u64(row.cell[0]) != 0;
	s->after_sync = my_u64(row.cell[1]) != 0;
	s->waits_for_nobody = my_u64(row.cell[2]) != 0;
	s->timeout_ms = my_u64(row.cell[3]);
	s->k = my_u64(row.cell[4]);
	s->works = my_u64(row.cell[5]) != 0;
	s->waiting = my_u64(row.cell[6]);
	s->replica = my_u64(row.cell[7]) != 0;
	s->acks = my_u64(row.cell[8]) != 0;
	s->told = my_u64(row.cell[9]) != 0;
	my_row_end(&row);
	tell(r);
	return DR_OK;
}

enum dr_err my_op_positions(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_op_probe(r, e);
	return rv == DR_OK ? my_semi_read(r, e) : rv;
}

/* ---- the primary's side */

static bool waits_for(const struct my_run *r, uint32_t k)
{
	return k == 0 ? !r->semi.source : waits(&r->semi) && r->semi.k == k;
}

/* A write that is acknowledged outlives a power cut: a server that was adopted may be set otherwise. */
static enum dr_err be_durable(struct my_run *r, struct dr_error *e)
{
	uint64_t is = 0;
	unsigned n = 0;
	enum dr_err rv = my_numbers(r, "SELECT @@global.sync_binlog = 1 AND @@global.innodb_flush_log_at_trx_commit = 1", &is, 1,
				    &n, e);

	if (rv != DR_OK || (n == 1 && is == 1))
		return rv;
	rv = my_do(r, e, "SET GLOBAL sync_binlog = 1, GLOBAL innodb_flush_log_at_trx_commit = 1");
	return rv == DR_OK ? DR_OK : dr_wrap(e, "durability: sync needs sync_binlog and innodb_flush_log_at_trx_commit at 1");
}

enum dr_err my_semi_wait_for(struct my_run *r, uint32_t k, struct dr_error *e)
{
	enum dr_err rv = my_semi_read(r, e);

	if (rv == DR_OK && k > 0)
		rv = be_durable(r, e);
	if (rv != DR_OK || waits_for(r, k))
		return rv;
	if (!r->semi.known)
		return dr_fail(e, DR_E_UNSUPPORTED, "it has no semi-synchronous replication: start it with plugin-load-add ="
						    " semisync_source.so and semisync_replica.so, or take durability: async");
	if (k > 1 && r->dialect == MY_MARIADB)
		return dr_fail(e, DR_E_UNSUPPORTED, "MariaDB waits for one standby, whichever is first, never for %" PRIu32, k);
	if (k == 0)
		return my_say(r, MY_SQL_SEMI_OFF, e);
	rv = my_do(r, e, "%s%" PRIu32, my_sql(r->dialect, MY_SQL_SEMI_K), k);
	return rv == DR_OK ? my_say(r, MY_SQL_SEMI_ON, e) : rv;
}

/* A connection that acknowledges ends, and the standby's next one does not.  Nobody is spared: which is whose, it does not
 * tell. */
static enum dr_err cut_standbys(struct my_run *r, struct dr_error *e)
{
	uint64_t id[DUMPS_MAX], now[DUMPS_MAX];
	unsigned n = 0, left = 0;
	enum dr_err rv = my_numbers(r, my_sql(r->dialect, MY_SQL_DUMPS), id, DUMPS_MAX, &n, e);

	if (rv == DR_OK && n == DUMPS_MAX)
		return dr_fail(e, DR_E_FULL, "%d connections of standbys or more: nobody would be spared", DUMPS_MAX);
	for (unsigned i = 0; rv == DR_OK && i < n; i++) {
		rv = my_do(r, e, "KILL %" PRIu64, id[i]);
		rv = rv == DR_E_FAILED ? DR_OK : rv; /* it has gone by itself */
	}
	do {
		if (rv == DR_OK)
			rv = my_numbers(r, my_sql(r->dialect, MY_SQL_DUMPS), now, DUMPS_MAX, &left, e);
		bool any = false;
		for (unsigned i = 0; i < n * left && !any; i++)
			any = id[i / left] == now[i % left];
		if (rv != DR_OK || !any)
			return rv;
		my_tell(r, "a standby's connection has not ended yet");
		rv = my_pause(r, AGAIN_MS, e);
	} while (rv == DR_OK);
	return rv;
}

enum dr_err my_op_sync_set(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_begin_change(r, e);

	if (rv == DR_OK && r->state.read_only)
		rv = dr_fail(e, DR_E_REFUSED, "it is a standby: read_only is on");
	if (rv == DR_OK && r->args.cut)
		rv = cut_standbys(r, e);
	if (rv == DR_OK)
		rv = my_semi_wait_for(r, r->args.k, e);
	if (rv == DR_OK)
		rv = my_op_positions(r, e); /* over a fresh connection */
	if (rv == DR_OK && !waits_for(r, r->args.k))
		rv = dr_fail(e, DR_E_CONFLICT, "it does not wait for %" PRIu32 " standbys as it was told: somebody else has changed"
			     " rpl_semi_sync_* again, or the server has given up waiting", r->args.k);
	return rv;
}

/* ---- the standby's side */

enum dr_err my_acks_set(struct my_run *r, bool on, struct dr_error *e)
{
	enum dr_err rv;

	if (!on && r->semi.known && !r->semi.replica && !r->semi.told)
		return DR_OK;
	if (!r->semi.known)
		return on ? dr_fail(e, DR_E_UNSUPPORTED, "it cannot acknowledge: start it with plugin-load-add ="
				    " semisync_replica.so") : DR_OK;
	rv = on ? be_durable(r, e) : DR_OK;
	if (rv == DR_OK)
		rv = my_say(r, on ? MY_SQL_TOLD : MY_SQL_UNTOLD, e);
	return rv == DR_OK ? my_say(r, on ? MY_SQL_ACKS_ON : MY_SQL_ACKS_OFF, e) : rv;
}

/* The mark names the applier, which comes up a moment after it was started. */
static enum dr_err mark_applier(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_semi_read(r, e);

	while (rv == DR_OK && !r->semi.told) {
		my_tell(r, "its applier is not there yet");
		rv = my_pause(r, AGAIN_MS, e);
		if (rv == DR_OK)
			rv = my_say(r, MY_SQL_TOLD, e);
		if (rv == DR_OK)
			rv = my_semi_read(r, e);
	}
	return rv;
}

/* What it received and has not applied is thrown away once both threads stand still. */
bool my_acks_kept(const struct my_run *r)
{
	const struct my_state *s = &r->state;
	bool runs = s->receiving || s->connecting || s->applying;

	return r->semi.told && (runs || !my_has_rest(s));
}

/* The connection that was made for it stands; the next one is not to acknowledge unasked.  A server says that it acknowledges
 * from the receiver's start on, and reads the setting when it asks for the log; turned off in between, the receiver breaks. */
enum dr_err my_acks_seen(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = mark_applier(r, e);

	if (rv == DR_OK)
		rv = my_read(r, e);
	if (rv == DR_OK)
		rv = my_semi_read(r, e);
	while (rv == DR_OK && !(r->semi.acks && r->state.asked)) {
		my_tell(r, "it does not acknowledge yet");
		rv = my_pause(r, AGAIN_MS, e);
		if (rv == DR_OK)
			rv = my_read(r, e);
		if (rv == DR_OK)
			rv = my_semi_read(r, e);
	}
	if (rv == DR_OK && r->semi.replica)
		rv = my_say(r, MY_SQL_ACKS_OFF, e);
	return rv;
}

static enum dr_err drain_or_go_on(struct my_run *r, struct dr_error *e)
{
	struct dr_error other;
	enum dr_err rv = my_drain(r, e);

	if (rv != DR_OK)
		dr_best_effort(my_say(r, MY_SQL_START_IO, &other));
	return rv;
}

enum dr_err my_acks_switch(struct my_run *r, bool on, struct dr_error *e)
{
	enum dr_err rv = my_semi_read(r, e);
	bool right = on ? r->semi.acks && r->semi.told : !r->semi.acks && !r->semi.told;

	if (rv != DR_OK)
		return rv;
	if (right) /* but for what a try before may have left */
		return r->semi.replica ? my_say(r, MY_SQL_ACKS_OFF, e) : DR_OK;
	/* The applier runs: else what was received would be thrown away (replica.c). */
	if (!r->state.applying)
		rv = my_say(r, MY_SQL_START_SQL, e);
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_STOP_IO, e);
	/* What it has acknowledged it must not forget in a restart from now on: that it did would not be seen any more. */
	if (rv == DR_OK && !on)
		rv = drain_or_go_on(r, e);
	if (rv == DR_OK)
		rv = my_acks_set(r, on, e);
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_START_IO, e);
	return rv == DR_OK && on ? my_acks_seen(r, e) : rv;
}

/* What we have received before the present connection was made, MariaDB does not ask us for again; and while a commit waits for
 * that, no other one can be written that would bring an acknowledgement.  It is with us, which is all that is asked: so the
 * wait is ended, at the cost of one client's connection. */
struct wait_look {
	uint64_t session; /* that waits; 0: none */
	uint64_t at;      /* the primary's position */
	unsigned ended;
};

static enum dr_err end_a_wait(struct my_run *r, uint64_t received, struct wait_look *before, bool *any, struct dr_error *e)
{
	uint64_t waits = 0, at = 0;
	unsigned n = 0;
	enum dr_err rv = my_connect_to(r, &r->args.primary_at, e);

	*any = false;
	if (rv == DR_OK)
		rv = my_read(r, e);
	at = r->state.position;
	if (rv == DR_OK)
		rv = my_numbers(r, my_sql(r->dialect, MY_SQL_WAITERS), &waits, 1, &n, e);
	if (rv == DR_OK)
		rv = my_read(r, e);
	/* A session that commits one after the other waits at nearly each look, and needs nobody's help. */
	bool moves = r->state.position != at || (before->session != 0 && before->at != at);
	*any = rv == DR_OK && n == 1 && !moves;
	/* The same one, a while later, and nothing was committed meanwhile: it is what we have and are not asked for. */
	bool stuck = *any && waits == before->session && !r->state.read_only && received >= at;
	before->session = *any ? waits : 0;
	before->at = at;
	if (!stuck)
		return rv;
	if (before->ended++ >= WAITS_MAX)
		return dr_fail(e, DR_E_CONFLICT, "commits of the primary's wait again and again for what is here already");
	rv = my_do(r, e, "KILL %" PRIu64, waits);
	return rv == DR_E_FAILED ? DR_OK : rv; /* it has gone by itself */
}

/* MySQL writes on while one waits: one more commit, sent over the present connection, brings an acknowledgement for it, too.  Its
 * session ends with that; where it takes others besides us, it is theirs to bring. */
static enum dr_err bring_a_commit(struct my_run *r, struct dr_error *e)
{
	char member[2 * DR_NAME_MAX + 1];
	uint64_t waits = 0;
	unsigned n = 0;
	enum dr_err rv = my_connect_to(r, &r->args.primary_at, e);

	if (rv == DR_OK)
		rv = my_numbers(r, my_sql(r->dialect, MY_SQL_WAITERS), &waits, 1, &n, e);
	if (rv != DR_OK || n == 0)
		return rv;
	my_quote(r, member, sizeof(member), r->target.member.s);
	return my_send(r, e, "INSERT INTO drcoord.heartbeat (place, member, epoch, beats, at) VALUES (64 + CONNECTION_ID() %% 64,"
			     " '%s', %" PRIu64 ", 1, NOW(6)) ON DUPLICATE KEY UPDATE beats = beats + 1, at = VALUES(at)",
		       member, r->state.epoch);
}

enum dr_err my_end_waits(struct my_run *r, struct dr_error *e)
{
	struct wait_look before = { .session = 0 };
	bool any = true;
	enum dr_err rv = DR_OK;

	if (r->dialect != MY_MARIADB)
		return bring_a_commit(r, e);
	while (rv == DR_OK && any) {
		rv = my_read_standby(r, e);
		uint64_t received = r->state.received;
		if (rv == DR_OK)
			rv = end_a_wait(r, received, &before, &any, e);
		my_tell(r, "a commit of the primary's waits for what is here already");
		if (rv == DR_OK && any)
			rv = my_pause(r, STUCK_MS, e);
	}
	return rv;
}

/* What the primary has by now, by its own word; then on our own connection again. */
static enum dr_err source_position(struct my_run *r, uint64_t *at, struct dr_error *e)
{
	enum dr_err rv = my_connect_to(r, &r->args.primary_at, e);

	if (rv == DR_OK)
		rv = my_read(r, e);
	if (rv == DR_OK && r->state.read_only)
		rv = dr_fail(e, DR_E_REFUSED, "the primary that it is to acknowledge to takes no writes");
	*at = r->state.position;
	return rv;
}

/* It may have acknowledged before, and have lost that in a restart: whoever acknowledges has all from before. */
static enum dr_err catch_up(struct my_run *r, struct dr_error *e)
{
	uint64_t until = 0;
	enum dr_err rv = source_position(r, &until, e);

	if (rv == DR_OK)
		rv = my_read_standby(r, e);
	/* MySQL's breaks where it was cut off: it takes its next connection for one that acknowledges. */
	if (rv == DR_OK && r->state.received < until && !r->state.receiving && !r->state.connecting && r->state.applying)
		rv = my_say(r, MY_SQL_START_IO, e);
	while (rv == DR_OK && r->state.received < until) {
		my_tell(r, "%" PRIu64 " transactions of the primary's are not received yet", until - r->state.received);
		rv = my_pause(r, AGAIN_MS, e);
		if (rv == DR_OK)
			rv = my_read(r, e);
	}
	return rv;
}

enum dr_err my_op_acking(struct my_run *r, struct dr_error *e)
{
	bool on = r->args.k > 0;
	enum dr_err rv = my_read_standby(r, e);

	if (rv == DR_OK)
		rv = my_semi_read(r, e);
	bool kept = my_acks_kept(r);
	if (rv == DR_OK && on && !my_follows(r))
		rv = dr_fail(e, DR_E_REFUSED, "it does not follow %s:%u", r->args.primary_at.host, r->args.primary_at.port);
	if (rv == DR_OK && on && !(r->semi.acks && r->semi.told))
		rv = catch_up(r, e);
	if (rv == DR_OK && my_follows(r))
		rv = my_acks_switch(r, on, e);
	else if (rv == DR_OK)
		rv = my_acks_set(r, on, e);
	if (rv == DR_OK && on)
		rv = my_end_waits(r, e);
	if (rv == DR_OK)
		rv = my_op_positions(r, e); /* over a fresh connection */
	r->evidence.acked = kept;
	if (rv == DR_OK && (on ? !r->evidence.acks : r->semi.acks || r->semi.replica))
		rv = dr_fail(e, DR_E_CONFLICT, "it does not acknowledge as it was told: it was cut off, or somebody else has"
			     " changed it");
	return rv;
}
