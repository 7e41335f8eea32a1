/* copies.c -- see copies.h. */
#include "agent/shell/copies.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/shell/agent.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "proto/frames.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	COPY_WINDOW = 2 << 20, COPY_PART = 64 << 10, SEND_MS = 3600000, CONNECT_MS = 2000, SAID_MAX = 4096,
	STALL_MS = 5000 /* a tool that can't write may hold locks of a healthy primary */
};

static void put_u64(uint8_t dst[8], uint64_t v)
{
	for (int i = 0; i < 8; i++)
		dst[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get_u64(const uint8_t src[8])
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | src[i];
	return v;
}

/* ---- the source's side */

struct dr_copy_send {
	struct dr_member *member;
	struct dr_asker *to;      /* NULL: gone */
	struct dr_job job;
	uv_pipe_t from;           /* what the tool writes */
	uv_timer_t stall;         /* runs while the receiver has a window full of what it did not take yet */
	bool job_over, pipe_over, pipe_closed, stall_closed, reading;
	struct dr_error why;      /* of the job; code OK: it was whole */
	struct dr_error cut;      /* why we ended it; code OK: we did not */
	uint64_t sent, taken;
	char part[COPY_PART];
};

static void say_end(struct dr_asker *k, const struct dr_name *service, const struct dr_name *member, enum dr_err code,
		    const char *why)
{
	struct dr_member_msg msg = { .service = *service, .member = *member };
	struct dr_buf b;
	msg.result.outcome = code == DR_OK ? DR_OUTCOME_DONE : DR_OUTCOME_FAILED;
	msg.result.code = code;
	(void)dr_copy_text(msg.result.text, sizeof(msg.result.text), why);
	dr_buf_init(&b, SAID_MAX);
	dr_member_msg_encode(&b, DR_FRAME_RESULT, &msg);
	if (dr_buf_ok(&b))
		dr_best_effort(dr_conn_send(&k->conn, DR_FRAME_COPY_END, b.data, b.len));
	dr_buf_close(&b);
}

static void free_send(struct dr_copy_send *s)
{
	if (!s->job_over || !s->pipe_closed || !s->stall_closed)
		return;
	if (s->to != NULL)
		s->to->sending = NULL;
	s->member->sending = NULL;
	dr_free(s);
}

static void send_pipe_closed(uv_handle_t *h)
{
	struct dr_copy_send *s = h->data;
	s->pipe_closed = true;
	free_send(s);
}

static void send_stall_closed(uv_handle_t *h)
{
	struct dr_copy_send *s = h->data;
	s->stall_closed = true;
	free_send(s);
}

static void close_send(struct dr_copy_send *s)
{
	if (uv_is_closing((uv_handle_t *)&s->from))
		return;
	uv_close((uv_handle_t *)&s->from, send_pipe_closed);
	uv_close((uv_handle_t *)&s->stall, send_stall_closed);
}

/* The tool ends, and so does the copy, with these words. */
static void break_off(struct dr_copy_send *s, const char *why)
{
	if (s->job_over || s->cut.code != DR_OK)
		return;
	(void)dr_fail(&s->cut, DR_E_CANCELLED, "%s", why);
	s->pipe_over = true;
	(void)uv_read_stop((uv_stream_t *)&s->from);
	(void)uv_timer_stop(&s->stall);
	dr_job_cancel(&s->job);
}

static void stalled(uv_timer_t *t)
{
	break_off(t->data, "whoever it is for takes nothing more");
}

/* Both have ended: the tool, and what it had written. */
static void send_over(struct dr_copy_send *s)
{
	if (!s->job_over || !s->pipe_over || uv_is_closing((uv_handle_t *)&s->from))
		return;
	dr_log(s->why.code == DR_OK ? DR_LOG_INFO : DR_LOG_WARN, "copy.sent", "member=%s to=%s bytes=%llu why=\"%s\"",
	       s->member->conf->member.s, s->to != NULL ? s->to->conn.peer.name.s : "(gone)", (unsigned long long)s->sent,
	       s->why.code == DR_OK ? "" : s->why.msg);
	if (s->to != NULL)
		say_end(s->to, &s->member->conf->service, &s->member->conf->member, s->why.code,
			s->why.code == DR_OK ? "" : s->why.msg);
	close_send(s);
}

static void send_alloc(uv_handle_t *h, size_t want, uv_buf_t *b)
{
	struct dr_copy_send *s = h->data;
	(void)want;
	*b = uv_buf_init(s->part, sizeof(s->part));
}

static void send_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
	struct dr_copy_send *s = h->data;
	if (n < 0) {
		(void)uv_read_stop(h);
		s->pipe_over = true;
		send_over(s);
		return;
	}
	s->sent += (uint64_t)n;
	if (n > 0 && s->to != NULL && dr_conn_send(&s->to->conn, DR_FRAME_COPY_PART, b->base, (size_t)n) != DR_OK)
		dr_conn_close(&s->to->conn, 0);
	if (s->sent - s->taken >= COPY_WINDOW) {
		(void)uv_read_stop(h);
		s->reading = false;
		(void)uv_timer_start(&s->stall, stalled, STALL_MS, 0);
	}
}

