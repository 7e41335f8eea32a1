/* test_routes.c -- routes deeper than the contract: files that others edit, commands that fail, HAProxy's sessions and
 * epochs, receivers that refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/file/record.h"
#include "adapters/file/template.h"
#include "adapters/haproxy/state.h"
#include "adapters/webhook/request.h"
#include "base/parse.h"
#include "contract.h"
#include "model/plan.h"
#include "sys/file.h"

static struct rig rig;
static struct rig_dir dir;
static struct dr_error last;
static uint64_t shown_epoch;
static char shown[DR_REASON_MAX];

static void program(const char *name, const char *text)
{
	char path[128];
	rig_file(&dir, name, "#!/bin/sh\n%s\n", text);
	(void)snprintf(path, sizeof(path), "%s/%s", dir.path, name);
	assert_int_equal(chmod(path, 0755), 0);
}

static void read_back(const char *name, char out[256])
{
	char path[128];
	struct dr_buf b;
	struct dr_error e;
	(void)snprintf(path, sizeof(path), "%s/%s", dir.path, name);
	dr_buf_init(&b, 200);
	out[0] = '\0';
	if (dr_file_read(path, &b, &e) == DR_OK)
		(void)snprintf(out, 256, "%.*s", (int)b.len, (const char *)b.data);
	dr_buf_close(&b);
}

static void expect_file(const char *name, const char *text)
{
	char got[256];
	read_back(name, got);
	assert_string_equal(got, text);
}

static enum dr_err do_op(const struct dr_adapter *a, const struct dr_target *t, enum dr_op_kind kind, uint64_t epoch,
			 const char *host)
{
	struct dr_session s;
	struct rig_op o;
	struct dr_op_args args = { .epoch = epoch };
	(void)dr_copy_text(args.primary_at.host, sizeof(args.primary_at.host), host);
	args.primary_at.port = 5432;
	assert_true(dr_name_set(&args.primary, "pg-b"));
	rig_session_open(&rig, &s, a, t);
	enum dr_err rv = rig_op_run(&rig, &o, &s, kind, &args, 3000);
	last = o.e;
	shown_epoch = o.op.evidence.route.epoch;
	(void)dr_copy_text(shown, sizeof(shown), o.op.evidence.text);
	rig_session_close(&rig, &s, NULL);
	return rv;
}

static int set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	rig_dir_make(&dir, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_dir_remove(&dir);
	rig_close(&rig);
	return 0;
}

/* ---- file ---- */

static void file_target(struct dr_target *t)
{
	memset(t, 0, sizeof(*t));
	t->route.kind = DR_ROUTE_FILE;
	t->route.servers = 1;
	assert_true(dr_name_set(&t->service, "orders") && dr_name_set(&t->coordinator, "c-a"));
	assert_true(dr_name_set(&t->route.name, "file") && dr_name_set(&t->route.on[0], "c-a"));
	(void)dr_copy_text(t->files_in, sizeof(t->files_in), dir.path);
	(void)dr_copy_text(t->commands_in, sizeof(t->commands_in), dir.path);
	(void)dr_copy_text(t->route.file, sizeof(t->route.file), "conf");
	(void)dr_copy_text(t->route.made_from, sizeof(t->route.made_from), "tmpl");
	rig_file(&dir, "tmpl", "to={{primary.host}}\n");
}

static enum dr_err route_file(const struct dr_target *t, uint64_t epoch, const char *host)
{
	return do_op(&dr_file_adapter, t, DR_OP_ROUTED, epoch, host);
}

static void test_file_follows(void **state)
{
	struct dr_target t;
	(void)state;
	file_target(&t);
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_OK);
	expect_file("conf", "to=10.0.0.1\n");
	assert_int_equal(route_file(&t, 3, "10.0.0.2"), DR_OK);
	expect_file("conf", "to=10.0.0.2\n");
	expect_file("conf.drcoord-old", "to=10.0.0.1\n");
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_E_STALE);
	expect_file("conf", "to=10.0.0.2\n");
}

