/* member.c -- one local server: what is seen of it goes to the core, what the core decides is carried out.
 *
 * Order of a decision: the journal first (if it can't be made durable nothing else of the decision happens), then
 * the guard, then the rest. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "adapters/steps.h"
#include "agent/shell/agent.h"
#include "agent/shell/journal_codec.h"
#include "agent/shell/journal.h"
#include "base/assert.h"
#include "base/parse.h"
#include "proto/frames.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

static void carry_out(struct dr_member *m, const struct dr_agent_decision *d);

static const char *name_of(const struct dr_member *m)
{
	return m->conf->member.s;
}

/* It is tried again and again: each change once, and of those few. */
static void say_journal(struct dr_member *m, enum dr_err rv, const struct dr_error *e)
{
	unsigned left_out = 0;
	if ((rv == DR_OK && !m->journal_said.any) ||
	    !dr_said_is_news(&m->journal_said, rv, dr_clock_boot_ms(), &left_out))
		return;
	if (rv == DR_OK)
		dr_log(DR_LOG_WARN, "journal.written", "member=%s left_out=%u", name_of(m), left_out);
	else
		dr_log(DR_LOG_ERROR, "journal.failed", "member=%s why=\"%s\" left_out=%u then=\"no order is taken, nothing is "
		       "promised, no end is told until it can be written\"", name_of(m), e->msg, left_out);
}

static bool write_journal(struct dr_member *m)
{
	struct dr_buf b;
	struct dr_error e;
	dr_buf_init(&b, DR_JOURNAL_BYTES_MAX);
	dr_agent_journal_encode(&b, &m->core.journal);
	enum dr_err rv = dr_journal_store_write(m->journal_path, b.data, b.len, &e);
	dr_buf_close(&b);
	say_journal(m, rv, &e);
	return rv == DR_OK;
}

/* ---- events in, decisions out */

void dr_member_event(struct dr_member *m, struct dr_agent_event *ev)
{
	struct dr_agent_decision d;
	if (!m->open)
		return; /* it is told at its opening */
	struct dr_agent_core before = m->core;
	ev->now_ms = dr_clock_boot_ms();
	dr_agent_core_step(&m->core, ev, &d);
	if (d.journal && !write_journal(m))
		dr_agent_not_journaled(&m->core, &before, ev, &d);
	carry_out(m, &d);
}

static void on_wake(uv_timer_t *t)
{
	struct dr_agent_event ev = { .kind = DR_AG_TICK };
	dr_member_event(t->data, &ev);
}

static void send_result(struct dr_member *m, const struct dr_order_result *r)
{
	struct dr_buf b;
	struct dr_member_msg msg = { .service = m->conf->service, .member = m->conf->member, .result = *r };
	dr_buf_init(&b, 4096);
	dr_member_msg_encode(&b, DR_FRAME_RESULT, &msg);
	dr_agent_send_leader(m->agent, DR_FRAME_RESULT, &b);
	dr_buf_close(&b);
}

static void send_renewal(struct dr_member *m, const struct dr_agent_decision *d)
{
	struct dr_buf b;
	struct dr_member_msg msg = { .service = m->conf->service, .member = m->conf->member,
				     .epoch = d->renew_epoch, .id = d->renew_id };
	dr_buf_init(&b, 4096);
	dr_member_msg_encode(&b, DR_FRAME_RENEW, &msg);
	dr_agent_send_leader(m->agent, DR_FRAME_RENEW, &b);
	dr_buf_close(&b);
}

static void fill_peers(struct dr_report *r, const struct dr_evidence *seen)
{
	for (uint32_t i = 0; i < seen->peers && r->peers < DR_MEMBERS_MAX; i++) {
		r->peer[r->peers].member = seen->peer[i].member;
		r->peer[r->peers].streaming = seen->peer[i].streaming;
		r->peer[r->peers].counts_for_sync = seen->peer[i].counts_for_sync;
		r->peer[r->peers].flushed = seen->peer[i].flushed;
		r->peers++;
	}
}

