/* ops.c -- orders carried out as sequences of stages, from the table in stages.c.
 *
 * Each stage brings a state about or finds it there, so that a sequence may be begun again from its start at
 * any time: after a crash, on a repeated order, by another try.  A stage that waits is polled; the whole has the
 * order's time limit.  An order is done when its last stage has shown its state over a fresh connection. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/shell/agent.h"
#include "agent/shell/copies.h"
#include "agent/shell/stages.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

enum { POLL_MS = 10, STOP_FAST_MS = 10000, STOP_CLOSED_MS = 100, STOP_IMMEDIATE_MS = 2000, START_AGAIN_MS = 2000 };

static void run_stage(struct dr_member *m);

/* ---- ends */

static void finish(struct dr_member *m, enum dr_outcome outcome, enum dr_err code, const char *text)
{
	struct dr_order_result r = m->op.result;
	if (!m->op.running)
		return;
	(void)uv_timer_stop(&m->poll);
	m->op.running = false;
	m->slots_due = true;
	m->errant_next_ms = m->tend_next_ms = 0;
	m->discard_due = m->discard_due || m->op.order.core.kind == DR_ORDER_REWOUND;
	r.number = m->op.number;
	r.epoch = m->op.order.core.epoch;
	r.outcome = outcome;
	r.code = code;
	if (text != NULL && text[0] != '\0')
		(void)dr_copy_text(r.text, sizeof(r.text), text);
	dr_log(outcome == DR_OUTCOME_DONE ? DR_LOG_INFO : DR_LOG_WARN, "order.ended",
	       "member=%s number=%llu order=%s outcome=%s text=\"%s\"", m->conf->member.s, (unsigned long long)r.number,
	       dr_order_name(m->op.order.core.kind), dr_outcome_name(outcome), r.text);
	bool untouched = m->op.order.core.kind == DR_ORDER_WRITABLE && !m->op.touched;
	struct dr_agent_event ev = { .kind = DR_AG_OP_ENDED, .result = &r, .untouched = untouched };
	dr_member_event(m, &ev);
	dr_member_probe_now(m);
}

static void fail(struct dr_member *m, const struct dr_error *e)
{
	finish(m, DR_OUTCOME_FAILED, e->code, e->msg);
}

static void next(struct dr_member *m)
{
	m->op.at++;
	run_stage(m);
}

static void on_poll(uv_timer_t *t)
{
	run_stage(t->data);
}

static void look_again(struct dr_member *m)
{
	(void)uv_timer_start(&m->poll, on_poll, POLL_MS, 0);
}

/* ---- stages on a stopped server */

static void stage_stopped(struct dr_supervisor *s, bool proved, const struct dr_error *e)
{
	struct dr_member *m = s->ctx;
	struct dr_error err;
	m->op.stop_waits = false;
	if (!m->op.running)
		return;
	if ((enum dr_stage)m->op.stages[m->op.at] != DR_STAGE_STOP) {
		run_stage(m); /* asked for by an order before this one */
		return;
	}
	if (!proved) {
		if (e != NULL && e->code == DR_E_CANCELLED)
			return; /* another stop took over; it pokes us */
		finish(m, DR_OUTCOME_FAILED, DR_E_FAILED, e != NULL ? e->msg : "processes are left");
	} else if (dr_supervisor_mark_standby(s, &err) != DR_OK && err.code != DR_E_NOT_FOUND) {
		fail(m, &err);
	} else {
		dr_member_server(m, DR_SERVER_STOPPED, false);
		run_stage(m);
	}
}

static void stage_STOP(struct dr_member *m)
{
	struct dr_error e;
	bool proved = false;
	if (m->op.stop_waits)
		return;
	if (m->super.seen.phase == DR_SUPER_STOPPED && dr_supervisor_proved(&m->super, &proved, &e) == DR_OK && proved) {
		if (dr_supervisor_mark_standby(&m->super, &e) != DR_OK && e.code != DR_E_NOT_FOUND)
			fail(m, &e);
		else
			next(m);
		return;
	}
	bool clean = m->op.order.core.kind != DR_ORDER_FENCED || m->op.order.core.clean;
	clean = clean && !(m->super.kind->ends_waits && m->server != DR_SERVER_STANDBY && !m->op.closed);
	/* Of a closed one all is in place already, and a dump of its memory is nothing to wait for. */
	uint32_t fast_ms = m->op.closed ? STOP_CLOSED_MS : STOP_FAST_MS;
	m->op.stop_waits = true;
	if (clean)
		dr_supervisor_stop(&m->super, fast_ms, STOP_IMMEDIATE_MS, stage_stopped);
	else
		dr_supervisor_kill(&m->super, stage_stopped);
}