static void test_file_of_others(void **state)
{
	struct dr_target t;
	(void)state;
	file_target(&t);
	rig_file(&dir, "conf", "somebody's\n");
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_E_CONFLICT);
	expect_file("conf", "somebody's\n");
	/* One that says what is wanted already is taken over. */
	rig_file(&dir, "conf", "to=10.0.0.1\n");
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_OK);
	rig_file(&dir, "conf", "to=10.0.0.1\nedited\n");
	assert_int_equal(route_file(&t, 3, "10.0.0.2"), DR_E_CONFLICT);
	assert_non_null(strstr(last.msg, "changed by somebody else"));
	expect_file("conf", "to=10.0.0.1\nedited\n");
}

/* A crash after the record and before the rename: what stands there is ours. */
static void test_file_half_done(void **state)
{
	struct dr_target t;
	struct dr_file_record r = { .known = true, .epoch = 3 };
	char path[128];
	(void)state;
	file_target(&t);
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_OK);
	dr_file_hash("to=10.0.0.1\n", 12, r.was);
	dr_file_hash("to=10.0.0.2\n", 12, r.is);
	(void)snprintf(path, sizeof(path), "%s/conf", dir.path);
	assert_int_equal(dr_file_record_write(path, &r, &last), DR_OK);
	assert_int_equal(route_file(&t, 3, "10.0.0.2"), DR_OK);
	expect_file("conf", "to=10.0.0.2\n");
	rig_file(&dir, "conf.drcoord", "epoch=3\nplan=\n");
	assert_int_equal(route_file(&t, 4, "10.0.0.3"), DR_E_CONFLICT);
}

static void test_file_refused_by_commands(void **state)
{
	struct dr_target t;
	(void)state;
	file_target(&t);
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_OK);
	program("no", "exit 1");
	(void)dr_copy_text(t.route.validate, sizeof(t.route.validate), "no");
	assert_int_equal(route_file(&t, 3, "10.0.0.2"), DR_E_FAILED);
	expect_file("conf", "to=10.0.0.1\n");
	/* The reload fails for the new one, and is run again for the old one. */
	t.route.validate[0] = '\0';
	program("load", "cat \"$DRCOORD_FILE\" >> \"${DRCOORD_FILE%/*}/loaded\"; ! grep -q 0.0.2 \"$DRCOORD_FILE\"");
	(void)dr_copy_text(t.route.reload, sizeof(t.route.reload), "load");
	assert_int_equal(route_file(&t, 3, "10.0.0.2"), DR_E_FAILED);
	assert_non_null(strstr(last.msg, "put back"));
	expect_file("conf", "to=10.0.0.1\n");
	expect_file("loaded", "to=10.0.0.2\nto=10.0.0.1\n");
	/* What was put back is of its own epoch. */
	assert_int_equal(do_op(&dr_file_adapter, &t, DR_OP_OBSERVED, 3, "10.0.0.2"), DR_OK);
	assert_int_equal(shown_epoch, 2);
	assert_int_equal(route_file(&t, 4, "10.0.0.3"), DR_OK);
	expect_file("conf", "to=10.0.0.3\n");
}

/* Two services that name one file would write it in turn. */
static void test_file_of_another_service(void **state)
{
	struct dr_target t;
	(void)state;
	file_target(&t);
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_OK);
	assert_true(dr_name_set(&t.service, "stock"));
	assert_int_equal(route_file(&t, 5, "10.0.0.2"), DR_E_CONFLICT);
	assert_non_null(strstr(last.msg, "service orders"));
	expect_file("conf", "to=10.0.0.1\n");
	/* A record of an older version names nobody. */
	char hash[DR_FILE_HASH];
	dr_file_hash("to=10.0.0.1\n", 12, hash);
	rig_file(&dir, "conf.drcoord", "epoch=2\nplan=0\nis=%s\nwas=nothing\nreloaded=1\n", hash);
	assert_int_equal(route_file(&t, 5, "10.0.0.2"), DR_OK);
	expect_file("conf", "to=10.0.0.2\n");
}

