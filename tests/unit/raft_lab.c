/* raft_lab.c -- see raft_lab.h. */
#include "raft_lab.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/tls.h"
#include "raft/node.h"
#include "temp.h"

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nap(void)
{
	struct timespec t = { 0, 20000000 };

	(void)nanosleep(&t, NULL);
}

/* Each test process has a loopback address of its own: nobody takes a member's port while it is down. */
static void own_host(struct lab *l)
{
	unsigned pid = (unsigned)getpid();

	(void)snprintf(l->host, sizeof l->host, "127.%u.%u.1", 1 + pid % 250, pid / 250 % 250);
}

struct dr_address lab_address(const struct lab *l, unsigned i)
{
	struct dr_address a = { .port = l->p[i].port };

	(void)snprintf(a.host, sizeof a.host, "%s", l->host);
	return a;
}

static void check(enum dr_err rv, const struct dr_error *e)
{
	if (rv != DR_OK)
		fail_msg("%s: %s", dr_err_name(rv), e->msg);
}

static void issue(struct lab *l, struct lab_peer *p)
{
	struct dr_identity who = { .kind = DR_PEER_COORDINATOR };
	char prefix[160];
	struct dr_error e;

	(void)dr_name_set(&who.name, p->name);
	(void)snprintf(prefix, sizeof prefix, "%s/%s", l->certs, p->name);
	check(dr_pki_issue(l->certs, &who, 2, prefix, &e), &e);
}

void lab_open(struct lab *l, unsigned n, const char *election_ms, const char *threshold)
{
	static char certs[140];
	struct dr_error e;

	char dir[80];

	*l = (struct lab){ .n = n, .certs = "-", .election_ms = election_ms, .threshold = threshold };
	temp_template(dir, sizeof dir, "raftnode");
	assert_non_null(mkdtemp(dir));
	own_host(l);
	(void)snprintf(l->dir, sizeof l->dir, "%s", dir);
	if (n > 1) {
		(void)snprintf(certs, sizeof certs, "%s/pki", dir);
		l->certs = certs;
		check(dr_pki_init(certs, "demo", 2, &e), &e);
	}
	for (unsigned i = 0; i < n; i++) {
		struct lab_peer *p = &l->p[i];
		const char word[] = { 'c', '-', (char)('a' + i), '\0' };
		struct dr_name name;

		(void)snprintf(p->name, sizeof p->name, "%s", word);
		(void)snprintf(p->dir, sizeof p->dir, "%s/%s", dir, word);
		(void)dr_name_set(&name, word);
		p->id = dr_raft_first_id("demo", &name);
		p->port = (uint16_t)(LAB_PORT + i);
		p->in = p->out = -1;
		if (n > 1)
			issue(l, p);
	}
}

void lab_bootstrap(struct lab *l)
{
	struct dr_raft_member m[5] = { 0 };
	struct dr_error e;

	for (unsigned i = 0; i < l->n; i++) {
		m[i].id = l->p[i].id;
		m[i].address = lab_address(l, i);
		(void)dr_name_set(&m[i].name, l->p[i].name);
	}
	for (unsigned i = 0; i < l->n; i++)
		check(dr_raft_bootstrap(l->p[i].dir, &m[i].name, m, l->n, &e), &e);
}

void lab_close(struct lab *l)
{
	for (unsigned i = 0; i < 5; i++)
		lab_kill(&l->p[i]);
	if (fork() == 0) {
		(void)execlp("rm", "rm", "-rf", l->dir, (char *)NULL);
		_exit(1);
	}
	(void)wait(NULL);
}

void lab_start(struct lab *l, unsigned i)
{
	struct lab_peer *p = &l->p[i];
	char at[48];
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	(void)snprintf(at, sizeof at, "%s:%u", l->host, p->port);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		(void)execl(RAFT_PEER, RAFT_PEER, p->dir, p->name, at, l->certs, l->election_ms, l->threshold,
			    (char *)NULL);
		_exit(9);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	p->in = in[1];
	p->out = out[0];
	p->len = 0;
	p->last[0] = '\0';
}

void lab_say(struct lab_peer *p, const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line - 1, fmt, ap);
	va_end(ap);
	line[n] = '\n';
	(void)!write(p->in, line, (size_t)n + 1);
}

static bool take_line(struct lab_peer *p)
{
	char *end = memchr(p->text, '\n', p->len);
	size_t n;

	if (end == NULL)
		return false;
	n = (size_t)(end - p->text);
	(void)snprintf(p->last, sizeof p->last, "%.*s", (int)n, p->text);
	p->len -= n + 1;
	memmove(p->text, end + 1, p->len);
	return true;
}

bool lab_wait(struct lab_peer *p, const char *prefix, int ms)
{
	int64_t end = now_ms() + ms;

	for (;;) {
		struct pollfd f = { .fd = p->out, .events = POLLIN };
		ssize_t n;

		while (take_line(p)) {
			if (strncmp(p->last, prefix, strlen(prefix)) == 0)
				return true;
			if (getenv("LAB_VERBOSE") != NULL || strncmp(p->last, "error", 5) == 0)
				print_message("%s: %s\n", p->name, p->last);
		}
		if (now_ms() >= end || poll(&f, 1, (int)(end - now_ms())) <= 0)
			break;
		n = read(p->out, p->text + p->len, sizeof p->text - p->len);
		if (n <= 0)
			break;
		p->len += (size_t)n;
	}
	if (ms > 0)
		print_message("%s never said '%s'; last: %s\n", p->name, prefix, p->last);
	return false;
}

int lab_exit_code(struct lab_peer *p)
{
	int status = 0;

	if (p->pid == 0)
		return -2;
	(void)waitpid(p->pid, &status, 0);
	p->pid = 0;
	(void)close(p->in);
	(void)close(p->out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void lab_kill(struct lab_peer *p)
{
	if (p->pid == 0)
		return;
	(void)kill(p->pid, SIGKILL);
	(void)lab_exit_code(p);
}

int lab_quit(struct lab_peer *p)
{
	lab_say(p, "quit");
	(void)lab_wait(p, "closed", LAB_WAIT_MS);
	return lab_exit_code(p);
}

uint64_t lab_value(struct lab_peer *p, const char *key)
{
	char word[40];
	const char *at;

	lab_say(p, "status");
	assert_true(lab_wait(p, "status ", LAB_WAIT_MS));
	(void)snprintf(word, sizeof word, " %s=", key);
	at = strstr(p->last, word);
	assert_non_null(at);
	return strtoull(at + strlen(word), NULL, strcmp(key, "chain") == 0 ? 16 : 10);
}

unsigned lab_leader(struct lab *l)
{
	int64_t end = now_ms() + LAB_WAIT_MS;

	while (now_ms() < end) {
		for (unsigned i = 0; i < 5; i++) {
			if (l->p[i].pid == 0)
				continue;
			(void)lab_value(&l->p[i], "term");
			if (strstr(l->p[i].last, "role=leader") != NULL)
				return i;
		}
		nap();
	}
	fail_msg("nobody leads");
	return 0;
}

bool lab_reach(struct lab_peer *p, const char *key, uint64_t v)
{
	int64_t end = now_ms() + LAB_WAIT_MS;

	while (now_ms() < end) {
		if (lab_value(p, key) >= v)
			return true;
		nap();
	}
	print_message("%s: %s stays below %llu: %s\n", p->name, key, (unsigned long long)v, p->last);
	return false;
}
