/* judge.c -- each op's question about one reading of a node of a Redis Cluster: docs/decisions/0018.  Pure.
 *
 *   an agent's start                      fenced, deaf, keeps, stays: a standby, whatever the cluster calls it
 *     FOLLOWING    not deaf               receives; still fenced, so that a promotion by anybody else takes no writes
 *     FROZEN       deaf, no link
 *     WRITABLE     a master, not fenced   the lease is held: the only one who takes the first brake away
 *     CLOSED       fenced again           takes no writes; then it is told to end */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "adapters/redis_cluster/cluster.h"

enum {
	TRIES = 2, AIMED_TRIES = 6,
	VOTES_LOOKS = 100,  /* so long are votes waited for: 1 s, */
	VOTES_SOON_LOOKS = 30, /* ... and where it goes without; they come in a tenth of a second */
	MAJORITY_LOOKS = 200,
	PROMOTE_TRIES = 8
};

/* A primary is who could acknowledge a write. */
static bool takes_writes(const struct red_state *m)
{
	return !m->replica && !m->fenced;
}

static uint64_t epoch_of(const struct red_state *m)
{
	return m->lineage.there ? m->lineage.epoch : 0;
}

/* Its data says that it was promoted just so, and that this is its stream. */
static bool is_signed(const struct red_state *m)
{
	return m->lineage.there && strcmp(m->lineage.origin, m->id) == 0;
}

/* ---- what is said */

static void say_library(const struct red_sight *s, struct red_todo *t, const char *what, const char *words)
{
	char name[REDC_LIBRARY_MAX], code[512];

	redc_library(name, what, s->target);
	(void)snprintf(code, sizeof(code),
		       "#!lua name=%s\n-- drcoord %s\nredis.register_function('%s', function() return 0 end)", name, words, name);
	RED_SAY(t, "FUNCTION", "LOAD", "REPLACE", code);
}

static void say_sign(const struct red_sight *s, struct red_todo *t, bool draws)
{
	const struct red_state *m = s->mine;
	uint64_t id = m->lineage.there ? m->lineage.identity : 0;
	char words[256];

	if (id == 0)
		id = s->args->system_id;
	if (id == 0 && draws)
		id = red_identity(m->id);
	(void)snprintf(words, sizeof(words), "epoch %" PRIu64 " member %s origin %s id %016" PRIx64 " at %" PRIu64, s->args->epoch,
		       s->target->member.s, m->id, id, m->offset);
	say_library(s, t, "l", words);
}

static void say_beat(const struct red_sight *s, struct red_todo *t)
{
	char words[128];

	(void)snprintf(words, sizeof(words), "origin %s at %" PRIu64, s->mine->id, s->mine->offset);
	say_library(s, t, "b", words);
}

/* It promotes itself never, and moves to no other shard. */
static void say_stay(struct red_todo *t)
{
	RED_SAY(t, "CONFIG", "SET", "cluster-replica-no-failover", "yes", "cluster-allow-replica-migration", "no");
}

/* A primary that somebody else demotes keeps what only it may have. */
static void say_deaf(struct red_todo *t)
{
	RED_SAY(t, "CONFIG", "SET", "masteruser", REDC_BRAKE_USER, "masterauth", REDC_BRAKE_USER);
}

/* It acknowledges no write and gives no full copy, and stays as it is. */
static void say_brakes(struct red_todo *t)
{
	RED_SAY(t, "CONFIG", "SET", "min-replicas-to-write", REDC_BRAKE_REPLICAS, "min-replicas-max-lag", "10",
		"repl-diskless-sync-delay", REDC_BRAKE_DELAY);
	say_stay(t);
}

static bool has_brakes(const struct red_state *m)
{
	return m->fenced && m->keeps && m->stays;
}

/* ---- looks */

void redc_judge_probe(const struct red_sight *s, struct red_todo *t)
{
	(void)s;
	t->verdict = RED_HOLDS;
}

void redc_judge_probe_write(const struct red_sight *s, struct red_todo *t)
{
	if (s->mine->replica) {
		red_refuse(t, DR_E_REFUSED, "the server takes no writes: it is a replica");
		return;
	}
	if (s->mine->fenced) {
		red_refuse(t, DR_E_REFUSED, "the server takes no writes: its brakes are on (min-replicas-to-write)");
		return;
	}
	t->verdict = RED_DO;
	t->wrote = true;
	say_beat(s, t);
	if (red_is_to_sign(s, false))
		say_sign(s, t, false);
}