static void test_file_error_names_what_failed(void **state)
{
	struct dr_target t;
	char path[128];
	(void)state;
	file_target(&t);
	(void)snprintf(path, sizeof(path), "%s/conf.drcoord-new", dir.path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_E_DENIED);
	assert_null(strstr(last.msg, "validate"));
	assert_int_equal(rmdir(path), 0);
}

/* ---- exec ---- */

/* What a program says may be a secret: it does not go into what is recorded. */
static void test_exec_says_it_here_only(void **state)
{
	struct dr_target t = { .route = { .kind = DR_ROUTE_EXEC } };
	(void)state;
	assert_true(dr_name_set(&t.route.name, "script") && dr_name_set(&t.service, "orders"));
	(void)dr_copy_text(t.commands_in, sizeof(t.commands_in), dir.path);
	(void)dr_copy_text(t.route.run, sizeof(t.route.run), "no");
	program("no", "echo password=hunter2; exit 4");
	assert_int_equal(do_op(&dr_exec_adapter, &t, DR_OP_ROUTED, 2, "10.0.0.1"), DR_E_FAILED);
	assert_non_null(strstr(last.msg, "exit code 4"));
	assert_null(strstr(last.msg, "hunter2"));
	assert_non_null(strstr(shown, "hunter2"));
}

/* A step of a runbook is told whose it is, and nothing of a service; its undo is run alone, without verify. */
static void test_exec_of_a_step(void **state)
{
	struct dr_target t = { .route = { .kind = DR_ROUTE_EXEC }, .step.key = "demo/site-plan/7/freeze",
			       .step.plan_kind = DR_PLAN_SWITCHOVER };
	(void)state;
	assert_true(dr_name_set(&t.route.name, "freeze") && dr_name_set(&t.cluster, "demo") && dr_name_set(&t.step.site, "az-a"));
	(void)dr_copy_text(t.commands_in, sizeof(t.commands_in), dir.path);
	(void)dr_copy_text(t.route.run, sizeof(t.route.run), "say");
	program("say", "env | grep DRCOORD | grep -v KEY | sort | tr '\\n' ' '; echo \"$DRCOORD_KEY\" > \"${0%/*}/key\"");
	assert_int_equal(do_op(&dr_exec_adapter, &t, DR_OP_ROUTED, 0, ""), DR_OK);
	assert_non_null(strstr(shown, "DRCOORD_CLUSTER=demo DRCOORD_PLAN=0 DRCOORD_PLAN_KIND=switchover DRCOORD_SITE=az-a "
				      "DRCOORD_STEP=freeze DRCOORD_WHAT=run"));
	assert_null(strstr(shown, "SERVICE"));
	expect_file("key", "demo/site-plan/7/freeze\n");
	t.step.undo = true;
	assert_int_equal(do_op(&dr_exec_adapter, &t, DR_OP_ROUTED, 0, ""), DR_OK);
	assert_non_null(strstr(shown, "DRCOORD_WHAT=undo"));
}

static void test_file_stays_in_its_folder(void **state)
{
	struct dr_target t;
	(void)state;
	file_target(&t);
	(void)dr_copy_text(t.route.file, sizeof(t.route.file), "../conf");
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_E_INVALID);
	file_target(&t);
	t.files_in[0] = '\0';
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_E_REFUSED);
	file_target(&t);
	(void)dr_copy_text(t.route.made_from, sizeof(t.route.made_from), "/etc/passwd");
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_E_INVALID);
	/* No symbolic link is followed. */
	char link[128];
	file_target(&t);
	(void)snprintf(link, sizeof(link), "%s/conf", dir.path);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_int_equal(route_file(&t, 2, "10.0.0.1"), DR_E_CONFLICT);
}

