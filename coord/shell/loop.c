/* loop.c -- the core's door: every event goes in here, every decision is carried out here. */
#include <string.h>

#include "coord/shell/coord.h"
#include "coord/shell/routes.h"
#include "coord/shell/runbook.h"
#include "base/assert.h"
#include "base/mem.h"
#include "coord/shell/disk.h"
#include "coord/shell/ready.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { SAY_AGAIN_BEATS = 3, SLICES = 64, STALL_PART = 8 };

static void on_wake(uv_timer_t *t)
{
	struct dr_core_event ev = { .kind = DR_EV_TICK };
	dr_coord_event(t->data, &ev);
}

bool dr_coord_leads(const struct dr_coord *c)
{
	return c->core->view.leading;
}

bool dr_coord_leader(const struct dr_coord *c, struct dr_name *name, struct dr_address *at)
{
	struct dr_raft_status st;
	dr_raft_status(c->raft, &st);
	for (uint32_t i = 0; i < st.members && i < DR_COORDINATORS_MAX; i++) {
		if (st.leader_id != 0 && st.member[i].id == st.leader_id) {
			*name = st.member[i].name;
			*at = st.member[i].address;
			return true;
		}
	}
	return false;
}

/* Told to the core once the step is over, to which it answers with no proposal (looks.c): there are never more than a step
 * and that of a tick which it appended have proposals. */
static void refused(struct dr_coord *c, uint64_t tag, enum dr_err why)
{
	dr_assert(c->stepping && c->refusals < DR_REFUSALS_MAX);
	c->refusal[c->refusals].tag = tag;
	c->refusal[c->refusals++].why = why;
}

static void proposal_ended(struct dr_coord *c, uint64_t tag, enum dr_err outcome, uint64_t index)
{
	struct dr_core_event ev = { .kind = DR_EV_PROPOSED, .tag = tag, .outcome = outcome, .index = index };
	dr_coord_event(c, &ev);
	dr_clients_proposed(c, tag, outcome);
}

struct submitted {
	struct dr_coord *coord;
	uint64_t tag;
};

static void on_proposed(void *arg, enum dr_err outcome, uint64_t index)
{
	struct submitted s = *(struct submitted *)arg;
	dr_free(arg);
	proposal_ended(s.coord, s.tag, outcome, index);
}

/* Leases are renewed whoever else asks for how much. */
static bool has_place(const struct dr_coord *c, const struct dr_cmd *cmd)
{
	return cmd->kind == DR_CMD_TICK || dr_raft_outstanding(c->raft) < DR_PROPOSALS_MAX - DR_PROPOSALS_LEASE;
}

static enum dr_err submit(struct dr_coord *c, const struct dr_cmd *cmd, uint64_t tag)
{
	struct dr_buf b;
	dr_buf_init(&b, DR_ENTRY_MAX);
	dr_cmd_encode(&b, cmd);
	struct submitted *s = dr_xcalloc(sizeof(*s));
	*s = (struct submitted){ .coord = c, .tag = tag };
	enum dr_err rv = !dr_buf_ok(&b) ? DR_E_RANGE : !has_place(c, cmd) ? DR_E_FULL
			 : dr_raft_propose(c->raft, b.data, b.len, on_proposed, s);
	dr_buf_close(&b);
	if (rv != DR_OK)
		dr_free(s);
	return rv;
}

void dr_coord_submit(struct dr_coord *c, const struct dr_cmd *cmd)
{
	enum dr_err rv = submit(c, cmd, 0);
	if (rv != DR_OK)
		dr_log(DR_LOG_WARN, "entry.refused", "cmd=%s code=%s", dr_cmd_name(cmd->kind), dr_err_name(rv));
}

static void carry_out(struct dr_coord *c, const struct dr_decision *d)
{
	dr_agents_grants(c, d);
	for (uint32_t i = 0; i < d->proposals; i++) {
		enum dr_err rv = submit(c, &d->propose[i].cmd, d->propose[i].tag);
		if (rv != DR_OK)
			refused(c, d->propose[i].tag, rv);
	}
	dr_agents_orders(c, d);
	dr_routes_carry_out(c, d);
	dr_runbook_carry_out(c);
	if (d->wake_at_ms != 0 && !c->stopping) {
		uint64_t now = dr_clock_boot_ms();
		uint64_t in = d->wake_at_ms > now ? d->wake_at_ms - now : 0;
		uint64_t due = uv_is_active((uv_handle_t *)&c->wake) ? uv_timer_get_due_in(&c->wake) : UINT64_MAX;
		if (in < due)
			(void)uv_timer_start(&c->wake, on_wake, in, 0);
	}
}

/* A new TTL is granted only after the fence budget that goes with it was told: the old budget may be longer than
 * the new lease, and a healthy primary would stop at once.  Grants take the same connection. */
static void tell_timing(struct dr_coord *c)
{
	/* What is restored or applied while Raft opens has no agents to hear it yet. */
	if (c->raft == NULL || memcmp(&c->timing_told, &c->core->repl.timing, sizeof(c->timing_told)) == 0)
		return;
	c->timing_told = c->core->repl.timing;
	dr_agents_lead(c, NULL);
}