static void send_job_done(struct dr_job *j, const struct dr_error *e)
{
	struct dr_copy_send *s = j->ctx;
	s->job_over = true;
	dr_error_clear(&s->why);
	if (s->cut.code != DR_OK)
		s->why = s->cut; /* however the tool ended: not all that it wrote was sent */
	else if (e != NULL)
		s->why = *e;
	if (uv_is_closing((uv_handle_t *)&s->from))
		free_send(s);
	else
		send_over(s);
}

static enum dr_err start_send(struct dr_asker *k, struct dr_member *m, struct dr_error *e)
{
	struct dr_agent *a = m->agent;
	int ends[2];
	if (m->sending != NULL || k->sending != NULL)
		return dr_fail(e, DR_E_BUSY, "a copy of it is being sent already");
	if (pipe2(ends, O_CLOEXEC) != 0)
		return dr_fail_errno(e, errno, "cannot make a pipe");
	struct dr_copy_send *s = dr_xcalloc(sizeof(*s));
	s->member = m;
	s->to = k;
	s->from.data = s;
	s->stall.data = s;
	dr_assert(uv_pipe_init(a->loop, &s->from, 0) == 0);
	dr_assert(uv_timer_init(a->loop, &s->stall) == 0);
	dr_member_job_fill(m, &s->job, DR_JOB_MY_SEND);
	s->job.deadline_ms = SEND_MS;
	s->job.done = send_job_done;
	s->job.ctx = s;
	s->job.pipe.out = ends[1];
	m->sending = k->sending = s;
	enum dr_err rv = uv_pipe_open(&s->from, ends[0]) == 0 ? dr_job_start(&s->job, a->loop, &a->cgroups, e)
							     : dr_fail(e, DR_E_INTERNAL, "cannot read a pipe");
	if (rv != DR_OK) {
		(void)close(ends[1]);
		s->job_over = true;
		close_send(s);
		return rv;
	}
	s->reading = uv_read_start((uv_stream_t *)&s->from, send_alloc, send_read) == 0;
	dr_conn_idle_set(&k->conn, 0); /* the tool may be silent for longer; a dead peer is TCP's to see */
	dr_log(DR_LOG_INFO, "copy.sending", "member=%s to=%s", m->conf->member.s, k->conn.peer.name.s);
	return DR_OK;
}

void dr_copy_asked(struct dr_asker *k, const uint8_t *bytes, size_t n)
{
	struct dr_ask ask;
	struct dr_error e;
	if (dr_ask_decode(&ask, bytes, n, &e) != DR_OK) {
		dr_conn_close(&k->conn, 0);
		return;
	}
	struct dr_member *m = dr_agent_member_find(k->agent, &ask.service, &ask.of);
	enum dr_err rv = DR_OK;
	if (m == NULL || m->conf->kind != DR_KIND_MARIADB || !dr_promises_named(m, &ask.member, &k->conn.peer.name))
		rv = dr_fail(&e, DR_E_REFUSED, "%s is not to have a copy of %s", k->conn.peer.name.s, ask.of.s);
	else
		rv = start_send(k, m, &e);
	if (rv != DR_OK)
		say_end(k, &ask.service, &ask.of, rv, e.msg);
}

