/* codec_runbook.c -- steps of the runbook as messages: in specs and snapshots, and to whoever is to carry one out. */
#include <string.h>

#include "base/parse.h"
#include "proto/codec.h"
#include "proto/pb.h"

void dr_pb_step_put(Drcoord__Pb__RunbookStep *m, const struct dr_runbook_step *s)
{
	drcoord__pb__runbook_step__init(m);
	m->name = dr_pb_str(s->name.s);
	m->site = dr_pb_str(s->site.s);
	m->plans = (uint32_t)s->plans;
	m->when = (uint32_t)s->when;
	m->group = s->group;
	m->on_site = dr_pb_str(s->on_site.s);
	m->on_agent = dr_pb_str(s->on_agent.s);
	m->run = dr_pb_str(s->run);
	m->verify = dr_pb_str(s->verify);
	m->undo = dr_pb_str(s->undo);
	m->url = dr_pb_str(s->url);
	m->undo_url = dr_pb_str(s->undo_url);
	m->hmac_secret_file = dr_pb_str(s->hmac_secret_file);
	m->ca_file = dr_pb_str(s->ca_file);
	m->timeout_ms = s->timeout_ms;
	m->on_failure = (uint32_t)s->on_failure;
}

static void take_texts(struct dr_runbook_step *s, const Drcoord__Pb__RunbookStep *m)
{
	dr_pb_text(s->run, sizeof(s->run), m->run);
	dr_pb_text(s->verify, sizeof(s->verify), m->verify);
	dr_pb_text(s->undo, sizeof(s->undo), m->undo);
	dr_pb_text(s->url, sizeof(s->url), m->url);
	dr_pb_text(s->undo_url, sizeof(s->undo_url), m->undo_url);
	dr_pb_text(s->hmac_secret_file, sizeof(s->hmac_secret_file), m->hmac_secret_file);
	dr_pb_text(s->ca_file, sizeof(s->ca_file), m->ca_file);
}

enum dr_err dr_pb_step_take(struct dr_runbook_step *s, const Drcoord__Pb__RunbookStep *m, struct dr_error *e)
{
	memset(s, 0, sizeof(*s));
	if (m->plans >= DR_RUNBOOK_PLANS || m->when >= DR_RUNBOOK_WHENS || m->on_failure >= DR_RUNBOOK_FAILURES ||
	    m->group > DR_GROUP_MAX || m->timeout_ms > DR_RUNBOOK_MS_MAX)
		return dr_fail(e, DR_E_PROTOCOL, "a step of the runbook that cannot be");
	s->plans = (enum dr_runbook_plans)m->plans;
	s->when = (enum dr_runbook_when)m->when;
	s->group = m->group;
	s->timeout_ms = m->timeout_ms;
	s->on_failure = (enum dr_runbook_failure)m->on_failure;
	take_texts(s, m);
	enum dr_err rv = dr_pb_name(&s->name, m->name, "runbook.name", e);
	if (rv == DR_OK && s->name.s[0] == '\0')
		rv = dr_fail(e, DR_E_PROTOCOL, "a step of the runbook without a name");
	if (rv == DR_OK)
		rv = dr_pb_name(&s->site, m->site, "runbook.site", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&s->on_site, m->on_site, "runbook.on_site", e);
	return rv == DR_OK ? dr_pb_name(&s->on_agent, m->on_agent, "runbook.on_agent", e) : rv;
}

void dr_pb_runbook_put(struct dr_pb_runbook *t, const struct dr_runbook_step all[DR_RUNBOOK_MAX])
{
	t->n = 0;
	for (uint32_t i = 0; i < DR_RUNBOOK_MAX; i++) {
		if (all[i].name.s[0] == '\0')
			continue;
		dr_pb_step_put(&t->step[t->n], &all[i]);
		t->step[t->n].place = i + 1;
		t->ptr[t->n] = &t->step[t->n];
		t->n++;
	}
}

enum dr_err dr_pb_runbook_take(struct dr_runbook_step all[DR_RUNBOOK_MAX], Drcoord__Pb__RunbookStep *const *m, size_t n,
			       struct dr_error *e)
{
	for (size_t i = 0; i < n; i++) {
		if (m[i]->place == 0 || m[i]->place > DR_RUNBOOK_MAX || all[m[i]->place - 1].name.s[0] != '\0')
			return dr_fail(e, DR_E_PROTOCOL, "a runbook with too many steps");
		enum dr_err rv = dr_pb_step_take(&all[m[i]->place - 1], m[i], e);
		if (rv != DR_OK)
			return rv;
	}
	return DR_OK;
}

void dr_step_ask_encode(struct dr_buf *out, const struct dr_step_ask *a)
{
	Drcoord__Pb__StepAsk m = DRCOORD__PB__STEP_ASK__INIT;
	Drcoord__Pb__RunbookStep step;
	dr_pb_step_put(&step, &a->step);
	m.key = dr_pb_str(a->key);
	m.cluster = dr_pb_str(a->cluster.s);
	m.site = dr_pb_str(a->site.s);
	m.plan = a->plan;
	m.plan_kind = (uint32_t)a->kind;
	m.undo = a->undo;
	m.left_ms = a->left_ms;
	m.step = &step;
	dr_pb_pack(out, &m.base);
}

enum dr_err dr_step_ask_decode(struct dr_step_ask *a, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	memset(a, 0, sizeof(*a));
	Drcoord__Pb__StepAsk *m = dr_pb_unpack(&drcoord__pb__step_ask__descriptor, p, n, &b);
	if (m == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "a step that does not decode");
	dr_pb_text(a->key, sizeof(a->key), m->key);
	if (a->key[0] == '\0' || m->step == NULL) {
		dr_pb_free(m, &b);
		return dr_fail(e, DR_E_PROTOCOL, "a step without a key, or with nothing to do");
	}
	a->plan = m->plan;
	a->kind = (enum dr_plan_kind)(m->plan_kind < DR_PLAN_KIND_MAX ? m->plan_kind : DR_PLAN_NONE);
	a->undo = m->undo;
	a->left_ms = m->left_ms;
	enum dr_err rv = dr_pb_name(&a->cluster, m->cluster, "cluster", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&a->site, m->site, "site", e);
	if (rv == DR_OK)
		rv = dr_pb_step_take(&a->step, m->step, e);
	dr_pb_free(m, &b);
	return rv;
}

void dr_step_answer_encode(struct dr_buf *out, const struct dr_step_answer *a)
{
	Drcoord__Pb__StepAnswer m = DRCOORD__PB__STEP_ANSWER__INIT;
	m.key = dr_pb_str(a->key);
	m.code = (uint32_t)a->code;
	m.text = dr_pb_str(a->text);
	dr_pb_pack(out, &m.base);
}

enum dr_err dr_step_answer_decode(struct dr_step_answer *a, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	memset(a, 0, sizeof(*a));
	Drcoord__Pb__StepAnswer *m = dr_pb_unpack(&drcoord__pb__step_answer__descriptor, p, n, &b);
	if (m == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "an answer that does not decode");
	dr_pb_text(a->key, sizeof(a->key), m->key);
	dr_pb_text(a->text, sizeof(a->text), m->text);
	a->code = m->code == DR_OK || m->code == DR_E_CANCELLED ? (enum dr_err)m->code : DR_E_FAILED;
	dr_pb_free(m, &b);
	return DR_OK;
}
