/* net_fixture.c -- see net_fixture.h. */
#include "net_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "temp.h"

static void on_guard(uv_timer_t *t)
{
	struct world *w = t->data;
	w->timed_out = true;
	uv_stop(&w->loop);
}

static void on_open(struct dr_conn *c)
{
	struct end *e = c->ctx;
	assert_false(e->open);
	e->open = true;
	assert_true(c->peer.kind != DR_PEER_NONE);
	if (e->close_when_open)
		dr_conn_close(c, 1000);
}

static void on_frame(struct dr_conn *c, uint16_t type, const uint8_t *payload, size_t len)
{
	struct end *e = c->ctx;
	assert_true(e->open);
	assert_false(e->closed);
	e->frames++;
	e->last_type = type;
	dr_buf_put(&e->got, payload, len);
	if (e->echo)
		assert_int_equal(dr_conn_send(c, type, payload, len), DR_OK);
	if (e->hold_each)
		dr_conn_hold(c);
	if (e->close_at != 0 && type == e->close_at)
		dr_conn_close(c, 1000);
}

static void on_closed(struct dr_conn *c, const struct dr_error *why)
{
	struct end *e = c->ctx;
	assert_false(e->closed);
	assert_null(c->impl);
	e->closed = true;
	e->why = *why;
}

static const struct dr_conn_cbs cbs = { on_open, on_frame, on_closed };

void end_init(struct end *e, struct world *w)
{
	*e = (struct end){ .w = w, .used = true };
	e->c.ctx = e;
	dr_buf_init(&e->got, 64u << 20);
}

void path_of(const struct world *w, const char *name, const char *suffix, char out[128])
{
	(void)snprintf(out, 128, "%s/%s%s", w->dir, name, suffix);
}

void world_issue(struct world *w, enum dr_peer_kind kind, const char *name)
{
	struct dr_identity who = { .kind = kind };
	struct dr_error e = { 0 };
	char prefix[128];
	assert_true(dr_name_set(&who.name, name));
	path_of(w, name, "", prefix);
	if (dr_pki_issue(w->dir, &who, 10, prefix, &e) != DR_OK)
		fail_msg("%s", e.msg);
}

void world_open(struct world *w)
{
	struct dr_error e = { 0 };
	memset(w, 0, sizeof(*w));
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(uv_timer_init(&w->loop, &w->guard), 0);
	w->guard.data = w;
	temp_template(w->dir, sizeof(w->dir), "drcoord-net");
	assert_non_null(mkdtemp(w->dir));
	if (dr_pki_init(w->dir, "demo", 100, &e) != DR_OK)
		fail_msg("%s", e.msg);
	world_issue(w, DR_PEER_COORDINATOR, "c-a");
	world_issue(w, DR_PEER_COORDINATOR, "c-b");
	world_issue(w, DR_PEER_AGENT, "ag");
}

struct dr_tls *world_tls(struct world *w, const char *name)
{
	char ca[128], cert[128], key[128];
	struct dr_tls *t = NULL;
	struct dr_error e = { 0 };
	path_of(w, "ca", ".crt", ca);
	path_of(w, name, ".crt", cert);
	path_of(w, name, ".key", key);
	struct dr_tls_files files = { .ca = ca, .cert = cert, .key = key };
	if (dr_tls_open(&t, &files, &e) != DR_OK)
		fail_msg("%s", e.msg);
	return t;
}

static struct dr_conn *on_accept(void *ctx, const struct dr_conn_cbs **out)
{
	struct world *w = ctx;
	if (w->refuse || w->accepted >= ENDS_MAX)
		return NULL;
	struct end *e = &w->in[w->accepted++];
	end_init(e, w);
	e->echo = w->accept_echo;
	*out = &cbs;
	return &e->c;
}

