/* judge.c -- each op's question about one reading of a server: does the state hold, and if not, what to do.  Pure. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "adapters/redis/red.h"

enum { AGAIN_MS = 10, SETTLE_LOOKS = 20, TRIES = 2, AIMED_LOOKS = 10, AIMED_TRIES = 6, NEAR_S = 1 };
#define NEAR_S_TEXT "1" /* the least there is: replicas say once a second how far they are */

/* The promotion's mark, the first write of the new primary: before any client's, since it stands in one transaction with what
 * makes the server a primary.  A script, as a replica refuses to queue a write, and as it must name the new stream.  The data's
 * id stays; where all was deleted it is the service's (ARGV[3]), or none while that is not known, or a new one. */
static const char sign_script[] =
	"local i = redis.call('INFO', 'replication') "
	"local origin = string.match(i, 'master_replid:(%x+)') "
	"local h, had = redis.pcall('HGETALL', KEYS[1]), {} "
	"for n = 1, #h, 2 do had[h[n]] = h[n + 1] end "
	"if (tonumber(had.epoch or '') or 0) > tonumber(ARGV[1]) then "
	"return redis.error_reply('DRCOORD it has seen epoch ' .. had.epoch .. ' already') end "
	"local id = had.id or (ARGV[3] == 'new' and string.sub(origin, 1, 16)) or ARGV[3] "
	"redis.call('DEL', KEYS[1]) "
	"redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'member', ARGV[2], "
	"'origin', origin, 'at', string.match(i, 'master_repl_offset:(%d+)')) "
	"if id ~= '' then redis.call('HSET', KEYS[1], 'id', id) end "
	"return 1";

static const char close_script[] =
	"local i = redis.call('INFO', 'replication') "
	"redis.call('HSET', KEYS[1], 'closed', string.match(i, 'master_repl_offset:(%d+)')) "
	"return 1";

void red_refuse(struct red_todo *t, enum dr_err code, const char *fmt, ...)
{
	va_list ap;

	t->verdict = RED_FAIL;
	t->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(t->text, sizeof(t->text), fmt, ap);
	va_end(ap);
}

void red_wait(struct red_todo *t, const char *fmt, ...)
{
	va_list ap;

	t->verdict = RED_WAIT;
	t->pause_ms = AGAIN_MS;
	va_start(ap, fmt);
	(void)vsnprintf(t->text, sizeof(t->text), fmt, ap);
	va_end(ap);
}

static void put_number(char dst[24], uint64_t n)
{
	(void)snprintf(dst, 24, "%" PRIu64, n);
}

static void say_sign(const struct red_sight *s, struct red_todo *t, bool draws)
{
	char epoch[24], id[RED_IDENTITY_DIGITS + 1] = "";

	put_number(epoch, s->args->epoch);
	if (s->args->system_id != 0)
		(void)snprintf(id, sizeof(id), "%016" PRIx64, s->args->system_id);
	else if (draws)
		(void)snprintf(id, sizeof(id), "new");
	RED_SAY(t, "EVAL", sign_script, "1", RED_LINEAGE, epoch, s->target->member.s, id);
}

/* A primary whose data says that it was promoted just so, and that this is its stream. */
static bool is_signed(const struct red_state *m)
{
	return !m->replica && m->lineage.there && !m->lineage.closed && strcmp(m->lineage.origin, m->id) == 0;
}

/* Its data says that it was promoted in this epoch. */
static bool is_ours(const struct red_sight *s)
{
	const struct red_lineage *l = &s->mine->lineage;
	return l->there && l->epoch == s->args->epoch && strcmp(l->member, s->target->member.s) == 0;
}

bool red_is_renamed(const struct red_sight *s)
{
	return is_ours(s) && strcmp(s->mine->lineage.origin, s->mine->id) != 0;
}

static bool is_others(const struct red_sight *s)
{
	uint64_t id = s->mine->lineage.there ? s->mine->lineage.identity : 0; /* 0: somebody deleted all, or there is none yet */
	return s->args->system_id != 0 && id != 0 && id != s->args->system_id;
}

bool red_is_to_sign(const struct red_sight *s, bool draws)
{
	const struct red_lineage *l = &s->mine->lineage;
	bool stale = s->args->epoch > (l->there ? l->epoch : 0) || red_is_renamed(s);
	bool lacks = is_ours(s) && l->identity == 0 && (draws || s->args->system_id != 0);
	return !is_others(s) && (stale || lacks);
}

