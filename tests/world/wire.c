/* wire.c -- messages and records as they are after the real codecs had them. */
#include "tests/world/world.h"

#include <string.h>

#include "agent/shell/journal_codec.h"
#include "base/assert.h"
#include "proto/codec.h"
#include "proto/frames.h"

static struct dr_buf bytes;

static struct dr_buf *fresh(void)
{
	if (bytes.max == 0)
		dr_buf_init(&bytes, 1 << 20);
	dr_buf_clear(&bytes);
	return &bytes;
}

static void done(struct world *w, enum dr_err rv, const char *what, const struct dr_error *e)
{
	if (rv != DR_OK || !dr_buf_ok(&bytes))
		w_violation(w, "%s does not survive its codec: %s", what, e->msg);
}

void w_wire_order(struct world *w, struct dr_order *o)
{
	struct dr_error e = { 0 };
	dr_order_encode(fresh(), o);
	done(w, dr_order_decode(o, bytes.data, bytes.len, &e), "an order", &e);
}

void w_wire_report(struct world *w, struct dr_report *r)
{
	struct dr_error e = { 0 };
	dr_report_encode(fresh(), r);
	done(w, dr_report_decode(r, bytes.data, bytes.len, &e), "a report", &e);
}

void w_wire_result(struct world *w, uint32_t from, struct dr_order_result *r)
{
	struct dr_error e = { 0 };
	struct dr_member_msg m = { .service = w_spec_of(w, from)->name, .member = w->m[from].name, .result = *r };
	dr_member_msg_encode(fresh(), DR_FRAME_RESULT, &m);
	done(w, dr_member_msg_decode(&m, DR_FRAME_RESULT, bytes.data, bytes.len, &e), "a result", &e);
	*r = m.result;
}

void w_wire_observations(struct world *w, struct dr_observation *o, uint32_t n)
{
	struct dr_error e = { 0 };
	uint32_t count = 0;
	dr_observations_encode(fresh(), o, n);
	done(w, dr_observations_decode(o, n, &count, bytes.data, bytes.len, &e), "observations", &e);
	if (count != n)
		w_violation(w, "%u observations of %u survive their codec", count, n);
}

void w_wire_ask(struct world *w, struct dr_ask *a)
{
	struct dr_error e = { 0 };
	dr_ask_encode(fresh(), a);
	done(w, dr_ask_decode(a, bytes.data, bytes.len, &e), "a question", &e);
}

void w_wire_promise(struct world *w, struct dr_promise *p)
{
	struct dr_error e = { 0 };
	dr_promise_encode(fresh(), p);
	done(w, dr_promise_decode(p, bytes.data, bytes.len, &e), "a promise", &e);
}

void w_wire_journal(struct world *w, struct dr_agent_journal *j)
{
	struct dr_error e = { 0 };
	dr_agent_journal_encode(fresh(), j);
	done(w, dr_agent_journal_decode(j, bytes.data, bytes.len, &e), "a journal", &e);
}
