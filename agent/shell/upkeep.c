/* upkeep.c -- what an agent does for its member between orders, one thing at a time and never urgently. */
#include <string.h>

#include "agent/shell/agent.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	SLOTS_EVERY_MS = 10000, ERRANT_EVERY_MS = 5000, TEND_EVERY_MS = 5000, OP_MS = 60000, DISCARD_MS = 600000,
	CHECKPOINT_AGAIN_MS = 10000, CHECKPOINT_CUT_OFF_MS = 1000 /* by an order: it goes on in the server */
};

/* Said when it changes. */
static void note_errant(struct dr_member *m, const struct dr_evidence *ev)
{
	if (ev->errant != m->errant)
		dr_log(ev->errant > 0 ? DR_LOG_WARN : DR_LOG_INFO, "member.errant", "member=%s transactions=%u ids=%s",
		       m->conf->member.s, ev->errant, ev->errant_ids);
	m->errant = ev->errant;
	memcpy(m->errant_ids, ev->errant_ids, sizeof(m->errant_ids));
}

static void note_caution(struct dr_member *m, const struct dr_evidence *ev)
{
	if (strcmp(ev->caution, m->caution) != 0 && ev->caution[0] != '\0')
		dr_log(DR_LOG_WARN, "member.caution", "member=%s what=\"%s\"", m->conf->member.s, ev->caution);
	memcpy(m->caution, ev->caution, sizeof(m->caution));
}

static void op_done(struct dr_op *op, const struct dr_error *e)
{
	struct dr_member *m = op->ctx;
	m->slots_running = false;
	if (op->kind == DR_OP_CHECKPOINTED) {
		bool cut_off = e != NULL && e->code == DR_E_CANCELLED;
		m->checkpoint_next_ms = dr_clock_boot_ms() + (cut_off ? CHECKPOINT_CUT_OFF_MS : CHECKPOINT_AGAIN_MS);
	}
	if (op->kind == DR_OP_ERRANT && e == NULL)
		note_errant(m, &op->evidence);
	if (op->kind == DR_OP_TENDED && e == NULL)
		note_caution(m, &op->evidence);
	if (e != NULL && e->code != DR_E_CANCELLED)
		dr_log(DR_LOG_WARN, "upkeep.failed", "member=%s op=%s why=\"%s\"", m->conf->member.s,
		       dr_op_name(op->kind), e->msg);
	dr_member_op_poke(m);
}

void dr_member_look_for_programs(struct dr_member *m)
{
	char before[DR_CAUTION_MAX];
	memcpy(before, m->lacks, sizeof(before));
	dr_local_lacks(m->super.kind, m->super.conf.bin_dir, m->lacks, sizeof(m->lacks));
	if (strcmp(before, m->lacks) != 0)
		dr_log(m->lacks[0] != '\0' ? DR_LOG_WARN : DR_LOG_INFO, "member.programs", "member=%s what=\"%s\"",
		       m->conf->member.s, m->lacks[0] != '\0' ? m->lacks : "all are there");
	m->lacks_next_ms = dr_clock_boot_ms() + TEND_EVERY_MS;
}

static bool start_op(struct dr_member *m, enum dr_op_kind kind)
{
	struct dr_error e;
	m->slots_op = (struct dr_op){ .kind = kind, .deadline_ms = OP_MS, .done = op_done, .ctx = m };
	m->slots_op.args.self = m->conf->member;
	m->slots_op.args.primary_at = m->seen.upstream_at;
	m->slots_op.args.peers = m->peers;
	for (uint32_t i = 0; i < m->peers; i++)
		m->slots_op.args.peer[i] = m->peer[i].member;
	m->slots_running = dr_session_start(&m->work, &m->slots_op, &e) == DR_OK;
	return m->slots_running;
}

static void discard_done(struct dr_job *j, const struct dr_error *e)
{
	struct dr_member *m = j->ctx;
	m->discard_running = false;
	if (e != NULL)
		dr_log(DR_LOG_WARN, "upkeep.failed", "member=%s op=discard why=\"%s\"", m->conf->member.s, e->msg);
}

/* The copy that a clone replaced is kept until its successor follows. */
static void discard(struct dr_member *m)
{
	struct dr_error e;
	dr_member_job_fill(m, &m->discard, DR_JOB_DISCARD);
	m->discard.deadline_ms = DISCARD_MS;
	m->discard.done = discard_done;
	m->discard.ctx = m;
	m->discard_due = false;
	m->discard_running = dr_job_start(&m->discard, m->agent->loop, &m->agent->cgroups, &e) == DR_OK;
}

/* A server that was promoted is on a timeline that its control file does not know until the next checkpoint, and
 * until then nobody can be rewound against it.  Judged by the server alone, so it is done whatever was ordered
 * since, after a restart of ours too, and until it is done. */
static bool checkpoint_due(const struct dr_member *m, uint64_t now)
{
	const struct dr_evidence *s = &m->seen;
	return m->server == DR_SERVER_PRIMARY && !s->in_recovery && s->timeline > s->checkpoint_timeline &&
	       s->checkpoint_timeline != 0 && now >= m->checkpoint_next_ms;
}

/* What only some kinds have: their adapters say so.  True: one has begun. */
static bool start_kinds_own(struct dr_member *m, uint64_t now, bool primary, bool follows)
{
	const bool *can = m->work.adapter->can;
	if (follows && can[DR_OP_ERRANT] && now >= m->errant_next_ms && start_op(m, DR_OP_ERRANT)) {
		m->errant_next_ms = now + ERRANT_EVERY_MS;
		return true;
	}
	m->errant = primary ? 0 : m->errant;
	if ((primary || follows) && can[DR_OP_TENDED] && now >= m->tend_next_ms && start_op(m, DR_OP_TENDED)) {
		m->tend_next_ms = now + TEND_EVERY_MS;
		return true;
	}
	return false;
}

void dr_member_upkeep(struct dr_member *m)
{
	uint64_t now = dr_clock_boot_ms();
	bool primary = m->server == DR_SERVER_PRIMARY;
	bool follows = m->server == DR_SERVER_STANDBY && m->seen.receiving;
	if (m->lacks[0] != '\0' && now >= m->lacks_next_ms)
		dr_member_look_for_programs(m);
	if (!m->core.journal.managed || m->op.running || m->op.job_running || m->slots_running || m->discard_running)
		return;
	if (m->discard_due && follows) {
		discard(m);
		return;
	}
	if (checkpoint_due(m, now)) {
		(void)start_op(m, DR_OP_CHECKPOINTED);
		return;
	}
	if (start_kinds_own(m, now, primary, follows))
		return;
	if (m->peers == 0 || (!primary && m->server != DR_SERVER_STANDBY))
		return;
	if ((m->slots_due || now >= m->slots_next_ms) && start_op(m, DR_OP_SLOTS)) {
		m->slots_due = false;
		m->slots_next_ms = now + SLOTS_EVERY_MS;
	}
}