void dr_copy_taken(struct dr_asker *k, const uint8_t *bytes, size_t n)
{
	struct dr_copy_send *s = k->sending;
	uint64_t taken = n == 8 ? get_u64(bytes) : 0;
	if (s == NULL || taken < s->taken || taken > s->sent)
		return;
	if (!s->reading && taken > s->taken)
		(void)uv_timer_start(&s->stall, stalled, STALL_MS, 0);
	s->taken = taken;
	if (s->reading || s->pipe_over || s->sent - s->taken >= COPY_WINDOW / 2)
		return;
	(void)uv_timer_stop(&s->stall);
	s->reading = uv_read_start((uv_stream_t *)&s->from, send_alloc, send_read) == 0;
}

void dr_copy_send_end(struct dr_member *m, const char *why)
{
	if (m->sending != NULL)
		break_off(m->sending, why);
}

/* The tool finds nobody to write to, and ends. */
void dr_copy_asker_closed(struct dr_asker *k)
{
	struct dr_copy_send *s = k->sending;
	if (s == NULL)
		return;
	s->to = NULL;
	k->sending = NULL;
	if (!s->job_over)
		dr_job_cancel(&s->job);
	close_send(s);
}

/* ---- the asking side */

struct dr_copy_fetch {
	struct dr_member *member;
	struct dr_job *job;        /* NULL: it has ended */
	struct dr_name from;
	struct dr_conn conn;
	uv_pipe_t to;
	bool conn_over, to_closed, ended;
	uint64_t came, handed;
};

struct part {
	uv_write_t req;
	struct dr_copy_fetch *fetch;
	size_t n;
	char bytes[];
};

static void free_fetch(struct dr_copy_fetch *f)
{
	if (!f->conn_over || !f->to_closed)
		return;
	if (f->member->fetching == f)
		f->member->fetching = NULL;
	dr_free(f);
}

static void fetch_pipe_closed(uv_handle_t *h)
{
	struct dr_copy_fetch *f = h->data;
	f->to_closed = true;
	free_fetch(f);
}

/* The job sees the pipe's end, and how it came to it; why NULL: the tool that reads from it has ended. */
static void fed(struct dr_copy_fetch *f, enum dr_err code, const char *why)
{
	struct dr_job *j = f->job;
	f->job = NULL;
	/* Of a tool that ended, its own words say more. */
	if (j != NULL && why != NULL && atomic_load(&j->pipe.fed) == DR_JOB_FED_NOT_YET) {
		if (code != DR_OK)
			(void)dr_fail(&j->pipe.fed_error, code, "copying from %s: %s", f->from.s, why);
		atomic_store(&j->pipe.fed, (int)code);
	}
	if (!uv_is_closing((uv_handle_t *)&f->to))
		uv_close((uv_handle_t *)&f->to, fetch_pipe_closed);
	if (!f->conn_over)
		dr_conn_close(&f->conn, 0);
}

/* The whole came, and all of it was handed on. */
static void end_if_whole(struct dr_copy_fetch *f)
{
	if (f->ended && f->handed == f->came)
		fed(f, DR_OK, "");
}

static void take_end(struct dr_copy_fetch *f, const uint8_t *p, size_t n)
{
	struct dr_member_msg msg;
	struct dr_error e;
	if (dr_member_msg_decode(&msg, DR_FRAME_RESULT, p, n, &e) != DR_OK) {
		fed(f, DR_E_PROTOCOL, "its last word does not decode");
		return;
	}
	if (msg.result.outcome != DR_OUTCOME_DONE) {
		fed(f, msg.result.code != DR_OK ? msg.result.code : DR_E_FAILED, msg.result.text);
		return;
	}
	f->ended = true;
	end_if_whole(f);
}

static void written(uv_write_t *req, int status)
{
	struct part *w = (struct part *)(void *)req;
	struct dr_copy_fetch *f = w->fetch;
	uint8_t taken[8];
	f->handed += w->n;
	dr_free(w);
	if (status != 0) {
		if (status != UV_ECANCELED)
			fed(f, DR_E_CLOSED, NULL);
		return;
	}
	put_u64(taken, f->handed);
	if (!f->conn_over)
		dr_best_effort(dr_conn_send(&f->conn, DR_FRAME_COPY_TAKEN, taken, sizeof(taken)));
	end_if_whole(f);
}