static void stage_FINAL(struct dr_member *m)
{
	const struct dr_local_kind *kind = m->super.kind;
	struct dr_local_final at;
	struct dr_error e;
	if (m->op.order.core.clean && kind->final != NULL && kind->final(dr_conf_server(m->conf)->data, &at, &e) == DR_OK) {
		m->op.result.position = at.position;
		m->op.result.timeline = at.timeline;
		m->op.result.system_id = at.system_id;
	}
	next(m);
}

static void stage_ALONE(struct dr_member *m)
{
	const struct dr_local_kind *kind = m->super.kind;
	struct dr_error e;
	bool stopped = m->super.seen.phase == DR_SUPER_STOPPED;
	if (stopped && kind->alone != NULL && kind->alone(dr_conf_server(m->conf)->data, &e) != DR_OK)
		fail(m, &e);
	else
		next(m);
}

static void note_verdict(struct dr_member *m, const struct dr_pg_compare *c)
{
	static const enum dr_divergence divergence[] = {
		[DR_PG_UNKNOWN] = DR_DIVERGENCE_UNKNOWN, [DR_PG_FOLLOWS] = DR_DIVERGENCE_NONE,
		[DR_PG_REWIND] = DR_DIVERGENCE_REWIND,   [DR_PG_CLONE] = DR_DIVERGENCE_CLONE,
		[DR_PG_STRANGER] = DR_DIVERGENCE_UNKNOWN, [DR_PG_NOTHING] = DR_DIVERGENCE_CLONE };
	m->op.divergence = divergence[c->verdict];
	m->op.result.system_id = c->system_id;
	(void)dr_copy_text(m->op.why, sizeof(m->op.why), c->why);
}

/* What a job found is of its own op only. */
static void forget_found(struct dr_member *m)
{
	m->op.job.compare = (struct dr_pg_compare){ .verdict = DR_PG_UNKNOWN };
	m->op.job.my = (struct dr_job_my){ .nothing = false };
	m->op.job.salvage = (struct dr_job_salvage){ .files = 0 };
}

static void job_done(struct dr_job *j, const struct dr_error *e)
{
	struct dr_member *m = j->ctx;
	m->op.job_running = false;
	dr_copy_fetch_end(m);
	if (!m->op.running || m->op.job_number != m->op.number) {
		/* Of another order; a newer one may wait for the place. */
		forget_found(m);
		dr_member_op_poke(m);
		return;
	}
	if (e == NULL) {
		if (j->kind == DR_JOB_COMPARE)
			note_verdict(m, &j->compare);
		if (j->kind == DR_JOB_RED_ASIDE || j->kind == DR_JOB_REDC_ASIDE)
			(void)dr_copy_text(m->op.result.text, sizeof(m->op.result.text), j->salvage.path);
		next(m);
	} else if (j->kind == DR_JOB_REWIND && e->code != DR_E_CANCELLED) {
		dr_log(DR_LOG_WARN, "rewind.failed", "member=%s why=\"%s\" next=clone", m->conf->member.s, e->msg);
		m->op.job.compare.verdict = DR_PG_CLONE;
		run_stage(m);
	} else if (j->kind == DR_JOB_MARK && m->op.order.core.kind == DR_ORDER_WRITABLE && e->code != DR_E_CANCELLED) {
		/* It takes writes already, and goes on: it is marked when it is fenced, and whenever its agent begins. */
		dr_log(DR_LOG_ERROR, "server.not_marked", "member=%s why=\"%s\"", m->conf->member.s, e->msg);
		next(m);
	} else {
		fail(m, e);
	}
}