/* ---- looks */

void red_judge_probe(const struct red_sight *s, struct red_todo *t)
{
	(void)s;
	t->verdict = RED_HOLDS;
}

/* One that was a primary before drcoord came, or whose mark somebody has deleted with all else, gets it here. */
void red_judge_probe_write(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;
	char at[24];

	if (m->replica) {
		red_refuse(t, DR_E_REFUSED, "the server takes no writes: it is a replica");
		return;
	}
	t->verdict = RED_DO;
	t->wrote = true;
	put_number(at, m->offset);
	/* A new id is not for whoever looks: it may know less of the log than those who promote. */
	if (red_is_to_sign(s, false))
		say_sign(s, t, false);
	else
		RED_SAY(t, "HSET", RED_LINEAGE, is_signed(m) ? "at" : "beat", at);
}

/* One that is taken over was a primary before. */
void red_judge_signed(const struct red_sight *s, struct red_todo *t)
{
	t->verdict = RED_HOLDS;
	if (s->mine->replica || !red_is_to_sign(s, true))
		return;
	if (s->acted >= TRIES) {
		red_refuse(t, DR_E_CONFLICT, "somebody else takes its mark away again");
		return;
	}
	t->verdict = RED_DO;
	say_sign(s, t, true);
}

bool red_is_too_old(const struct red_state *m, struct red_todo *t)
{
	char version[32];

	if (!dr_version_is_old(red_product(m), m->version))
		return false;
	dr_version_text(red_product(m), m->version, version);
	red_refuse(t, DR_E_UNSUPPORTED, "server version %s; supported are Redis from 7.0 and Valkey from 7.2", version);
	return true;
}

#define KEEPS_NOTHING "it keeps nothing on disk: set appendonly yes (else save, which loses minutes)"

bool red_keeps_nothing(const struct red_state *m, struct red_todo *t)
{
	if (m->appends || m->save[0] != '\0')
		return false;
	red_refuse(t, DR_E_REFUSED, KEEPS_NOTHING);
	return true;
}

/* What somebody has changed since it was taken over, and is to mend. */
void red_judge_tended(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;

	t->verdict = RED_HOLDS;
	if (m->sentinels > 0)
		(void)snprintf(t->text, sizeof(t->text), "%" PRIu64 " listen as Sentinels do, who would undo what drcoord does: "
			       "CLIENT LIST TYPE pubsub shows them; say SENTINEL REMOVE to each", m->sentinels);
	else if (!m->appends)
		(void)snprintf(t->text, sizeof(t->text), "%s", m->save[0] == '\0' ? KEEPS_NOTHING :
			       "appendonly is no: a restart loses what was written since the last dump; set appendonly yes");
}

/* What stands in the way of taking a running server over. */
void red_judge_fit(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;

	t->verdict = RED_HOLDS;
	if (red_is_too_old(m, t))
		return;
	else if (m->cluster)
		red_refuse(t, DR_E_UNSUPPORTED, "cluster-enabled is yes: its kind is redis-cluster");
	else if (red_keeps_nothing(m, t))
		return;
	else if (m->sentinels > 0 && !s->target->sentinels.adopt)
		red_refuse(t, DR_E_REFUSED, "Sentinels watch it (%" PRIu64 "), and would undo what drcoord does: say SENTINEL"
			    " REMOVE to each, or sentinels: adopt in the node file", m->sentinels);
	else if (m->denied[0] != '\0')
		red_refuse(t, DR_E_DENIED, "its account may not all that fencing and promoting need: ACL SETUSER %s ~" RED_LINEAGE
			   "%s",
			   s->target->user[0] != '\0' ? s->target->user : "default", m->denied);
}

/* ---- on a standby */

bool red_settles(const struct red_sight *s, struct red_todo *t)
{
	bool moves = s->looks == 0 || s->mine->offset != s->offset_last;

	if (!s->mine->linked || s->looks >= SETTLE_LOOKS || !moves)
		return false;
	red_wait(t, "receiving the last of what was sent");
	t->pause_ms = 1;
	return true;
}