static void test_template(void **state)
{
	static const char *const bad[] = { "{{primary}}", "{{primary.host", "{{primary.host\n}}", "{{}}", "x {{ epoch }} {{y}}" };
	struct dr_address at = { .host = "fd00::1", .port = 1 };
	struct dr_template_values v = { .service = "orders", .primary = "pg-b", .at = &at, .epoch = 7 };
	struct dr_buf out;
	(void)state;
	dr_buf_init(&out, 64);
	const char good[] = "{{service}}/{{ primary.name }} [{{primary.host}}]:{{primary.port}} {x} { {{epoch}}}";
	assert_int_equal(dr_template_fill(good, strlen(good), &v, &out, &last), DR_OK);
	dr_buf_put_u8(&out, 0);
	assert_string_equal((const char *)out.data, "orders/pg-b [fd00::1]:1 {x} { 7}");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		dr_buf_clear(&out);
		assert_int_equal(dr_template_fill(bad[i], strlen(bad[i]), &v, &out, &last), DR_E_INVALID);
	}
	char longer[80];
	memset(longer, 'x', sizeof(longer));
	dr_buf_clear(&out);
	assert_int_equal(dr_template_fill(longer, sizeof(longer), &v, &out, &last), DR_E_RANGE);
	dr_buf_close(&out);
}

/* ---- haproxy ---- */

static void test_haproxy_text(void **state)
{
	struct dr_haproxy_state st;
	static const char head[] = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port\n";
	char text[512];
	(void)state;
	(void)snprintf(text, sizeof(text), "proc.x: type=sint value=<12>\n\n1\n%s3 orders 1 other - 2 0 0\n"
		       "3 orders 2 primary 10.0.0.1 2 1 5432\n\n", head);
	assert_int_equal(dr_haproxy_state_read(text, "orders", "primary", &st, &last), DR_OK);
	assert_string_equal(st.at.host, "10.0.0.1");
	assert_int_equal(st.at.port, 5432);
	assert_int_equal(st.epoch, 12);
	assert_false(st.ready);
	assert_int_equal(dr_haproxy_state_read(text, "orders", "nobody", &st, &last), DR_E_NOT_FOUND);
	assert_int_equal(dr_haproxy_state_read("Can't find backend.\n", "orders", "x", &st, &last), DR_E_NOT_FOUND);
	assert_int_equal(dr_haproxy_state_read("", "orders", "x", &st, &last), DR_E_NOT_FOUND);
	(void)snprintf(text, sizeof(text), "%s3 orders 2 primary 10.0.0.1 2 1\n", head);
	assert_int_equal(dr_haproxy_state_read(text, "orders", "primary", &st, &last), DR_E_PROTOCOL);
	assert_true(dr_haproxy_is_word("be-1.x_y:z"));
	assert_false(dr_haproxy_is_word("a;b") || dr_haproxy_is_word("a b") || dr_haproxy_is_word(""));
}

struct proxy {
	pid_t pid, server[2];
	uint16_t stats, front, back[2];
};

/* A listener that holds what connects: python's, which needs no other package. */
static pid_t start_listener(uint16_t port)
{
	static char code[256];
	(void)snprintf(code, sizeof(code),
		       "import socket,time\ns=socket.create_server(('127.0.0.1',%u))\nheld=[]\nwhile True: "
		       "c=s.accept()[0]; c.send(b'%u'); held.append(c)", port, port);
	char *const argv[] = { "/usr/bin/python3", "-c", code, NULL };
	pid_t pid = rig_spawn(&dir, "listener.log", NULL, argv);
	rig_wait_port(port);
	return pid;
}

static void start_proxy(struct proxy *p)
{
	char path[128], conf[128];
	memset(p, 0, sizeof(*p));
	if (!rig_find("haproxy", path, sizeof(path)))
		fail_msg("no haproxy here: tools/install-packages run");
	p->stats = rig_free_port();
	p->front = rig_free_port();
	for (unsigned i = 0; i < 2; i++) {
		p->back[i] = rig_free_port();
		p->server[i] = start_listener(p->back[i]);
	}
	rig_file(&dir, "haproxy.conf",
		 "global\n  stats socket ipv4@127.0.0.1:%u level admin\ndefaults\n  mode tcp\n  timeout connect 1s\n"
		 "  timeout client 1m\n  timeout server 1m\nfrontend f\n  bind 127.0.0.1:%u\n  default_backend orders\n"
		 "backend orders\n  server primary 127.0.0.1:%u\n", p->stats, p->front, p->back[0]);
	(void)snprintf(conf, sizeof(conf), "%s/haproxy.conf", dir.path);
	char *const argv[] = { path, "-db", "-f", conf, NULL };
	p->pid = rig_spawn(&dir, "haproxy.log", NULL, argv);
	rig_wait_port(p->stats);
}