/* Who is taken over: a primary's history gets the epoch, and a standby its brakes. */
void redc_judge_signed(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;
	bool primary = takes_writes(m);
	bool sign = primary && red_is_to_sign(s, true);
	bool brakes = primary ? !m->stays || !m->deaf : !has_brakes(m);

	t->verdict = RED_HOLDS;
	if (!sign && !brakes)
		return;
	if (s->acted >= TRIES) {
		red_refuse(t, DR_E_CONFLICT, "somebody else takes its mark or its brakes away again");
		return;
	}
	t->verdict = RED_DO;
	if (sign)
		say_sign(s, t, true);
	if (brakes && primary) {
		say_stay(t);
		say_deaf(t);
	} else if (brakes) {
		say_brakes(t);
	}
}

void redc_judge_fit(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;
	const struct dr_address *at = &s->target->address;

	t->verdict = RED_HOLDS;
	if (red_is_too_old(m, t))
		return;
	else if (!m->cluster)
		red_refuse(t, DR_E_UNSUPPORTED, "cluster-enabled is no; expected a node of a Redis Cluster, or kind: redis");
	else if (red_keeps_nothing(m, t))
		return;
	else if (m->nodes.self.port != at->port || strcmp(m->nodes.self.host, at->host) != 0)
		red_refuse(t, DR_E_REFUSED, "the cluster knows it as %s:%u, not as %s:%u: set cluster-announce-ip and -port",
			   m->nodes.self.host, m->nodes.self.port, at->host, at->port);
}

/* ---- on a standby */

void redc_judge_frozen(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;

	if (takes_writes(m)) {
		red_refuse(t, DR_E_REFUSED, "it takes writes; a standby is a replica, or has its brakes on");
	} else if (!m->replica || (m->deaf && !m->linked && !m->syncing)) {
		t->verdict = RED_HOLDS;
	} else if (!m->deaf && red_settles(s, t)) {
		return;
	} else if (s->acted >= AIMED_TRIES) {
		red_refuse(t, DR_E_CONFLICT, "somebody else makes it replicate from %s:%u", m->source.host, m->source.port);
	} else {
		t->verdict = RED_DO;
		say_brakes(t);
		say_deaf(t);
		RED_SAY(t, "CLIENT", "KILL", "TYPE", "master");
	}
}

static void say_follow(const struct red_sight *s, struct red_todo *t)
{
	const struct dr_target *me = s->target;

	t->verdict = RED_DO;
	say_brakes(t);
	RED_SAY(t, "CONFIG", "SET", "replica-read-only", "yes", "masteruser", me->replication_user, "masterauth",
		s->replication_secret);
	RED_SAY(t, "CLUSTER", "REPLICATE", s->mine->nodes.wanted);
}

void redc_judge_following(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;
	const struct dr_address *to = &s->args->primary_at;
	bool aimed = m->replica && !m->unnamed && m->source.port == to->port && strcmp(m->source.host, to->host) == 0;
	bool patient = aimed && !red_asks_anew(s);

	if (takes_writes(m))
		red_refuse(t, DR_E_REFUSED, "it takes writes; a standby is a replica, or has its brakes on");
	else if (aimed && m->linked && !m->syncing && has_brakes(m))
		t->verdict = RED_HOLDS;
	else if (!m->replica && m->nodes.slots > 0)
		red_wait(t, "the cluster has not told it yet that others have its slots");
	else if (m->nodes.wanted[0] == '\0')
		red_wait(t, "it knows no master at %s:%u yet", to->host, to->port);
	else if (patient)
		red_wait(t, "%s %s:%u", m->syncing ? "being sent everything by" : "not receiving yet from", to->host, to->port);
	else if (!aimed && s->acted >= AIMED_TRIES)
		red_refuse(t, DR_E_CONFLICT, "somebody else makes it replicate from %s:%u", m->source.host, m->source.port);
	else if (!red_may_not_follow(s, t))
		say_follow(s, t);
}

/* The place in the stream says it for a node that is a master of its old slots still, too. */
void redc_judge_compared(const struct red_sight *s, struct red_todo *t)
{
	struct red_state mine = *s->mine;
	struct red_sight sight = *s;

	mine.replica = !takes_writes(&mine);
	sight.mine = &mine;
	red_judge_compared(&sight, t);
}

/* ---- WRITABLE */

static void say_failover(struct red_todo *t, bool votes)
{
	t->verdict = RED_DO;
	RED_SAY(t, "CLUSTER", "FAILOVER", votes ? "FORCE" : "TAKEOVER");
}

static void tell_cover(const struct red_nodes *n, struct red_todo *t)
{
	(void)snprintf(t->text, sizeof(t->text), "has %u slots; of the cluster's %d %u have an owner, %u of %u masters are there",
		       n->slots, RED_SLOTS, n->covered, n->masters_there, n->masters);
}

