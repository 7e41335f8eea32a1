/* test_http.c -- the HTTP server alone, with a loop that this test plays: fresh snapshots, a loop that does not answer, who
 * holds connections or trickles, and its end in the middle of all that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coord/http/http.h"
#include "sys/clock.h"

enum { REPLY_MAX = 1 << 20 };

static struct dr_http *server;
static int loop_pipe[2];
static bool deaf;
static unsigned wholes, heads;
static char reply[REPLY_MAX];

/* In the server's thread. */
static void ask(void *ctx, bool whole)
{
	char c = whole ? 'w' : 'h';
	(void)ctx;
	(void)!write(loop_pipe[1], &c, 1);
}

static void *loop(void *arg)
{
	char c;
	(void)arg;
	while (read(loop_pipe[0], &c, 1) == 1 && c != 'x') {
		if (__atomic_load_n(&deaf, __ATOMIC_ACQUIRE))
			continue;
		struct dr_metrics *m = dr_metrics_new(c == 'w' ? 1 : 0);
		__atomic_fetch_add(c == 'w' ? &wholes : &heads, 1, __ATOMIC_ACQ_REL);
		m->whole = c == 'w';
		m->version = "1.2.3";
		(void)dr_name_set(&m->name, "c-a");
		if (m->whole) {
			(void)dr_name_set(&m->service[0].name, "orders");
			m->service[0].kind = "postgres";
			m->service[0].ready = "no";
			(void)dr_name_set(&m->service[0].primary_site, "az-a");
			m->service[0].notes = 2;
			m->service[0].note[0] = (struct dr_metrics_note){ "paused", DR_MEMBERS_MAX, true };
			m->service[0].note[1] = (struct dr_metrics_note){ "not_reachable", 1, false };
			(void)dr_name_set(&m->service[0].member[1].name, "pg-b");
			m->service[0].member[1].state = "lost";
		}
		m->at_ms = dr_clock_boot_ms();
		dr_http_give(server, m);
	}
	return NULL;
}

static int open_connection(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(dr_http_port(server)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &at.sin_addr), 1);
	assert_int_equal(connect(fd, (struct sockaddr *)(void *)&at, sizeof(at)), 0);
	return fd;
}

/* All until the other side ends it, or ms are over; how many bytes. */
static size_t read_all(int fd, int ms)
{
	size_t n = 0;
	uint64_t end = dr_clock_boot_ms() + (uint64_t)ms;
	for (uint64_t now = dr_clock_boot_ms(); now < end && n + 1 < REPLY_MAX; now = dr_clock_boot_ms()) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got = poll(&p, 1, (int)(end - now)) > 0 ? read(fd, reply + n, REPLY_MAX - 1 - n) : 0;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	reply[n] = '\0';
	return n;
}