static void stop_proxy(struct proxy *p)
{
	rig_stop(&p->pid, SIGTERM);
	for (unsigned i = 0; i < 2; i++)
		rig_stop(&p->server[i], SIGKILL);
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0 && uv_ip4_addr("127.0.0.1", port, &at) == 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* The port of the server behind, as it says; 0: the connection was closed. */
static unsigned behind(int fd)
{
	char text[16] = "";
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	uint64_t port = 0;
	return n > 0 && dr_parse_u64(text, 0, 65535, &port) == DR_OK ? (unsigned)port : 0;
}

/* What a leader leaves that died in the middle of an order: the address is new, the old sessions still stand. */
static void break_off(const struct proxy *p, uint16_t port)
{
	char line[128], answer[64];
	int n = snprintf(line, sizeof(line), "set server orders/primary state maint; "
			 "set server orders/primary addr 127.0.0.1 port %u\n", port);
	int fd = connect_to(p->stats);
	assert_int_equal(write(fd, line, (size_t)n), n);
	while (read(fd, answer, sizeof(answer)) > 0)
		;
	(void)close(fd);
}

static void test_haproxy_cuts_old_sessions(void **state)
{
	struct proxy p;
	struct dr_target t = { .route = { .kind = DR_ROUTE_HAPROXY, .servers = 1 } };
	struct dr_session s;
	struct rig_op o;
	struct dr_op_args args = { .epoch = 2 };
	(void)state;
	start_proxy(&p);
	assert_true(dr_name_set(&t.route.name, "proxy"));
	(void)dr_copy_text(t.route.server[0].host, DR_HOST_MAX, "127.0.0.1");
	t.route.server[0].port = p.stats;
	(void)dr_copy_text(t.route.backend, DR_WORD_MAX, "orders");
	(void)dr_copy_text(t.route.backend_server, DR_WORD_MAX, "primary");
	(void)dr_copy_text(args.primary_at.host, DR_HOST_MAX, "127.0.0.1");
	args.primary_at.port = p.back[0];
	rig_session_open(&rig, &s, &dr_haproxy_adapter, &t);
	int old = connect_to(p.front);
	assert_int_equal(behind(old), p.back[0]);
	/* The address is right already: the epoch is noted, no session is touched. */
	assert_int_equal(rig_op_run(&rig, &o, &s, DR_OP_ROUTED, &args, 3000), DR_OK);
	struct pollfd pfd = { .fd = old, .events = POLLIN };
	assert_int_equal(poll(&pfd, 1, 200), 0);
	args.epoch = 3;
	args.primary_at.port = p.back[1];
	assert_int_equal(rig_op_run(&rig, &o, &s, DR_OP_ROUTED, &args, 3000), DR_OK);
	assert_int_equal(behind(old), 0);
	int new = connect_to(p.front);
	assert_int_equal(behind(new), p.back[1]);
	/* A deposed leader. */
	args.epoch = 2;
	args.primary_at.port = p.back[0];
	assert_int_equal(rig_op_run(&rig, &o, &s, DR_OP_ROUTED, &args, 3000), DR_E_STALE);
	assert_int_equal(o.op.evidence.route.epoch, 3);
	break_off(&p, p.back[0]);
	struct pollfd still = { .fd = new, .events = POLLIN };
	assert_int_equal(poll(&still, 1, 200), 0);
	args.epoch = 4;
	assert_int_equal(rig_op_run(&rig, &o, &s, DR_OP_ROUTED, &args, 3000), DR_OK);
	assert_int_equal(behind(new), 0);
	rig_session_close(&rig, &s, NULL);
	(void)dr_copy_text(t.route.backend, DR_WORD_MAX, "nothing");
	assert_int_equal(do_op(&dr_haproxy_adapter, &t, DR_OP_ROUTED, 5, "127.0.0.1"), DR_E_NOT_FOUND);
	(void)close(old);
	(void)close(new);
	stop_proxy(&p);
}

/* ---- webhook ---- */

static void test_webhook_signature(void **state)
{
	char got[80];
	(void)state;
	/* printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret */
	dr_webhook_sign("secret", 1700000000, "{\"a\":1}", got);
	assert_string_equal(got, "sha256=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686");
}

static const char *header(const struct dr_webhook_request *q, const char *begins)
{
	for (size_t i = 0; i < sizeof(q->header) / sizeof(q->header[0]); i++) {
		if (strncmp(q->header[i], begins, strlen(begins)) == 0)
			return q->header[i] + strlen(begins);
	}
	return "";
}

/* One key for all repetitions of a step, another one for its undo; a route's is of its epoch. */
static void test_webhook_keys(void **state)
{
	struct dr_target t = { .step.key = "demo/site-plan/7/tell/undo", .step.plan_kind = DR_PLAN_FAILBACK, .step.undo = true };
	struct dr_call c = { .target = &t, .kind = DR_OP_ROUTED, .args = { .plan = 7, .epoch = 4 } };
	struct dr_webhook_request q;
	(void)state;
	assert_true(dr_name_set(&t.route.name, "tell") && dr_name_set(&t.cluster, "demo") && dr_name_set(&t.step.site, "az-a"));
	dr_webhook_request_make(&q, &c, "secret", 1700000000);
	assert_string_equal(q.body, "{\"cluster\":\"demo\",\"site\":\"az-a\",\"plan\":7,\"plan_kind\":\"failback\","
				    "\"step\":\"tell\","
				    "\"undo\":true,\"drill\":false,\"ask\":false,"
				    "\"idempotency_key\":\"demo/site-plan/7/tell/undo\"}");
	assert_string_equal(header(&q, "Idempotency-Key: "), "demo/site-plan/7/tell/undo");
	c.kind = DR_OP_OBSERVED; /* to ask is not to do */
	dr_webhook_request_make(&q, &c, "secret", 1700000000);
	assert_non_null(strstr(q.body, "\"ask\":true"));
	t.step.key[0] = '\0';
	assert_true(dr_name_set(&t.service, "orders"));
	dr_webhook_request_make(&q, &c, "secret", 1700000000);
	assert_string_equal(header(&q, "Idempotency-Key: "), "demo/orders/tell/4");
}

static void test_webhook_answers(void **state)
{
	static const struct {
		long status;
		const char *text;
		enum dr_err rv;
		bool done;
	} rows[] = {
		{ 200, "{\"state\":\"done\"}", DR_OK, true },
		{ 202, "{\"state\":\"pending\"}", DR_OK, false },
		{ 200, "{\"state\":\"else\"}", DR_E_PROTOCOL, false },
		{ 200, "", DR_E_PROTOCOL, false },
		{ 200, "[[[[", DR_E_PROTOCOL, false },
		{ 302, "{\"state\":\"done\"}", DR_E_PROTOCOL, true },
		{ 401, "{\"state\":\"done\"}", DR_E_AUTH, true },
		{ 404, "no", DR_E_REFUSED, false },
		{ 409, "{\"state\":\"stale\"}", DR_E_STALE, false },
		{ 429, "", DR_E_BUSY, false },
		{ 503, "", DR_E_FAILED, false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool done = false;
		enum dr_err rv = dr_webhook_answer_read(rows[i].status, rows[i].text, strlen(rows[i].text), &done, &last);
		assert_int_equal(rv, rows[i].rv);
		assert_int_equal(done, rows[i].done);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file_follows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_of_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_half_done, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_refused_by_commands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_of_another_service, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_error_names_what_failed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_exec_says_it_here_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_exec_of_a_step, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_stays_in_its_folder, set_up, tear_down),
		cmocka_unit_test(test_template),
		cmocka_unit_test(test_haproxy_text),
		cmocka_unit_test_setup_teardown(test_haproxy_cuts_old_sessions, set_up, tear_down),
		cmocka_unit_test(test_webhook_signature),
		cmocka_unit_test(test_webhook_keys),
		cmocka_unit_test(test_webhook_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