/* What weighs most comes first; each once, and as far as there is room. */
static void fill_caution(struct dr_report *r, const struct dr_member *m)
{
	bool again = strcmp(m->seen.caution, m->caution) == 0;
	const char *all[] = { m->caution, m->lacks, again ? "" : m->seen.caution, m->agent->steps->refused };
	size_t at = 0;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i][0] == '\0' || at >= sizeof(r->caution))
			continue;
		at += (size_t)snprintf(r->caution + at, sizeof(r->caution) - at, "%s%s", at > 0 ? "; " : "", all[i]);
	}
}

static struct dr_report make_report(struct dr_member *m)
{
	const struct dr_agent_journal *j = &m->core.journal;
	struct dr_report r = { .service = m->conf->service, .member = m->conf->member, .incarnation = m->incarnation,
			       .managed = j->managed, .role = j->role, .epoch = j->epoch,
			       .order_seen = j->order_seen, .server = m->server, .crashed = m->core.crashed,
			       .guard_alive = dr_guard_link_alive(&m->agent->guard),
			       .lease_left_ms = (uint32_t)dr_agent_lease_left_ms(&m->core), .last = j->done,
			       .failsafe = dr_promises_state(m),
			       .promise_left_ms = (uint32_t)dr_agent_promise_left_ms(&m->core) };
	const struct dr_timing *tm = &m->agent->timing;
	uint64_t look_ms = 2 * ((uint64_t)tm->probe_ms + tm->probe_deadline_ms);
	bool up = m->server == DR_SERVER_PRIMARY || m->server == DR_SERVER_STANDBY;
	/* What was seen longer ago says nothing: the leader dates it by when the report came. */
	if (up && m->probed_ms != 0 && dr_clock_boot_ms() <= m->probed_ms + look_ms) {
		const struct dr_evidence *s = &m->seen;
		r.system_id = s->system_id;
		r.timeline = s->timeline;
		r.received = s->received;
		r.replayed = s->replayed;
		r.receiving = s->receiving;
		if (s->receiving)
			r.upstream_at = s->upstream_at;
		r.sync_k = s->sync_k;
		r.acks = s->acks && m->server == DR_SERVER_STANDBY;
		fill_peers(&r, s);
	}
	if (up && m->seen.in_recovery) {
		r.errant = m->errant;
		memcpy(r.errant_ids, m->errant_ids, sizeof(r.errant_ids));
	}
	fill_caution(&r, m);
	r.foreign = m->super.seen.foreign.pid != 0;
	const char *journal = m->journal_said.last != DR_OK ? ", journal cannot be written: takes no orders" : "";
	bool stopped = j->managed && m->super.seen.phase == DR_SUPER_STOPPED;
	(void)snprintf(r.text, sizeof(r.text), "%s%s%s%s", dr_cgroup_way_text(m->agent->cgroups.way),
		       m->journal_damaged ? ", journal damaged: takes no orders" : journal,
		       m->unseen[0] != '\0' && !stopped ? ", not seen: " : "", stopped ? "" : m->unseen);
	return r;
}

static void send_report(struct dr_member *m)
{
	struct dr_buf b;
	struct dr_report r = make_report(m);
	dr_buf_init(&b, 16384);
	dr_report_encode(&b, &r);
	dr_agent_send_all(m->agent, DR_FRAME_REPORT, &b);
	dr_buf_close(&b);
}

/* ---- fencing */

static void stopped(struct dr_supervisor *s, bool proved, const struct dr_error *e)
{
	struct dr_member *m = s->ctx;
	struct dr_error mark;
	if (!proved)
		dr_log(DR_LOG_ERROR, "server.not_stopped", "member=%s why=\"%s\"", name_of(m),
		       e != NULL ? e->msg : "unknown");
	else if (dr_supervisor_mark_standby(s, &mark) != DR_OK)
		dr_log(DR_LOG_ERROR, "server.not_marked", "member=%s why=\"%s\"", name_of(m), mark.msg);
	m->op.stop_waits = false;
	dr_member_op_poke(m);
}

static void fence(struct dr_member *m, enum dr_fence_how how)
{
	uint32_t half = m->agent->timing.fence_budget_ms / 2;
	dr_log(DR_LOG_WARN, "server.fencing", "member=%s epoch=%llu how=%s", name_of(m),
	       (unsigned long long)m->core.journal.epoch, how == DR_FENCE_KILL ? "kill" : "stop");
	/* A fast stop waits for walsenders, which may be cut off: immediate is what authority lost calls for. */
	if (how == DR_FENCE_KILL)
		dr_supervisor_kill(&m->super, stopped);
	else
		dr_supervisor_stop(&m->super, 0, half, stopped);
}