static void start_filled_job(struct dr_member *m)
{
	struct dr_error e;
	uint64_t now = dr_clock_boot_ms();
	m->op.job.deadline_ms = (uint32_t)(m->op.until_ms > now + 1000 ? m->op.until_ms - now : 1000);
	m->op.job.done = job_done;
	m->op.job.ctx = m;
	if (dr_job_start(&m->op.job, m->agent->loop, &m->agent->cgroups, &e) == DR_OK) {
		m->op.job_running = true;
		m->op.job_number = m->op.number;
	} else {
		if (m->op.job.pipe.in > 0)
			(void)close(m->op.job.pipe.in);
		dr_copy_fetch_end(m);
		fail(m, &e);
	}
}

/* What is taken away from beside the data is no longer in the way of what is made there. */
static bool job_must_wait(struct dr_member *m)
{
	if (m->discard_running)
		look_again(m);
	return m->discard_running;
}

static void start_job(struct dr_member *m, enum dr_job_kind kind)
{
	if (job_must_wait(m))
		return;
	dr_member_job_fill(m, &m->op.job, kind);
	start_filled_job(m);
}

static void stage_FETCHED(struct dr_member *m)
{
	const struct dr_order *o = &m->op.order;
	const struct dr_order_peer *from = NULL;
	struct dr_error e;
	if (job_must_wait(m))
		return;
	for (uint32_t i = 0; i < o->peers && i < DR_MEMBERS_MAX; i++) {
		if (dr_name_eq(&o->peer[i].member, &o->target))
			from = &o->peer[i];
	}
	dr_member_job_fill(m, &m->op.job, DR_JOB_MY_CLONE);
	enum dr_err rv = from != NULL ? dr_copy_fetch(m, from, &m->op.job, &e)
				      : dr_fail(&e, DR_E_NOT_FOUND, "the order does not name the agent of %s", o->target.s);
	if (rv == DR_OK)
		start_filled_job(m);
	else if (rv == DR_E_BUSY)
		look_again(m);
	else
		fail(m, &e);
}

static void stage_TARGETED(struct dr_member *m)
{
	if (m->super.seen.phase == DR_SUPER_STOPPED)
		start_job(m, DR_JOB_FOLLOW);
	else
		next(m);
}

static void stage_COMPARED(struct dr_member *m)
{
	start_job(m, DR_JOB_COMPARE);
}

static void stage_SAVED(struct dr_member *m)
{
	enum dr_pg_verdict v = m->op.job.compare.verdict;
	if (v == DR_PG_FOLLOWS || v == DR_PG_NOTHING)
		next(m);
	else
		start_job(m, DR_JOB_SALVAGE);
}

static void stage_REWOUND(struct dr_member *m)
{
	switch (m->op.job.compare.verdict) {
	case DR_PG_FOLLOWS: next(m); break;
	case DR_PG_REWIND: start_job(m, DR_JOB_REWIND); break;
	case DR_PG_CLONE:
	case DR_PG_NOTHING: start_job(m, DR_JOB_CLONE); break;
	default: finish(m, DR_OUTCOME_FAILED, DR_E_REFUSED, m->op.job.compare.why); break;
	}
}

/* ---- stages on a running one */

static void stage_UP(struct dr_member *m)
{
	struct dr_error e;
	uint64_t now = dr_clock_boot_ms();
	bool again = m->op.started_ms == 0 || now >= m->op.started_ms + START_AGAIN_MS;
	if (m->super.seen.phase == DR_SUPER_STOPPED && again) {
		enum dr_err rv = dr_supervisor_start(&m->super, true, &e);
		if (rv != DR_OK && rv != DR_E_BUSY) { /* busy: the one before is not quite gone */
			fail(m, &e);
			return;
		}
		if (rv == DR_OK)
			m->op.started_ms = now;
		m->probed_ms = 0;
	}
	bool answers = m->probed_ms != 0 && m->super.seen.phase == DR_SUPER_RUNNING &&
		       (m->server == DR_SERVER_STANDBY || m->server == DR_SERVER_PRIMARY);
	if (answers) {
		next(m);
		return;
	}
	if (!uv_is_active((uv_handle_t *)&m->poll)) /* the end of a look is not to begin another at once */
		dr_member_probe_now(m);
	look_again(m);
}

/* A plan may want a standby whose agent had no word of us yet, so that nobody adopted its server. */
static void stage_FOUND(struct dr_member *m)
{
	struct dr_error e = { .code = DR_OK };
	if (m->super.seen.phase == DR_SUPER_STOPPED && dr_supervisor_adopt(&m->super, &e) == DR_E_BUSY)
		look_again(m); /* the one before is not quite gone */
	else if (e.code != DR_OK && e.code != DR_E_NOT_FOUND)
		fail(m, &e);
	else
		next(m);
}