static void take_part(struct dr_copy_fetch *f, const uint8_t *p, size_t n)
{
	f->came += n;
	if (f->came - f->handed > 2 * COPY_WINDOW) {
		fed(f, DR_E_PROTOCOL, "it sends more than was asked for");
		return;
	}
	struct part *w = dr_xcalloc(sizeof(*w) + n);
	w->fetch = f;
	w->n = n;
	memcpy(w->bytes, p, n);
	uv_buf_t b = uv_buf_init(w->bytes, (unsigned)n);
	if (uv_write(&w->req, (uv_stream_t *)&f->to, &b, 1, written) != 0) {
		dr_free(w);
		fed(f, DR_E_CLOSED, NULL);
	}
}

static void fetch_open(struct dr_conn *c)
{
	struct dr_copy_fetch *f = c->ctx;
	const struct dr_agent *a = f->member->agent;
	struct dr_greet g = { .kind = DR_GREET_AGENT, .cluster = a->conf.cluster, .name = a->conf.name,
			      .version = DR_PROTOCOL_VERSION };
	struct dr_ask ask = { .service = f->member->conf->service, .member = f->member->conf->member, .of = f->from };
	struct dr_buf b;
	dr_buf_init(&b, SAID_MAX);
	dr_greet_encode(&b, &g);
	if (dr_buf_ok(&b))
		dr_best_effort(dr_conn_send(c, DR_FRAME_GREET, b.data, b.len));
	dr_buf_close(&b);
	dr_buf_init(&b, SAID_MAX);
	dr_ask_encode(&b, &ask);
	if (dr_buf_ok(&b))
		dr_best_effort(dr_conn_send(c, DR_FRAME_COPY_ASK, b.data, b.len));
	dr_buf_close(&b);
}

static void fetch_frame(struct dr_conn *c, uint16_t type, const uint8_t *p, size_t n)
{
	struct dr_copy_fetch *f = c->ctx;
	if (f->job == NULL || uv_is_closing((uv_handle_t *)&f->to))
		return;
	if (type == DR_FRAME_COPY_PART)
		take_part(f, p, n);
	else if (type == DR_FRAME_COPY_END)
		take_end(f, p, n);
}

static void fetch_closed(struct dr_conn *c, const struct dr_error *why)
{
	struct dr_copy_fetch *f = c->ctx;
	f->conn_over = true;
	if (f->job != NULL)
		fed(f, why->code != DR_OK ? why->code : DR_E_CLOSED, why->msg);
	free_fetch(f);
}

static const struct dr_conn_cbs fetch_cbs = { fetch_open, fetch_frame, fetch_closed };

enum dr_err dr_copy_fetch(struct dr_member *m, const struct dr_order_peer *from, struct dr_job *job, struct dr_error *e)
{
	struct dr_agent *a = m->agent;
	struct dr_identity want = { .kind = DR_PEER_AGENT, .name = from->agent };
	int ends[2];
	if (m->fetching != NULL)
		return dr_fail(e, DR_E_BUSY, "the copy before has not quite ended");
	if (from->agent_at.port == 0)
		return dr_fail(e, DR_E_REFUSED, "%s, the agent of %s, takes no questions: give its node file a `listen`, and the "
			       "member an `agent_address`", from->agent.s, from->member.s);
	if (pipe2(ends, O_CLOEXEC) != 0)
		return dr_fail_errno(e, errno, "cannot make a pipe");
	struct dr_copy_fetch *f = dr_xcalloc(sizeof(*f));
	f->member = m;
	f->from = from->member;
	f->to.data = f;
	f->conn.ctx = f;
	dr_assert(uv_pipe_init(a->loop, &f->to, 0) == 0);
	enum dr_err rv = uv_pipe_open(&f->to, ends[1]) == 0
				 ? dr_conn_connect(&f->conn, a->loop, a->tls, &from->agent_at, &want, CONNECT_MS, &fetch_cbs, e)
				 : dr_fail(e, DR_E_INTERNAL, "cannot write a pipe");
	if (rv != DR_OK) {
		(void)close(ends[0]);
		f->conn_over = true;
		uv_close((uv_handle_t *)&f->to, fetch_pipe_closed);
		return rv;
	}
	atomic_store(&job->pipe.fed, DR_JOB_FED_NOT_YET);
	job->pipe.in = ends[0];
	f->job = job;
	m->fetching = f;
	return DR_OK;
}

void dr_copy_fetch_end(struct dr_member *m)
{
	struct dr_copy_fetch *f = m->fetching;
	if (f != NULL)
		fed(f, DR_E_CANCELLED, "not wanted any more");
}