static const char *get(const char *path)
{
	char line[256];
	int fd = open_connection();
	int n = snprintf(line, sizeof(line), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	assert_int_equal(write(fd, line, (size_t)n), n);
	(void)read_all(fd, 5000);
	(void)close(fd);
	return reply;
}

static void test_pages(void **state)
{
	(void)state;
	assert_non_null(strstr(get("/healthz"), "HTTP/1.1 200"));
	assert_non_null(strstr(get("/readyz"), "HTTP/1.1 200"));
	assert_non_null(strstr(get("/metrics"), "drcoord_service_info{service=\"orders\",kind=\"postgres\",mode=\"observe\"} 1\n"));
	assert_non_null(strstr(reply, "drcoord_build_info{version=\"1.2.3\"} 1\n"));
	assert_non_null(strstr(reply, "drcoord_service_ready{service=\"orders\",verdict=\"no\"} 1\n"));
	assert_non_null(strstr(reply, "drcoord_service_ready_note{service=\"orders\",site=\"az-a\",member=\"\",reason=\"paused\","
				      "blocks=\"true\"} 1\n"));
	assert_non_null(strstr(reply, "member=\"pg-b\",reason=\"not_reachable\",blocks=\"false\"} 1\n"));
	assert_non_null(strstr(get("/nothing"), "HTTP/1.1 404"));
}

/* Whoever asks again and again gets the snapshot that there is, and the loop is not asked more often. */
static void test_fresh_once(void **state)
{
	(void)state;
	(void)get("/metrics");
	unsigned before = __atomic_load_n(&wholes, __ATOMIC_ACQUIRE);
	for (unsigned i = 0; i < 20; i++)
		assert_non_null(strstr(get("/metrics"), "HTTP/1.1 200"));
	assert_true(__atomic_load_n(&wholes, __ATOMIC_ACQUIRE) <= before + 3);
}

/* A loop that does not turn: 503 within the deadline, and well again with it. */
static void test_deaf_loop(void **state)
{
	struct timespec pause = { .tv_nsec = 300000000 };
	(void)state;
	(void)nanosleep(&pause, NULL); /* what it has is not fresh any more */
	__atomic_store_n(&deaf, true, __ATOMIC_RELEASE);
	uint64_t began = dr_clock_boot_ms();
	assert_non_null(strstr(get("/healthz"), "HTTP/1.1 503"));
	assert_in_range(dr_clock_boot_ms() - began, 900, 4000);
	__atomic_store_n(&deaf, false, __ATOMIC_RELEASE);
	assert_non_null(strstr(get("/healthz"), "HTTP/1.1 200"));
}

/* Garbage, and half a request, cost a connection and nothing more. */
static void test_garbage(void **state)
{
	static const char *const sent[] = { "\x16\x03\x01\x02garbage\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
					    "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
					    "GET /metrics HTTP/1.1\r\nHost" };
	(void)state;
	for (unsigned i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
		int fd = open_connection();
		size_t n = strlen(sent[i]);
		assert_int_equal(write(fd, sent[i], n), n);
		(void)read_all(fd, 200);
		assert_null(strstr(reply, "HTTP/1.1 200"));
		(void)close(fd);
	}
	assert_non_null(strstr(get("/healthz"), "HTTP/1.1 200"));
}

static int begin(void **state)
{
	static pthread_t thread;
	struct dr_error e;
	struct dr_http_config c = { .at = { .host = "127.0.0.1" }, .ask = ask };
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(loop_pipe), 0);
	assert_int_equal(dr_http_open(&server, &c, &e), DR_OK);
	assert_int_equal(pthread_create(&thread, NULL, loop, NULL), 0);
	*state = &thread;
	return 0;
}

/* With a request under way that nobody will answer. */
static int end(void **state)
{
	char x = 'x';
	int fd = open_connection();
	__atomic_store_n(&deaf, true, __ATOMIC_RELEASE);
	static const char line[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	(void)!write(fd, line, sizeof(line) - 1);
	(void)!write(loop_pipe[1], &x, 1);
	(void)pthread_join(*(pthread_t *)*state, NULL);
	uint64_t began = dr_clock_boot_ms();
	dr_http_close(server);
	if (dr_clock_boot_ms() - began > 1500)
		return -1;
	(void)close(fd);
	(void)close(loop_pipe[0]);
	(void)close(loop_pipe[1]);
	return 0;
}

/* An address that can't be had, and files that are no certificates. */
static void test_not_opened(void **state)
{
	struct dr_http *h = NULL;
	struct dr_error e;
	struct dr_http_config c = { .at = { .host = "127.0.0.1", .port = dr_http_port(server) }, .ask = ask };
	(void)state;
	assert_int_equal(dr_http_open(&h, &c, &e), DR_E_EXISTS);
	assert_non_null(strstr(e.msg, "another process"));
	c.at.port = 0;
	c.tls = true;
	c.cert = c.key = "/nonexistent.crt";
	assert_int_equal(dr_http_open(&h, &c, &e), DR_E_NOT_FOUND);
	c.cert = c.key = "/etc/hostname";
	assert_int_equal(dr_http_open(&h, &c, &e), DR_E_CERT);
	(void)snprintf(c.at.host, sizeof(c.at.host), "localhost");
	c.tls = false;
	assert_int_equal(dr_http_open(&h, &c, &e), DR_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_pages), cmocka_unit_test(test_fresh_once),
					    cmocka_unit_test(test_deaf_loop), cmocka_unit_test(test_garbage),
					    cmocka_unit_test(test_not_opened) };
	return cmocka_run_group_tests(tests, begin, end);
}