static void stage_TAKEN(struct dr_member *m)
{
	struct dr_error e;
	const struct dr_local_kind *kind = m->super.kind;
	if (kind->may_take != NULL && kind->may_take(&m->super.conf, &e) != DR_OK) {
		fail(m, &e);
		return;
	}
	if (m->super.seen.phase != DR_SUPER_RUNNING && dr_supervisor_adopt(&m->super, &e) != DR_OK) {
		fail(m, &e);
		return;
	}
	(void)dr_copy_text(m->op.result.text, sizeof(m->op.result.text), dr_cgroup_way_text(m->agent->cgroups.way));
	next(m);
}

/* A standby stays one. */
static void stage_UNMARKED(struct dr_member *m)
{
	struct dr_error e;
	if (m->server == DR_SERVER_PRIMARY && dr_supervisor_unmark_standby(&m->super, &e) != DR_OK)
		dr_log(DR_LOG_ERROR, "server.not_unmarked", "member=%s why=\"%s\" then=\"its next start is a standby's: "
		       "remove standby.signal\"", m->conf->member.s, e.msg);
	next(m);
}

/* A folder without a server's data is nothing to start one on, and nothing to lose. */
static void stage_DATA(struct dr_member *m)
{
	const struct dr_local_kind *kind = m->super.kind;
	bool stopped = m->super.seen.phase == DR_SUPER_STOPPED;
	if (!stopped || kind->has_data(dr_conf_server(m->conf)->data)) {
		next(m);
		return;
	}
	if (!dr_dir_is_empty(dr_conf_server(m->conf)->data)) {
		struct dr_error e;
		(void)dr_fail(&e, DR_E_REFUSED, "%s holds files, but no server's data where it is looked for (ibdata1): what is"
			      " there is not known, so nothing is done; empty the folder, or put the data into it",
			      dr_conf_server(m->conf)->data);
		fail(m, &e);
		return;
	}
	m->op.divergence = DR_DIVERGENCE_CLONE;
	m->op.job.my = (struct dr_job_my){ .nothing = true };
	(void)snprintf(m->op.why, sizeof(m->op.why), "there is no data here");
	while (m->op.stages[m->op.at] != DR_STAGE_STOP && m->op.stages[m->op.at] != DR_STAGE_END)
		m->op.at++;
	run_stage(m);
}

static void stage_REACHED(struct dr_member *m)
{
	if (m->seen.received >= m->op.order.core.position) {
		next(m);
		return;
	}
	if (!uv_is_active((uv_handle_t *)&m->poll))
		dr_member_probe_now(m);
	look_again(m);
}

static void adapter_done(struct dr_op *op, const struct dr_error *e)
{
	struct dr_member *m = op->ctx;
	m->op.adapter_running = false;
	if (!m->op.running || m->op.adapter_number != m->op.number) {
		dr_member_op_poke(m);
		return;
	}
	if (e != NULL && op->kind == DR_OP_CLOSED) {
		/* It is stopped all the same; where it ended is then not known, and whoever asked for a clean stop sees that. */
		dr_log(DR_LOG_WARN, "server.not_closed", "member=%s why=\"%s\"", m->conf->member.s, e->msg);
		next(m);
		return;
	}
	const struct dr_evidence *ev = &op->evidence;
	m->op.touched = !ev->untouched;
	if (e != NULL) {
		if (e->code == DR_E_BEHIND)
			m->op.result.position = ev->received;
		fail(m, e);
		return;
	}
	if (op->kind == DR_OP_COMPARED) {
		m->op.divergence = ev->divergence;
		(void)dr_copy_text(m->op.why, sizeof(m->op.why), ev->text);
		(void)dr_copy_text(m->op.job.my.theirs, sizeof(m->op.job.my.theirs), ev->theirs);
		(void)dr_copy_text(m->op.job.my.log_index, sizeof(m->op.job.my.log_index), ev->log_index);
	}
	m->op.closed = op->kind == DR_OP_CLOSED;
	m->op.result.position = ev->received;
	m->op.result.timeline = ev->timeline;
	m->op.result.system_id = ev->system_id;
	m->op.result.acked = ev->acked;
	if (ev->text[0] != '\0')
		(void)dr_copy_text(m->op.result.text, sizeof(m->op.result.text), ev->text);
	if (op->kind == DR_OP_WRITABLE)
		dr_member_server(m, DR_SERVER_PRIMARY, false);
	next(m);
}

