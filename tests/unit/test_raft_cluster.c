/* test_raft_cluster.c -- three real members, three processes over TLS on loopback: election, kill -9,
 * restart, pre-vote, barrier before leading, snapshot for a laggard, join, remove, transfer, foreign
 * certificates, SIGPIPE. */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/tls.h"
#include "raft/node.h"
#include "raft_lab.h"

static struct lab lab;

static int setup(void **state)
{
	(void)state;
	lab_open(&lab, 3, "300", "0");
	lab_bootstrap(&lab);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

static void start_all(void)
{
	for (unsigned i = 0; i < 3; i++) {
		lab_start(&lab, i);
		assert_true(lab_wait(&lab.p[i], "ready", LAB_WAIT_MS));
	}
}

/* At most `window` of them share an entry. */
static void propose_in(unsigned window, struct lab_peer *p, size_t bytes, unsigned count, const char *more)
{
	char want[64];

	lab_say(p, "propose %zu %u %u %s", bytes, count, window, more);
	(void)snprintf(want, sizeof want, "proposed ok=%u unknown=0 refused=0", count);
	assert_true(lab_wait(p, want, LAB_WAIT_MS));
}

static void propose(struct lab_peer *p, size_t bytes, unsigned count, const char *more)
{
	propose_in(16, p, bytes, count, more);
}

/* As propose(), by whoever leads: a disk that is slow for a moment makes a leader of two step down.  Who leads now. */
static unsigned propose_all(size_t bytes, unsigned count)
{
	unsigned leader = lab_leader(&lab);

	for (unsigned tries = 0; count > 0 && tries < 5; tries++) {
		struct lab_peer *p = &lab.p[leader];

		lab_say(p, "propose %zu %u 16", bytes, count);
		assert_true(lab_wait(p, "proposed ok=", LAB_WAIT_MS));
		count -= (unsigned)strtoul(p->last + strlen("proposed ok="), NULL, 10);
		leader = lab_leader(&lab);
	}
	assert_int_equal(count, 0);
	return leader;
}

/* All living members have applied the same. */
static void same_everywhere(unsigned leader)
{
	uint64_t count = lab_value(&lab.p[leader], "count");
	uint64_t chain = lab_value(&lab.p[leader], "chain");

	for (unsigned i = 0; i < 5; i++) {
		if (lab.p[i].pid == 0)
			continue;
		assert_true(lab_reach(&lab.p[i], "count", count));
		assert_int_equal(lab_value(&lab.p[i], "chain"), chain);
	}
}

static void quit_all(void)
{
	for (unsigned i = 0; i < 5; i++) {
		if (lab.p[i].pid != 0)
			assert_int_equal(lab_quit(&lab.p[i]), 0);
	}
}

static void test_elect_and_propose(void **state)
{
	unsigned leader;

	(void)state;
	start_all();
	leader = lab_leader(&lab);
	propose(&lab.p[leader], 100, 200, "");
	propose(&lab.p[leader], 13, 50, "durable");
	propose(&lab.p[leader], DR_ENTRY_MAX, 4, "");
	same_everywhere(leader);
	propose(&lab.p[leader], 30, 40, "echo"); /* each makes apply propose another one */
	assert_true(lab_reach(&lab.p[leader], "echoed", 40));
	same_everywhere(leader);
	assert_int_equal(lab_value(&lab.p[leader], "count"), 200 + 50 + 4 + 80);
	assert_int_equal(lab_value(&lab.p[leader], "voters"), 3);
	assert_true(lab_value(&lab.p[leader], "appended") >= 254);
	assert_true(lab_value(&lab.p[(leader + 1) % 3], "appended") >= 254);
	quit_all();
}

/* The leader dies in the middle of a stream of proposals; the survivors must not die of SIGPIPE with it. */
static void test_leader_killed(void **state)
{
	unsigned first, second;
	uint64_t count;

	(void)state;
	start_all();
	first = lab_leader(&lab);
	propose(&lab.p[first], 100, 100, "");
	lab_say(&lab.p[first], "propose 4000 100000 200");
	assert_true(lab_reach(&lab.p[(first + 1) % 3], "count", 300));
	lab_kill(&lab.p[first]);
	second = lab_leader(&lab);
	assert_int_not_equal(first, second);
	propose(&lab.p[second], 100, 100, "durable");
	count = lab_value(&lab.p[second], "count");
	assert_true(count >= 400);
	lab_start(&lab, first);
	assert_true(lab_wait(&lab.p[first], "ready", LAB_WAIT_MS));
	same_everywhere(second);
	quit_all();
}

/* A leader that was stopped, and replaced meanwhile, must not show what it has as the present state; it is asked
 * before it can know. */
static void test_read_of_the_replaced(void **state)
{
	unsigned first, second;

	(void)state;
	start_all();
	first = lab_leader(&lab);
	propose(&lab.p[first], 100, 100, "");
	lab_say(&lab.p[first], "read");
	assert_true(lab_wait(&lab.p[first], "read ok count=100", LAB_WAIT_MS));
	lab_say(&lab.p[(first + 1) % 3], "read");
	assert_true(lab_wait(&lab.p[(first + 1) % 3], "read not_leader", LAB_WAIT_MS));
	assert_int_equal(kill(lab.p[first].pid, SIGSTOP), 0);
	second = (first + 1) % 3;
	if (!lab_wait(&lab.p[second], "role leader", 2000))
		second = (first + 2) % 3;
	propose(&lab.p[second], 100, 50, "");
	lab_say(&lab.p[first], "read");
	assert_int_equal(kill(lab.p[first].pid, SIGCONT), 0);
	assert_true(lab_wait(&lab.p[first], "read ", LAB_WAIT_MS));
	assert_null(strstr(lab.p[first].last, "read ok"));
	same_everywhere(second);
	quit_all();
}

/* Whoever is alone asks for votes in vain, and must not raise the term meanwhile: when the others are back it
 * would overthrow whom they follow.  Its election timeouts are each of E to 2 E. */
static void test_alone_keeps_its_term(void **state)
{
	enum { ELECTION_MS = 300, ALONE_MS = 16 * ELECTION_MS };
	unsigned leader, alone, back;
	uint64_t term;

	(void)state;
	start_all();
	leader = lab_leader(&lab);
	alone = (leader + 1) % 3;
	back = (leader + 2) % 3;
	propose(&lab.p[leader], 100, 10, "");
	same_everywhere(leader);
	lab_kill(&lab.p[back]); /* the leader last: while it lives nobody else is elected */
	lab_kill(&lab.p[leader]);
	term = lab_value(&lab.p[alone], "term");
	assert_false(lab_wait(&lab.p[alone], "role leader", ALONE_MS));
	assert_int_equal(lab_value(&lab.p[alone], "term"), term);
	lab_start(&lab, back);
	assert_true(lab_wait(&lab.p[back], "ready", LAB_WAIT_MS));
	leader = lab_leader(&lab);
	assert_true(lab_value(&lab.p[leader], "term") > term);
	propose(&lab.p[leader], 100, 10, "");
	same_everywhere(leader);
	quit_all();
}

/* A new leader knows what is committed only once an entry of its own term is; it must not say before that it
 * leads.  With all of the log committed libraft appends nothing by itself, so that entry is our barrier. */
static void test_leads_after_barrier(void **state)
{
	unsigned first, second;
	uint64_t last, term;

	(void)state;
	start_all();
	first = lab_leader(&lab);
	propose(&lab.p[first], 100, 20, "");
	same_everywhere(first);
	last = lab_value(&lab.p[first], "last");
	term = lab_value(&lab.p[first], "term");
	for (unsigned i = 0; i < 3; i++)
		assert_true(lab_reach(&lab.p[i], "commit", last));
	lab_kill(&lab.p[first]);
	second = lab_leader(&lab);
	assert_true(lab_value(&lab.p[second], "term") > term);
	assert_true(lab_value(&lab.p[second], "led_commit") > last);
	quit_all();
}

static void test_all_restart(void **state)
{
	unsigned leader;
	uint64_t count;

	(void)state;
	start_all();
	leader = lab_leader(&lab);
	propose(&lab.p[leader], 100, 500, "");
	count = lab_value(&lab.p[leader], "count");
	for (unsigned i = 0; i < 3; i++)
		lab_kill(&lab.p[i]);
	start_all();
	leader = lab_leader(&lab);
	assert_int_equal(lab_value(&lab.p[leader], "count"), count);
	propose(&lab.p[leader], 100, 10, "");
	same_everywhere(leader);
	quit_all();
}

static void test_snapshot_installed(void **state)
{
	unsigned leader, lag;

	(void)state;
	lab.threshold = "64";
	start_all();
	leader = lab_leader(&lab);
	propose(&lab.p[leader], 100, 20, "");
	lag = (leader + 1) % 3;
	lab_kill(&lab.p[lag]);
	propose_in(1, &lab.p[leader], 100, 1000, "");
	assert_true(lab_reach(&lab.p[leader], "snap", 500));
	lab_start(&lab, lag);
	assert_true(lab_wait(&lab.p[lag], "ready", LAB_WAIT_MS));
	same_everywhere(leader);
	assert_true(lab_value(&lab.p[lag], "restored") > 20);
	/* What it got is on its disk, and the guard agrees with it. */
	lab_kill(&lab.p[lag]);
	lab_start(&lab, lag);
	assert_true(lab_wait(&lab.p[lag], "ready", LAB_WAIT_MS));
	propose(&lab.p[leader], 100, 10, "");
	same_everywhere(leader);
	quit_all();
}

/* A snapshot taken for the log's bytes leaves behind it what came since the one before, so that a member that was away for
 * a moment gets that and not all of the state. */
static void test_no_snapshot_after_a_moment(void **state)
{
	unsigned leader, lag;

	(void)state;
	start_all();
	leader = propose_all(65000, 20);
	same_everywhere(leader);
	lag = (leader + 1) % 3;
	lab_kill(&lab.p[lag]);
	leader = propose_all(65000, 60);
	assert_true(lab_reach(&lab.p[leader], "snap", 60));
	lab_start(&lab, lag);
	assert_true(lab_wait(&lab.p[lag], "ready", LAB_WAIT_MS));
	same_everywhere(leader);
	assert_int_equal(lab_value(&lab.p[lag], "restored"), 0);
	quit_all();
}

/* A follower's uncommitted tail is cut off and replaced: the guard must follow. */
static void test_truncated_tail(void **state)
{
	unsigned first, leader;

	(void)state;
	start_all();
	first = lab_leader(&lab);
	propose(&lab.p[first], 100, 10, "");
	lab_kill(&lab.p[(first + 1) % 3]);
	lab_kill(&lab.p[(first + 2) % 3]);
	lab_say(&lab.p[first], "propose 100 20 20 durable");
	assert_true(
	    lab_wait(&lab.p[first], "proposed ok=0 unknown=20", LAB_WAIT_MS)); /* it steps down alone */
	lab_kill(&lab.p[first]);
	lab_start(&lab, (first + 1) % 3);
	lab_start(&lab, (first + 2) % 3);
	leader = lab_leader(&lab);
	propose(&lab.p[leader], 60, 30, "");
	lab_start(&lab, first);
	assert_true(lab_wait(&lab.p[first], "ready", LAB_WAIT_MS));
	same_everywhere(leader);
	assert_int_equal(lab_value(&lab.p[first], "count"), 40);
	lab_kill(&lab.p[first]);
	lab_start(&lab, first);
	assert_true(lab_wait(&lab.p[first], "ready", LAB_WAIT_MS));
	same_everywhere(leader);
	quit_all();
}

static void change(unsigned leader, const char *want, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void change(unsigned leader, const char *want, const char *fmt, ...)
{
	char line[160];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	lab_say(&lab.p[leader], "%s", line);
	assert_true(lab_wait(&lab.p[leader], want, LAB_WAIT_MS));
}

/* A target that is slow to catch up or to stand misses its one election timeout: an operator would ask again. */
static void transfer(unsigned leader, unsigned to)
{
	bool done = false;

	for (unsigned tries = 0; !done && tries < 5; tries++) {
		change(leader, "changed ", "transfer %" PRIu64, lab.p[to].id);
		done = strcmp(lab.p[leader].last, "changed ok") == 0;
		if (!done)
			assert_non_null(strstr(lab.p[leader].last, "error=timeout"));
	}
	assert_true(done);
}

static void test_transfer(void **state)
{
	unsigned leader, to;

	(void)state;
	start_all();
	leader = lab_leader(&lab);
	to = (leader + 1) % 3;
	propose(&lab.p[leader], 100, 10, "");
	transfer(leader, to);
	assert_int_equal(lab_leader(&lab), to);
	propose(&lab.p[to], 100, 10, "");
	lab_kill(&lab.p[leader]);
	change(to, "changed error=timeout", "transfer %" PRIu64, lab.p[leader].id);
	change(to, "changed error=not_found", "transfer %u", 12345u);
	assert_int_equal(lab_leader(&lab), to);
	quit_all();
}

/* Make member i a fresh one that asks to join. */
static void prepare(unsigned i)
{
	struct lab_peer *p = &lab.p[i];
	struct dr_identity who = { .kind = DR_PEER_COORDINATOR };
	char prefix[200];
	struct dr_error e;
	const char word[] = { 'c', '-', (char)('a' + i), '\0' };

	(void)snprintf(p->name, sizeof p->name, "%s", word);
	(void)snprintf(p->dir, sizeof p->dir, "%s/%s-joined", lab.certs, word);
	p->port = (uint16_t)(LAB_PORT + i);
	(void)dr_name_set(&who.name, p->name);
	assert_int_equal(dr_raft_prepare_join(p->dir, &who.name, &p->id, &e), DR_OK);
	(void)snprintf(prefix, sizeof prefix, "%s/%s", lab.certs, p->name);
	if (i >= lab.n)
		assert_int_equal(dr_pki_issue(lab.certs, &who, 2, prefix, &e), DR_OK);
	lab_start(&lab, i);
	assert_true(lab_wait(p, "ready", LAB_WAIT_MS));
}

static void test_join_and_remove(void **state)
{
	unsigned leader;
	struct lab_peer *d = &lab.p[3];

	(void)state;
	start_all();
	leader = lab_leader(&lab);
	propose(&lab.p[leader], 100, 100, "");
	prepare(3);
	change(leader, "changed ok", "add %" PRIu64 " %s %u", d->id, d->name, d->port);
	assert_int_equal(lab_value(&lab.p[leader], "voters"), 4);
	propose(&lab.p[leader], 100, 10, "");
	same_everywhere(leader);
	assert_int_equal(lab_value(d, "voters"), 4);
	change(leader, "changed error=exists", "add %" PRIu64 " %s %u", d->id, d->name, d->port);
	change(leader, "changed ok", "remove %" PRIu64, d->id);
	assert_int_equal(lab_value(&lab.p[leader], "members"), 3);
	propose(&lab.p[leader], 100, 10, "");
	assert_int_equal(lab_quit(d), 0);
	/* The leader removes itself; another one leads on. */
	change(leader, "changed ok", "remove %" PRIu64, lab.p[leader].id);
	assert_true(lab_reach(&lab.p[leader], "removed", 1));
	assert_int_equal(lab_quit(&lab.p[leader]), 0);
	leader = lab_leader(&lab);
	assert_int_equal(lab_value(&lab.p[leader], "voters"), 2);
	propose(&lab.p[leader], 100, 10, "");
	quit_all();
}

/* A member lost its disk: it comes back under a new id, the old one is removed. */
static void test_wiped_and_back(void **state)
{
	unsigned leader, w;
	uint64_t old;

	(void)state;
	start_all();
	leader = lab_leader(&lab);
	w = (leader + 1) % 3;
	propose(&lab.p[leader], 100, 100, "");
	lab_kill(&lab.p[w]);
	old = lab.p[w].id;
	change(leader, "changed ok", "remove %" PRIu64, old);
	prepare(w);
	assert_true(lab.p[w].id != old);
	change(leader, "changed ok", "add %" PRIu64 " %s %u", lab.p[w].id, lab.p[w].name, lab.p[w].port);
	same_everywhere(leader);
	lab_kill(&lab.p[w]);
	lab_start(&lab, w);
	assert_true(lab_wait(&lab.p[w], "ready", LAB_WAIT_MS));
	propose(&lab.p[leader], 100, 10, "");
	same_everywhere(leader);
	quit_all();
}

/* Another name's certificate, and one of another CA, get no votes and disturb nobody. */
static void test_foreign(void **state)
{
	unsigned leader, f;
	uint64_t term;
	const char *certs = lab.certs;
	char own[220], other[260];
	struct dr_identity who = { .kind = DR_PEER_COORDINATOR };
	struct dr_error e;

	(void)state;
	start_all();
	leader = lab_leader(&lab);
	f = (leader + 1) % 3;
	propose(&lab.p[leader], 100, 10, "");
	assert_int_equal(lab_quit(&lab.p[f]), 0);
	term = lab_value(&lab.p[leader], "term");
	(void)snprintf(own, sizeof own, "%s/foreign", lab.certs);
	assert_int_equal(dr_pki_init(own, "demo", 2, &e), DR_OK);
	(void)dr_name_set(&who.name, lab.p[f].name);
	(void)snprintf(other, sizeof other, "%s/%s", own, lab.p[f].name);
	assert_int_equal(dr_pki_issue(own, &who, 2, other, &e), DR_OK);
	lab.certs = own;
	lab_start(&lab, f);
	lab.certs = certs;
	assert_true(lab_wait(&lab.p[f], "ready", LAB_WAIT_MS));
	propose(&lab.p[leader], 100, 300, "");
	assert_false(lab_wait(&lab.p[f], "role leader", 1500)); /* three election timeouts */
	assert_int_equal(lab_value(&lab.p[leader], "term"), term);
	assert_int_equal(lab_value(&lab.p[f], "count"), 0);
	quit_all();
}

/* Majority gone for good: one survivor goes on alone. */
static void test_recover(void **state)
{
	struct dr_raft_member m = { .voter = true };
	unsigned leader, left;
	uint64_t term, count;
	struct dr_error e;

	(void)state;
	start_all();
	leader = lab_leader(&lab);
	propose(&lab.p[leader], 100, 100, "durable");
	same_everywhere(leader);
	left = (leader + 1) % 3;
	term = lab_value(&lab.p[left], "term");
	count = lab_value(&lab.p[left], "count");
	for (unsigned i = 0; i < 3; i++)
		lab_kill(&lab.p[i]);
	m.id = lab.p[left].id;
	m.address = lab_address(&lab, left);
	(void)dr_name_set(&m.name, lab.p[left].name);
	assert_int_equal(dr_raft_recover(lab.p[left].dir, &m, &e), DR_OK);
	lab_start(&lab, left);
	assert_true(lab_wait(&lab.p[left], "role leader", LAB_WAIT_MS));
	assert_true(lab_value(&lab.p[left], "term") > term);
	assert_int_equal(lab_value(&lab.p[left], "count"), count);
	propose(&lab.p[left], 100, 10, "");
	assert_int_equal(lab_value(&lab.p[left], "members"), 1);
	quit_all();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_elect_and_propose),   CASE(test_leader_killed), CASE(test_read_of_the_replaced),
		CASE(test_alone_keeps_its_term),
		CASE(test_leads_after_barrier), CASE(test_all_restart),   CASE(test_snapshot_installed),
		CASE(test_no_snapshot_after_a_moment),
		CASE(test_truncated_tail),      CASE(test_transfer),      CASE(test_join_and_remove),
		CASE(test_wiped_and_back),      CASE(test_foreign),       CASE(test_recover),
	};

	cmocka_set_test_filter(getenv("LAB_ONLY")); /* one case by its name */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