void red_judge_frozen(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;

	if (!m->replica) {
		red_refuse(t, DR_E_REFUSED, "it takes writes; a standby is a replica");
	} else if (m->nowhere) {
		t->verdict = RED_HOLDS;
	} else if (s->acted >= TRIES) {
		red_refuse(t, DR_E_CONFLICT, "somebody else makes it replicate from %s:%u", m->source.host, m->source.port);
	} else if (!red_settles(s, t)) {
		t->verdict = RED_DO;
		RED_SAY(t, "REPLICAOF", RED_NOWHERE_HOST, "0");
	}
}

static void say_follow(const struct red_sight *s, struct red_todo *t)
{
	char port[24];

	put_number(port, s->args->primary_at.port);
	RED_SAY(t, "CONFIG", "SET", "replica-read-only", "yes");
	if (s->target->replication_user[0] != '\0')
		RED_SAY(t, "CONFIG", "SET", "masteruser", s->target->replication_user);
	if (s->replication_secret[0] != '\0')
		RED_SAY(t, "CONFIG", "SET", "masterauth", s->replication_secret);
	if (s->target->ca_file[0] != '\0')
		RED_SAY(t, "CONFIG", "SET", "tls-replication", "yes");
	RED_SAY(t, "REPLICAOF", s->args->primary_at.host, port);
}

bool red_asks_anew(const struct red_sight *s)
{
	return !s->mine->syncing && s->acted < AIMED_TRIES && s->looks >= (unsigned)AIMED_LOOKS << s->acted;
}

void red_judge_following(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;
	const struct dr_address *to = &s->args->primary_at;
	bool aimed = m->replica && m->source.port == to->port && strcmp(m->source.host, to->host) == 0;

	if (!m->replica) {
		red_refuse(t, DR_E_REFUSED, "it takes writes; a standby is a replica");
	} else if (aimed && m->linked && !m->syncing) {
		t->verdict = RED_HOLDS;
	} else if (aimed && red_asks_anew(s)) {
		t->verdict = RED_DO;
		RED_SAY(t, "REPLICAOF", RED_NOWHERE_HOST, "0");
		say_follow(s, t);
	} else if (aimed) {
		red_wait(t, "%s %s:%u", m->syncing ? "being sent everything by" : "not receiving yet from", to->host, to->port);
	} else if (s->acted >= TRIES) {
		red_refuse(t, DR_E_CONFLICT, "somebody else makes it replicate from %s:%u", m->source.host, m->source.port);
	} else if (!red_may_not_follow(s, t)) {
		t->verdict = RED_DO;
		say_follow(s, t);
	}
}

/* ---- WRITABLE */

/* No CONFIG REWRITE: a server's own file keeps saying that it replicates from nowhere, so that whoever starts it starts no
 * second primary. */
static void say_promote(const struct red_sight *s, struct red_todo *t)
{
	t->verdict = RED_DO;
	RED_SAY(t, "CONFIG", "SET", "min-replicas-to-write", "0");
	RED_SAY(t, "MULTI");
	RED_SAY(t, "REPLICAOF", "NO", "ONE");
	say_sign(s, t, true);
	RED_SAY(t, "CLIENT", "KILL", "TYPE", "normal");
	RED_SAY(t, "EXEC");
}

bool red_is_another(const struct red_sight *s, struct red_todo *t)
{
	if (!s->mine->replica || !is_others(s))
		return false;
	red_refuse(t, DR_E_BEHIND, "its data is not the service's: its id is %016" PRIx64 ", not %016" PRIx64,
		   s->mine->lineage.identity, s->args->system_id);
	return true;
}

bool red_is_behind(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;

	if (dr_op_has_place(s->args, m->timeline, m->position))
		return false;
	red_refuse(t, DR_E_BEHIND, "it has come back with less than it was chosen for: it is at %" PRIu64 " of epoch %" PRIu32
		   ", that was %" PRIu64 " of %" PRIu32, m->position, m->timeline, s->args->position, s->args->timeline);
	return true;
}