static void start_adapter(struct dr_member *m, enum dr_op_kind kind)
{
	const struct dr_order *o = &m->op.order;
	struct dr_error e;
	if (m->op.adapter_running)
		return;
	uint64_t now = dr_clock_boot_ms();
	m->work_op = (struct dr_op){ .kind = kind, .done = adapter_done, .ctx = m };
	m->work_op.deadline_ms = (uint32_t)(m->op.until_ms > now + 100 ? m->op.until_ms - now : 100);
	if (kind == DR_OP_CLOSED) /* the stop that follows needs its time */
		m->work_op.deadline_ms /= 4;
	m->work_op.args = (struct dr_op_args){
		.epoch = o->core.epoch, .plan = o->core.plan, .step = o->core.step, .self = m->conf->member, .primary = o->target,
		.primary_at = o->target_at, .k = o->core.k, .cut = o->core.clean, .handed_over = o->core.clean,
		.local_commit = true, .end = true, .takeover = o->takeover, .position = o->core.position,
		.timeline = o->core.timeline, .system_id = o->core.system_id };
	dr_job_copy_folder(dr_conf_server(m->conf)->data, m->work_op.args.folder, sizeof(m->work_op.args.folder));
	m->work_op.args.peers = o->sync_members;
	memcpy(m->work_op.args.peer, o->sync_member, sizeof(o->sync_member));
	if (dr_session_start(&m->work, &m->work_op, &e) == DR_OK) {
		m->op.adapter_running = m->op.touched = true;
		m->op.adapter_number = m->op.number;
	} else if (e.code == DR_E_BUSY) {
		look_again(m);
	} else {
		fail(m, &e);
	}
}

/* Only a primary that answers has something to close, and only where the stop may take its time. */
static void stage_CLOSED(struct dr_member *m)
{
	bool answers = m->super.seen.phase == DR_SUPER_RUNNING && m->server == DR_SERVER_PRIMARY;
	if (m->op.order.core.clean && answers)
		start_adapter(m, DR_OP_CLOSED);
	else
		next(m);
}

static void done(struct dr_member *m)
{
	if (m->op.order.core.kind == DR_ORDER_COMPARED) {
		m->op.result.divergence = m->op.divergence;
		(void)dr_copy_text(m->op.result.text, sizeof(m->op.result.text), m->op.why);
		if (m->op.job.compare.verdict == DR_PG_STRANGER) {
			finish(m, DR_OUTCOME_FAILED, DR_E_REFUSED, m->op.why);
			return;
		}
	} else if (m->op.order.core.kind == DR_ORDER_SALVAGED && m->op.job.salvage.path[0] != '\0') {
		(void)dr_copy_text(m->op.result.text, sizeof(m->op.result.text), m->op.job.salvage.path);
	}
	finish(m, DR_OUTCOME_DONE, DR_OK, "");
}

static void stage_FORKED(struct dr_member *m)
{
	if (m->op.divergence == DR_DIVERGENCE_NONE)
		done(m);
	else
		next(m);
}