static void arm(struct dr_member *m)
{
	dr_guard_arm(&m->agent->guard, m->slot, m->core.lease_epoch, m->core.lease_until_ms * 1000000u,
		     (uint64_t)m->agent->timing.guard_margin_ms * 1000000u);
}

static void start_standby(struct dr_member *m)
{
	struct dr_error e;
	if (m->super.seen.phase != DR_SUPER_STOPPED)
		return;
	dr_log(DR_LOG_INFO, "server.starting", "member=%s as=standby", name_of(m));
	if (dr_supervisor_start(&m->super, true, &e) != DR_OK)
		dr_log(DR_LOG_ERROR, "server.not_started", "member=%s why=\"%s\"", name_of(m), e.msg);
}

static void carry_out(struct dr_member *m, const struct dr_agent_decision *d)
{
	if (d->disarm)
		dr_guard_disarm(&m->agent->guard, m->slot);
	if (d->arm)
		arm(m);
	if (d->cancel_op)
		dr_member_op_cancel(m);
	if (d->fence != DR_FENCE_NONE)
		fence(m, d->fence);
	if (d->renew)
		send_renewal(m, d);
	if (d->answer && d->answer_result.number != 0)
		send_result(m, &d->answer_result);
	if (d->ask)
		dr_promises_ask(m, &d->question);
	if (d->promise)
		dr_promises_answer(m, &d->promised);
	if (d->report)
		send_report(m);
	if (d->start_standby)
		start_standby(m);
	uint64_t now = dr_clock_boot_ms();
	uint64_t in = d->wake_at_ms == 0 ? 1000 : (d->wake_at_ms > now ? d->wake_at_ms - now : 1);
	(void)uv_timer_start(&m->wake, on_wake, in, 0);
	if (d->start_op)
		dr_member_op_start(m);
}

/* ---- seeing */

void dr_member_server(struct dr_member *m, enum dr_server_state state, bool crashed)
{
	if (state != m->server)
		dr_log(DR_LOG_INFO, "server.seen", "member=%s was=%s now=%s", name_of(m),
		       dr_server_state_name(m->server), dr_server_state_name(state));
	m->server = state;
	struct dr_agent_event ev = { .kind = DR_AG_SERVER, .server = state, .crashed = crashed };
	dr_member_event(m, &ev);
}

/* What a server that does not answer is taken for: the more dangerous of what it may be.  Of one that nobody has taken over it is
 * known that it does not run once it was looked for. */
static enum dr_server_state silent_state(const struct dr_member *m)
{
	bool known = m->core.journal.managed || (m->super.seen.nobody && m->server != DR_SERVER_PRIMARY);
	if (known && m->super.seen.phase == DR_SUPER_STOPPED)
		return DR_SERVER_STOPPED;
	if (m->server == DR_SERVER_PRIMARY || m->server == DR_SERVER_STANDBY)
		return m->server;
	return m->core.journal.managed ? DR_SERVER_STARTING : DR_SERVER_UNKNOWN;
}

static void adopt_if_there(struct dr_member *m)
{
	struct dr_error e;
	bool ours = m->super.seen.phase == DR_SUPER_RUNNING || m->super.seen.phase == DR_SUPER_STOPPING;
	if (!m->core.journal.managed || (ours && m->super.seen.foreign.pid == 0))
		return;
	if (dr_supervisor_adopt(&m->super, &e) == DR_OK)
		dr_log(DR_LOG_WARN, "server.adopted", "member=%s pid=%d", name_of(m), m->super.seen.postmaster.pid);
}

/* Of one that was adopted while it ran a postmaster may start anew after a backend's crash; it reads standby.signal again, and
 * what was a primary takes no writes any more.  Ended it has crashed, which everybody sees at once. */
static bool turned_by_itself(const struct dr_member *m, const struct dr_evidence *now)
{
	bool wrote = m->server == DR_SERVER_PRIMARY && m->probed_ms != 0 && !m->seen.in_recovery;
	return m->super.kind->mark != NULL && m->core.journal.role == DR_ROLE_PRIMARY && !m->op.running && wrote &&
	       now->in_recovery && m->super.seen.phase == DR_SUPER_RUNNING;
}