void world_listen(struct world *w, struct dr_tls *tls, const char *host, uint32_t handshake_ms,
		  uint32_t pending_max)
{
	struct dr_error e = { 0 };
	struct dr_listener_config config = { .tls = tls,
					     .handshake_ms = handshake_ms,
					     .pending_max = pending_max,
					     .accept_cb = on_accept,
					     .ctx = w };
	(void)snprintf(config.at.host, sizeof(config.at.host), "%s", host);
	if (dr_listener_open(&w->listener, &w->loop, &config, &e) != DR_OK)
		fail_msg("%s", e.msg);
	w->at = config.at;
	w->at.port = dr_listener_port(w->listener);
	assert_true(w->at.port > 0);
}

static void on_listener_closed(void *ctx)
{
	struct world *w = ctx;
	w->listener_closed = true;
}

void world_stop_listening(struct world *w)
{
	dr_listener_close(w->listener, on_listener_closed, w);
	w->listener = NULL;
	until(w, &w->listener_closed);
}

void end_connect(struct end *e, struct world *w, struct dr_tls *tls, enum dr_peer_kind kind, const char *name,
		 uint32_t deadline_ms)
{
	struct dr_identity want = { .kind = kind };
	struct dr_error err = { 0 };
	if (name != NULL)
		assert_true(dr_name_set(&want.name, name));
	if (!e->used)
		end_init(e, w);
	if (dr_conn_connect(&e->c, &w->loop, tls, &w->at, &want, deadline_ms, &cbs, &err) != DR_OK)
		fail_msg("%s", err.msg);
	assert_false(e->open);
	assert_false(e->closed);
}

static void guard_start(struct world *w)
{
	w->timed_out = false;
	uv_update_time(&w->loop);
	(void)uv_timer_start(&w->guard, on_guard, WAIT_MS, 0);
}

static void guard_check(struct world *w)
{
	(void)uv_timer_stop(&w->guard);
	if (w->timed_out)
		fail_msg("nothing happened for %d ms", WAIT_MS);
}

void until(struct world *w, const bool *flag)
{
	guard_start(w);
	while (!*flag && !w->timed_out)
		(void)uv_run(&w->loop, UV_RUN_ONCE);
	guard_check(w);
}

void until_frames(struct world *w, const struct end *e, unsigned n)
{
	guard_start(w);
	while (e->frames < n && !w->timed_out)
		(void)uv_run(&w->loop, UV_RUN_ONCE);
	guard_check(w);
}

void until_bytes(struct world *w, const struct end *e, size_t n)
{
	guard_start(w);
	while (e->got.len < n && !w->timed_out)
		(void)uv_run(&w->loop, UV_RUN_ONCE);
	guard_check(w);
}

void spin(struct world *w, unsigned ms)
{
	uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000u;
	while (uv_hrtime() < end) {
		(void)uv_run(&w->loop, UV_RUN_NOWAIT);
		(void)usleep(200);
	}
}

static void on_guard_closed(uv_handle_t *h)
{
	(void)h;
}

static void folder_remove(const char *dir)
{
	uv_fs_t req;
	uv_dirent_t ent;
	char path[400];
	int n = uv_fs_scandir(NULL, &req, dir, 0, NULL);
	assert_true(n >= 0);
	while (uv_fs_scandir_next(&req, &ent) == 0) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, ent.name);
		(void)unlink(path);
	}
	uv_fs_req_cleanup(&req);
	assert_int_equal(rmdir(dir), 0);
}

void world_close(struct world *w)
{
	if (w->listener != NULL)
		world_stop_listening(w);
	for (unsigned i = 0; i < w->accepted; i++) {
		struct end *e = &w->in[i];
		dr_conn_close(&e->c, 0);
		until(w, &e->closed);
		dr_buf_close(&e->got);
	}
	uv_close((uv_handle_t *)&w->guard, on_guard_closed);
	while (uv_run(&w->loop, UV_RUN_NOWAIT) != 0)
		continue;
	assert_int_equal(uv_loop_close(&w->loop), 0);
	folder_remove(w->dir);
}

void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", text, part);
}