static void run_stage(struct dr_member *m)
{
	struct dr_member_op *op = &m->op;
	if (!op->running || op->job_running || op->adapter_running)
		return;
	if (dr_clock_boot_ms() >= op->until_ms) {
		finish(m, DR_OUTCOME_FAILED, DR_E_TIMEOUT, "the order's time limit passed");
		return;
	}
	switch ((enum dr_stage)op->stages[op->at]) {
	case DR_STAGE_END: done(m); break;
	case DR_STAGE_STOP: stage_STOP(m); break;
	case DR_STAGE_FINAL: stage_FINAL(m); break;
	case DR_STAGE_FOUND: stage_FOUND(m); break;
	case DR_STAGE_ALONE: stage_ALONE(m); break;
	case DR_STAGE_TARGETED: stage_TARGETED(m); break;
	case DR_STAGE_UP: stage_UP(m); break;
	case DR_STAGE_AD_FROZEN:
	case DR_STAGE_AD_FOLLOWING:
	case DR_STAGE_AD_WRITABLE:
	case DR_STAGE_AD_SYNC_SET:
	case DR_STAGE_AD_COMPARED:
	case DR_STAGE_AD_SIGNED:
	case DR_STAGE_AD_COPIED:
	case DR_STAGE_AD_FIT:
	case DR_STAGE_AD_UNWATCHED:
	case DR_STAGE_AD_ACKING:
	case DR_STAGE_AD_CHECKPOINTED: start_adapter(m, dr_stage_op((enum dr_stage)op->stages[op->at])); break;
	case DR_STAGE_CLOSED: stage_CLOSED(m); break;
	case DR_STAGE_DATA: stage_DATA(m); break;
	case DR_STAGE_FORKED: stage_FORKED(m); break;
	case DR_STAGE_LOGS_SAVED: start_job(m, DR_JOB_MY_SALVAGE); break;
	case DR_STAGE_BESIDE: start_job(m, DR_JOB_MY_BESIDE); break;
	case DR_STAGE_FETCHED: stage_FETCHED(m); break;
	case DR_STAGE_SWAPPED: start_job(m, DR_JOB_MY_SWAP); break;
	case DR_STAGE_REACHED: stage_REACHED(m); break;
	case DR_STAGE_COMPARED: stage_COMPARED(m); break;
	case DR_STAGE_SAVED: stage_SAVED(m); break;
	case DR_STAGE_ASIDE: start_job(m, m->conf->kind == DR_KIND_REDIS_CLUSTER ? DR_JOB_REDC_ASIDE : DR_JOB_RED_ASIDE); break;
	case DR_STAGE_REWOUND: stage_REWOUND(m); break;
	case DR_STAGE_TAKEN: stage_TAKEN(m); break;
	case DR_STAGE_MARKED: start_job(m, DR_JOB_MARK); break;
	case DR_STAGE_UNMARKED: stage_UNMARKED(m); break;
	case DR_STAGE_NOTED:
	case DR_STAGE_LEFT_ALONE: next(m); break;
	case DR_STAGE_COUNT: break;
	}
}

/* ---- the door */

void dr_member_op_start(struct dr_member *m)
{
	const struct dr_order *o = &m->core.journal.order;
	m->op.running = true;
	m->op.number = o->core.number;
	m->op.order = *o;
	m->op.stages = dr_order_stages(m->conf->kind, o->core.kind);
	m->op.at = 0;
	m->op.started_ms = 0;
	m->op.divergence = DR_DIVERGENCE_UNKNOWN;
	m->op.why[0] = '\0';
	m->op.closed = m->op.touched = false;
	m->op.until_ms = dr_clock_boot_ms() + dr_order_limit_ms(o->core.kind);
	memset(&m->op.result, 0, sizeof(m->op.result));
	if (!m->op.job_running)
		forget_found(m);
	dr_log(DR_LOG_INFO, "order.begun", "member=%s number=%llu order=%s epoch=%llu plan=%llu", m->conf->member.s,
	       (unsigned long long)m->op.number, dr_order_name(o->core.kind), (unsigned long long)o->core.epoch,
	       (unsigned long long)o->core.plan);
	if (m->slots_running)
		dr_session_cancel(&m->work);
	if (m->discard_running) {
		m->discard_due = true;
		dr_job_cancel(&m->discard);
	}
	if (o->core.kind == DR_ORDER_FENCED)
		dr_copy_send_end(m, "it is being fenced");
	run_stage(m);
}

void dr_member_op_cancel(struct dr_member *m)
{
	if (!m->op.running)
		return;
	dr_log(DR_LOG_INFO, "order.cancelled", "member=%s number=%llu", m->conf->member.s,
	       (unsigned long long)m->op.number);
	m->op.running = false;
	(void)uv_timer_stop(&m->poll);
	if (m->op.job_running)
		dr_job_cancel(&m->op.job);
	if (m->op.adapter_running)
		dr_session_cancel(&m->work);
}

void dr_member_op_poke(struct dr_member *m)
{
	if (!m->op.running)
		return;
	enum dr_stage at = (enum dr_stage)m->op.stages[m->op.at];
	if (at == DR_STAGE_STOP || at == DR_STAGE_UP || at == DR_STAGE_REACHED || !uv_is_active((uv_handle_t *)&m->poll))
		run_stage(m);
}