static void probed(struct dr_op *op, const struct dr_error *e)
{
	struct dr_member *m = op->ctx;
	m->probing = false;
	if (m->agent->stopping)
		return;
	enum dr_server_state state = silent_state(m);
	if (e == NULL || e->code != DR_E_CANCELLED)
		(void)dr_copy_text(m->unseen, sizeof(m->unseen), op->evidence.reached || e == NULL ? "" : e->msg);
	if (op->evidence.reached && turned_by_itself(m, &op->evidence)) {
		dr_log(DR_LOG_WARN, "server.turned", "member=%s why=\"its postmaster started anew and reads standby.signal\" "
		       "then=\"it is ended: set restart_after_crash = off\"", name_of(m));
		dr_supervisor_kill(&m->super, stopped);
	} else if (op->evidence.reached) {
		m->seen = op->evidence;
		m->probed_ms = dr_clock_boot_ms();
		state = op->evidence.in_recovery ? DR_SERVER_STANDBY : DR_SERVER_PRIMARY;
		adopt_if_there(m);
		/* It answered, but it ended meanwhile. */
		if (m->core.journal.managed && m->super.seen.phase == DR_SUPER_STOPPED)
			state = DR_SERVER_STOPPED;
	}
	dr_member_server(m, state, m->core.crashed && state == DR_SERVER_STOPPED);
	send_report(m);
	dr_member_op_poke(m);
	dr_member_upkeep(m);
	if (m->probe_again) {
		m->probe_again = false;
		dr_member_probe_now(m);
	}
}

void dr_member_probe_now(struct dr_member *m)
{
	struct dr_error e;
	if (!m->open || m->agent->stopping)
		return;
	if (m->probing) {
		m->probe_again = true;
		return;
	}
	m->probe_op = (struct dr_op){ .kind = DR_OP_POSITIONS, .deadline_ms = 2 * m->agent->timing.probe_deadline_ms,
				      .done = probed, .ctx = m };
	m->probe_op.args.self = m->conf->member;
	if (dr_session_start(&m->probe, &m->probe_op, &e) == DR_OK)
		m->probing = true;
	else
		dr_log(DR_LOG_WARN, "probe.failed", "member=%s why=\"%s\"", name_of(m), e.msg);
}

static void on_probe_timer(uv_timer_t *t)
{
	struct dr_member *m = t->data;
	adopt_if_there(m);
	if (m->probing)
		send_report(m); /* a server that hangs keeps the look at it waiting: its agent is well all the same */
	dr_member_probe_now(m);
	dr_promises_keep(m);
	(void)uv_timer_start(t, on_probe_timer, m->agent->timing.probe_ms, 0);
}

/* The postmaster ended, or its leftovers did. */
static void on_super(struct dr_supervisor *s, const struct dr_super_seen *seen)
{
	struct dr_member *m = s->ctx;
	if (!m->core.journal.managed || m->agent->stopping)
		return;
	if (seen->foreign.pid != 0)
		adopt_if_there(m);
	if (seen->phase == DR_SUPER_LEFTOVERS)
		dr_supervisor_kill(s, stopped);
	else if (seen->phase == DR_SUPER_STOPPED)
		dr_member_server(m, DR_SERVER_STOPPED, !m->op.running);
	else
		dr_member_probe_now(m);
	dr_member_op_poke(m);
}

/* ---- opening */

/* Whoever starts it next, before us or instead of us: a power cut took us with it, or an agent of before did not see to it. */
static void keep_marked(struct dr_member *m)
{
	struct dr_error e;
	if (m->super.kind->mark != NULL && dr_supervisor_mark_standby(&m->super, &e) != DR_OK && e.code != DR_E_NOT_FOUND)
		dr_log(DR_LOG_ERROR, "server.not_marked", "member=%s why=\"%s\"", name_of(m), e.msg);
}