void red_judge_writable(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;
	uint64_t epoch = m->lineage.there ? m->lineage.epoch : 0;
	char at[24];

	if (m->cluster) {
		red_refuse(t, DR_E_UNSUPPORTED, "cluster-enabled is yes: its kind is redis-cluster");
	} else if (red_is_another(s, t)) {
		return;
	} else if (epoch > s->args->epoch) {
		red_refuse(t, DR_E_REFUSED, "it has seen epoch %" PRIu64 " already", epoch);
	} else if (is_signed(m) && epoch == s->args->epoch) {
		put_number(at, m->offset);
		t->verdict = RED_DO;
		t->wrote = true;
		RED_SAY(t, "HSET", RED_LINEAGE, "at", at);
	} else if (s->acted >= TRIES) {
		red_refuse(t, DR_E_CONFLICT, "somebody else makes it replicate from %s:%u", m->source.host, m->source.port);
	} else if (m->replica && m->syncing) {
		red_refuse(t, DR_E_REFUSED, "it is being sent everything by %s:%u, and has not got it all", m->source.host,
			   m->source.port);
	} else if (epoch < s->args->epoch && red_is_behind(s, t)) {
		return;
	} else if (m->replica) {
		say_promote(s, t);
	} else if (epoch == s->args->epoch && !red_is_renamed(s)) {
		red_refuse(t, DR_E_REFUSED, "its data says that %s was promoted in epoch %" PRIu64, m->lineage.member, epoch);
	} else {
		t->verdict = RED_DO;
		say_sign(s, t, true);
	}
}

/* ---- CLOSED */

/* Refused where too few replicas are near, which is no reason not to close it. */
static const char drain_script[] = "redis.pcall('HSET', KEYS[1], ARGV[1], ARGV[2]) return 1";

/* A write that the replicas are waited for, or a moment: what follows at once finds little that they have not.  No CLIENT PAUSE:
 * while it lasts replicas are not asked how far they are. */
static void say_drain(const struct red_state *m, struct red_todo *t)
{
	char replicas[24], at[24];

	put_number(replicas, m->replicas);
	put_number(at, m->offset);
	RED_SAY(t, "EVAL", drain_script, "1", RED_LINEAGE, is_signed(m) ? "at" : "beat", at);
	RED_SAY(t, "WAIT", replicas, "100");
}

/* A demotion does not end by itself, so that there is nothing to take back when whoever asked for it dies meanwhile.  The mark
 * goes to nobody else: it stays in its own files, and says after a restart that it has all of its stream. */
void red_judge_closed(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;

	if (m->replica && m->nowhere && s->args->end) {
		/* A signal is looked for ten times a second; nobody can write meanwhile. */
		t->verdict = RED_DO;
		t->goodbye = true;
		RED_SAY(t, "SHUTDOWN", m->appends ? "NOSAVE" : "SAVE", "NOW");
	} else if (m->replica && m->nowhere) {
		t->verdict = RED_HOLDS;
	} else if (m->replica) {
		red_refuse(t, DR_E_REFUSED, "it is a replica of %s:%u, and was no primary", m->source.host, m->source.port);
	} else if (s->acted >= TRIES) {
		red_refuse(t, DR_E_CONFLICT, "somebody else has made it writable again");
	} else {
		t->verdict = RED_DO;
		say_drain(m, t);
		RED_SAY(t, "MULTI");
		RED_SAY(t, "CONFIG", "SET", "min-replicas-to-write", "0"); /* for our own write, and nobody's between */
		if (is_signed(m))
			RED_SAY(t, "EVAL", close_script, "1", RED_LINEAGE);
		RED_SAY(t, "REPLICAOF", RED_NOWHERE_HOST, "0");
		RED_SAY(t, "CLIENT", "KILL", "TYPE", "normal");
		RED_SAY(t, "EXEC");
	}
}

/* ---- SYNC_SET */

/* No commit waits: the server answers before anybody else has the write.  But with fewer than k replicas that it heard within the
 * last second or two it takes no writes, and so does one that is cut off. */
void red_judge_sync_set(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;
	char near[24];

	if (m->replica) {
		red_refuse(t, DR_E_REFUSED, "the server takes no writes: it is a replica");
	} else if (m->near == s->args->k && (m->near == 0 || m->near_s == NEAR_S)) {
		t->verdict = RED_HOLDS;
	} else if (s->acted >= TRIES) {
		red_refuse(t, DR_E_CONFLICT, "somebody else sets min-replicas-to-write to %u", m->near);
	} else {
		t->verdict = RED_DO;
		put_number(near, s->args->k);
		RED_SAY(t, "CONFIG", "SET", "min-replicas-max-lag", NEAR_S_TEXT, "min-replicas-to-write", near);
	}
}