/* The old primary is proved fenced by now: whether others agree is the cluster's question, and by policy not asked. */
static void judge_promotion(const struct red_sight *s, struct red_todo *t)
{
	const struct red_nodes *n = &s->mine->nodes;
	bool may = s->args->takeover, votes = may ? red_nodes_may_soon_vote(n) : red_nodes_can_vote(n);

	if (s->mine->syncing)
		red_refuse(t, DR_E_REFUSED, "it is being sent everything by %s:%u, and has not got it all", s->mine->source.host,
			   s->mine->source.port);
	else if (!votes && !may && s->looks < MAJORITY_LOOKS)
		red_wait(t, "%u of %u masters of the cluster are there, no majority", n->masters_there, n->masters);
	else if (!votes && !may)
		red_refuse(t, DR_E_REFUSED, "%u of %u masters of the cluster are there, no majority to elect it: takeover: true in"
			    " the spec does without", n->masters_there, n->masters);
	else if (s->acted > 0 && s->looks < (may ? VOTES_SOON_LOOKS : VOTES_LOOKS))
		red_wait(t, "asked to be a master: %u of %u masters are there", n->masters_there, n->masters);
	else
		say_failover(t, votes && (s->acted == 0 || !may));
}

void redc_judge_writable(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;
	uint64_t epoch = epoch_of(m);

	if (!m->cluster) {
		red_refuse(t, DR_E_UNSUPPORTED, "cluster-enabled is no; expected a node of a Redis Cluster");
	} else if (red_is_another(s, t)) {
		return;
	} else if (epoch > s->args->epoch) {
		red_refuse(t, DR_E_REFUSED, "it has seen epoch %" PRIu64 " already", epoch);
	} else if (takes_writes(m) && is_signed(m) && epoch == s->args->epoch) {
		t->verdict = RED_DO;
		t->wrote = true;
		say_beat(s, t);
		tell_cover(&m->nodes, t);
	} else if (s->acted >= PROMOTE_TRIES) {
		red_refuse(t, DR_E_CONFLICT, "asked %u times, and it is no master of its slots, or not for long", s->acted);
	} else if (epoch < s->args->epoch && red_is_behind(s, t)) {
		return;
	} else if (m->replica) {
		judge_promotion(s, t);
	} else if (m->nodes.slots == 0) {
		red_refuse(t, DR_E_REFUSED, "it is a master without slots: others have them");
	} else if (takes_writes(m) && epoch == s->args->epoch && !red_is_renamed(s)) {
		red_refuse(t, DR_E_REFUSED, "its data says that %s was promoted in epoch %" PRIu64, m->lineage.member, epoch);
	} else {
		t->verdict = RED_DO;
		say_deaf(t);
		RED_SAY(t, "CONFIG", "SET", "min-replicas-to-write", "0", "repl-diskless-sync-delay", "0");
		say_sign(s, t, true);
		RED_SAY(t, "CLIENT", "KILL", "TYPE", "normal");
	}
}

/* ---- CLOSED */

/* The brake stands in one batch with a write of ours, behind which WAIT is asked: so the replicas have nearly all. */
void redc_judge_closed(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine;
	char replicas[24];

	if (m->replica) {
		red_refuse(t, DR_E_REFUSED, "it is a replica of %s:%u, and was no primary", m->source.host, m->source.port);
	} else if (m->fenced && s->args->end) {
		t->verdict = RED_DO;
		t->goodbye = true;
		RED_SAY(t, "SHUTDOWN", m->appends ? "NOSAVE" : "SAVE", "NOW");
	} else if (m->fenced) {
		t->verdict = RED_HOLDS;
	} else if (s->acted >= TRIES) {
		red_refuse(t, DR_E_CONFLICT, "somebody else takes its brakes off again");
	} else {
		t->verdict = RED_DO;
		(void)snprintf(replicas, sizeof(replicas), "%" PRIu64, m->replicas);
		say_beat(s, t);
		say_brakes(t);
		RED_SAY(t, "WAIT", replicas, "100");
		RED_SAY(t, "CLIENT", "KILL", "TYPE", "normal");
	}
}

/* Nothing is set: the number of replicas is the brake. */
void redc_judge_sync_set(const struct red_sight *s, struct red_todo *t)
{
	if (s->args->k != 0)
		red_refuse(t, DR_E_UNSUPPORTED, "durability: sync is not there for this kind: Redis answers before"
			    " its replicas have a write");
	else
		t->verdict = RED_HOLDS;
}