static enum dr_err read_journal(struct dr_member *m, struct dr_agent_journal *j, struct dr_error *e)
{
	struct dr_buf b;
	dr_buf_init(&b, DR_JOURNAL_BYTES_MAX);
	memset(j, 0, sizeof(*j));
	enum dr_err rv = dr_journal_store_read(m->journal_path, &b, e);
	if (rv == DR_OK) /* whoever wrote it may have died before its name was durable */
		rv = dr_dir_sync(m->agent->conf.data_dir, e);
	if (rv == DR_OK)
		rv = dr_agent_journal_decode(j, b.data, b.len, e);
	else if (rv == DR_E_NOT_FOUND)
		rv = DR_OK;
	dr_buf_close(&b);
	if (rv == DR_E_CORRUPT) {
		/* A new member in effect (design.md 4.8): nothing that it knew counts, and it may not act on orders. */
		dr_log(DR_LOG_ERROR, "journal.damaged", "member=%s file=%s why=\"%s\" remedy=\"stop the agent, see that "
		       "the server is stopped, move the file away, start the agent\"", name_of(m), m->journal_path, e->msg);
		m->journal_damaged = true;
		memset(j, 0, sizeof(*j));
		rv = DR_OK;
	}
	return rv;
}

static void set_target(const struct dr_member *m, struct dr_target *t)
{
	const struct dr_conf_server *pg = dr_conf_server(m->conf);
	memset(t, 0, sizeof(*t));
	t->service = m->conf->service;
	t->member = m->conf->member;
	t->address = pg->listen;
	(void)dr_copy_text(t->database, sizeof(t->database), "postgres");
	(void)dr_copy_text(t->user, sizeof(t->user), pg->superuser);
	(void)dr_copy_text(t->password_file, sizeof(t->password_file), pg->superuser_password_file);
	(void)dr_copy_text(t->replication_user, sizeof(t->replication_user), pg->replication_user);
	(void)dr_copy_text(t->replication_password_file, sizeof(t->replication_password_file),
			   pg->replication_password_file);
	(void)dr_copy_text(t->ca_file, sizeof(t->ca_file), pg->ca_file);
	t->sentinels.adopt = pg->sentinels == DR_SENTINELS_ADOPT;
	t->sentinels.n = pg->sentinels_named;
	memcpy(t->sentinels.at, pg->sentinel, sizeof(t->sentinels.at));
	(void)dr_copy_text(t->sentinels.password_file, sizeof(t->sentinels.password_file), pg->sentinel_password_file);
	(void)dr_copy_text(t->unix_socket_dir, sizeof(t->unix_socket_dir), pg->socket_dir);
}

static enum dr_err open_supervisor(struct dr_member *m, struct dr_error *e)
{
	const struct dr_conf_server *pg = dr_conf_server(m->conf);
	struct dr_local_server sc;
	memset(&sc, 0, sizeof(sc));
	(void)snprintf(sc.name, sizeof(sc.name), "%s-%s", m->conf->service.s, m->conf->member.s);
	(void)dr_copy_text(sc.data_dir, sizeof(sc.data_dir), pg->data);
	(void)dr_copy_text(sc.bin_dir, sizeof(sc.bin_dir), pg->bin);
	(void)dr_copy_text(sc.os_user, sizeof(sc.os_user), pg->os_user);
	int n = snprintf(sc.log_path, sizeof(sc.log_path), "%s.log", pg->data);
	if (n < 0 || (size_t)n >= sizeof(sc.log_path))
		return dr_fail(e, DR_E_RANGE, "the data path %s is too long", pg->data);
	(void)dr_copy_text(sc.listen_host, sizeof(sc.listen_host), pg->listen.host);
	sc.listen_port = pg->listen.port;
	(void)dr_copy_text(sc.socket_dir, sizeof(sc.socket_dir), pg->socket_dir);
	(void)dr_copy_text(sc.config_file, sizeof(sc.config_file), pg->config_file);
	sc.server_id = pg->server_id;
	sc.tls = pg->ca_file[0] != '\0';
	return dr_supervisor_init(&m->super, m->agent->loop, &m->agent->cgroups, dr_local_kind(m->conf->kind), &sc, on_super, m, e);
}