static void one_step(struct dr_coord *c, struct dr_core_event *ev)
{
	ev->now_ms = dr_clock_boot_ms();
	ev->wall_ms = dr_clock_wall_ms();
	ev->outstanding = c->raft != NULL ? dr_raft_outstanding(c->raft) : 0;
	c->stepping = true;
	dr_core_step(c->core, ev, c->decision);
	if (ev->kind == DR_EV_REQUEST)
		dr_clients_answered(c, &c->decision->answer); /* before any proposal is refused */
	tell_timing(c);
	carry_out(c, c->decision);
	c->stepping = false;
}

static void tell_refusals(struct dr_coord *c)
{
	while (c->refusals > 0) {
		c->refusals--;
		uint64_t tag = c->refusal[c->refusals].tag;
		enum dr_err why = c->refusal[c->refusals].why;
		struct dr_core_event end = { .kind = DR_EV_PROPOSED, .tag = tag, .outcome = why };
		one_step(c, &end);
		dr_clients_proposed(c, tag, why);
	}
}

void dr_coord_event(struct dr_coord *c, struct dr_core_event *ev)
{
	if (c->stepping) {
		/* Only a tick that our own proposal appends arrives from inside a step. */
		dr_assert(ev->kind == DR_EV_APPENDED);
		c->appended_ms = dr_clock_boot_ms();
		return;
	}
	one_step(c, ev);
	if (c->appended_ms != 0) {
		struct dr_core_event tick = { .kind = DR_EV_APPENDED };
		c->appended_ms = 0;
		one_step(c, &tick);
	}
	tell_refusals(c);
}

/* What was said already is said again, for keeping alive and for whoever missed it; among coordinators, who give one
 * another up after 10 beats, not at every beat. */
static void say_again(struct dr_coord *c)
{
	if (++c->beats % SAY_AGAIN_BEATS != 0)
		return;
	dr_nodes_tell(c);
	dr_peers_tell_ledger(c);
}

/* A beat's part: probes, observations, and who leads.  Where members are many a beat is spread over its time, so that
 * leases are renewed meanwhile. */
static void look_around(struct dr_coord *c, uint32_t slices)
{
	/* Whoever has heard a leader lately promises nothing (design.md 4.8). */
	uint64_t probe_ms = c->core->repl.timing.probe_ms;
	uint64_t beats = dr_coord_leads(c) ? 1 : SAY_AGAIN_BEATS;
	uint64_t quiet_ms = slices > 1 ? beats * probe_ms + probe_ms / 2 : beats * probe_ms - probe_ms / 8;
	dr_probe_slice(c, c->slice, slices);
	dr_agents_lead_again(c, quiet_ms, slices > 1 ? 1 + DR_AGENTS_MAX / slices : UINT32_MAX);
	dr_ready_beat(c);
	c->slice++;
}

/* One of this file's regular timers runs; the next one in so long.  Work makes them a little late, too. */
static uint64_t note_alive(struct dr_coord *c, uint64_t now, uint64_t in_ms)
{
	dr_stall_alive(&c->stall, now, now + in_ms, c->core->repl.timing.probe_ms / STALL_PART);
	return in_ms;
}

static void on_slice(uv_timer_t *t)
{
	struct dr_coord *c = t->data;
	uint64_t now = dr_clock_boot_ms(), period = c->core->repl.timing.probe_ms;
	if (c->stopping || c->slice >= SLICES)
		return;
	bool last = c->slice + 1 == SLICES; /* then comes the beat */
	uint64_t beat_in = c->beat_ms + period > now ? c->beat_ms + period - now : 0;
	uint64_t next_in = note_alive(c, now, last ? beat_in : period / SLICES);
	look_around(c, SLICES);
	if (!last)
		(void)uv_timer_start(t, on_slice, next_in, 0);
}

static void begin_slices(struct dr_coord *c, bool many)
{
	while (c->sliced && c->slice < SLICES) /* undone of the last beat: nobody's turn is left out */
		look_around(c, SLICES);
	c->sliced = many;
	c->slice = 0;
	look_around(c, many ? SLICES : 1);
	if (many)
		(void)uv_timer_start(&c->slice_timer, on_slice, c->core->repl.timing.probe_ms / SLICES, 0);
}

/* The regular pulse: probes, observations, keep-alives, and a look at everything. */
static void on_beat(uv_timer_t *t)
{
	struct dr_coord *c = t->data;
	uint32_t period = c->core->repl.timing.probe_ms;
	bool many = dr_probe_are_many(c);
	c->beat_ms = dr_clock_boot_ms();
	(void)note_alive(c, c->beat_ms, many ? period / SLICES : period);
	dr_peers_sync(c);
	dr_peers_take_beats(c);
	begin_slices(c, many);
	say_again(c);
	dr_nodes_note_stored(c);
	dr_yield_beat(c);
	dr_disk_beat(c->conf.data_dir, c->beat_ms);
	dr_recover_beat(c);
	dr_stream_soon(c);
	struct dr_core_event ev = { .kind = DR_EV_TICK };
	dr_coord_event(c, &ev);
	if (!c->stopping)
		(void)uv_timer_start(t, on_beat, period, 0);
}

void dr_coord_beat_start(struct dr_coord *c)
{
	c->wake.data = c->beat.data = c->slice_timer.data = c;
	(void)uv_timer_init(c->loop, &c->slice_timer);
	(void)uv_timer_init(c->loop, &c->wake);
	(void)uv_timer_init(c->loop, &c->beat);
	(void)uv_timer_start(&c->beat, on_beat, 10, 0);
}