static enum dr_err open_guard_slot(struct dr_member *m, struct dr_guard_seen *seen, struct dr_error *e)
{
	char name[2 * DR_NAME_MAX];
	char mark[DR_PATH_MAX] = "";
	(void)snprintf(name, sizeof(name), "%s/%s", m->conf->service.s, m->conf->member.s);
	const char *file = m->super.kind->mark;
	int n = file == NULL ? 0 : snprintf(mark, sizeof(mark), "%s/%s", dr_conf_server(m->conf)->data, file);
	if (n < 0 || (size_t)n >= sizeof(mark))
		return dr_fail(e, DR_E_RANGE, "the data path of %s is too long", name);
	enum dr_err rv = dr_guard_slot_claim(&m->agent->guard, name, &m->super.group, mark, &m->slot, e);
	if (rv == DR_OK)
		dr_guard_see(&m->agent->guard, m->slot, seen);
	return rv;
}

static enum dr_err open_sessions(struct dr_member *m, struct dr_error *e)
{
	struct dr_target t;
	const struct dr_adapter *a = dr_adapter_find(dr_kind_adapter(m->conf->kind));
	if (a == NULL)
		return dr_fail(e, DR_E_UNSUPPORTED, "no adapter for kind %s", dr_kind_name(m->conf->kind));
	set_target(m, &t);
	enum dr_err rv = dr_session_open(&m->probe, m->agent->loop, a, &t, e);
	return rv == DR_OK ? dr_session_open(&m->work, m->agent->loop, a, &t, e) : rv;
}

static void start_timers(struct dr_member *m)
{
	m->wake.data = m->probe_timer.data = m->poll.data = m;
	dr_assert(uv_timer_init(m->agent->loop, &m->wake) == 0);
	dr_assert(uv_timer_init(m->agent->loop, &m->probe_timer) == 0);
	dr_assert(uv_timer_init(m->agent->loop, &m->poll) == 0);
	(void)uv_timer_start(&m->probe_timer, on_probe_timer, m->agent->timing.probe_ms, 0);
}

enum dr_err dr_member_open(struct dr_member *m, struct dr_agent *a, const struct dr_conf_agent_service *conf,
			   struct dr_error *e)
{
	struct dr_agent_journal j;
	struct dr_guard_seen seen = { 0 };
	uint64_t random[2] = { 0 };
	m->agent = a;
	m->conf = conf;
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return dr_fail(e, DR_E_INTERNAL, "no random numbers from the kernel");
	m->incarnation = random[0] | 1;
	int n = snprintf(m->journal_path, sizeof(m->journal_path), "%s/%s-%s.journal", a->conf.data_dir,
			 conf->service.s, conf->member.s);
	if (n < 0 || (size_t)n >= sizeof(m->journal_path))
		return dr_fail(e, DR_E_RANGE, "data_dir is too long");
	enum dr_err rv = read_journal(m, &j, e);
	if (rv == DR_OK)
		rv = open_supervisor(m, e);
	if (rv == DR_OK)
		rv = open_guard_slot(m, &seen, e);
	if (rv == DR_OK)
		rv = open_sessions(m, e);
	if (rv != DR_OK)
		return rv;
	bool killed = seen.kills != 0 && seen.kill_epoch == seen.epoch;
	uint64_t until_ms = seen.armed && !killed ? seen.deadline_ns / 1000000u : 0;
	dr_agent_core_init(&m->core, &conf->member, &j, &a->timing, random[1] | 1, seen.epoch, until_ms, dr_clock_boot_ms());
	if (j.timing.ttl_ms != 0)
		a->timing = j.timing;
	m->core.guard_alive = dr_guard_link_alive(&a->guard);
	start_timers(m);
	m->peers = j.order.peers < DR_MEMBERS_MAX ? j.order.peers : DR_MEMBERS_MAX;
	memcpy(m->peer, j.order.peer, sizeof(m->peer));
	m->open = true;
	dr_member_look_for_programs(m);
	m->discard_due = true; /* an earlier agent may have left some */
	adopt_if_there(m);
	if (m->core.journal.managed)
		keep_marked(m);
	if (m->core.journal.managed && m->super.seen.phase == DR_SUPER_STOPPED)
		dr_member_server(m, DR_SERVER_STOPPED, m->core.journal.role == DR_ROLE_PRIMARY);
	else if (m->core.journal.managed && m->core.journal.role == DR_ROLE_PRIMARY)
		dr_member_server(m, DR_SERVER_PRIMARY, false); /* until a probe says otherwise */
	dr_member_probe_now(m);
	return DR_OK;
}
