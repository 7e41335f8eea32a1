/* test_redis_data.c -- whose data a Redis server has: its id stays with it, no signing lowers an epoch, and nobody follows a server
 * that would overwrite what only it has.  And of a cluster's node: how far it is, through a promotion and a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "redis_server.h"

static struct rig_dir dir;
static struct redis_server ours = { .member = "rd-a" }, copy = { .member = "rd-b" }, theirs = { .member = "rd-x" };
static struct rig rig;
static const struct dr_adapter *adapter = &dr_redis_adapter;
static struct dr_evidence frozen; /* what WRITABLE asks for; none */
static uint64_t known; /* the service's identity, as soon as the log has it */
static const char *const nobodys[] = { "--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1 0", NULL };

/* The op on the server in that epoch; whom it concerns is at `source`.  What it ended with. */
static enum dr_err asked(struct rig_op *o, struct dr_session *s, enum dr_op_kind kind, const struct redis_server *on,
			 const struct redis_server *source, uint64_t epoch)
{
	struct contract_step st;
	redis_step(&st, kind, "sessions", on, source);
	st.args.epoch = epoch;
	st.args.system_id = known;
	st.args.position = frozen.received;
	st.args.timeline = frozen.timeline;
	if (s->adapter == NULL)
		rig_session_open(&rig, s, adapter, &st.target);
	return rig_op_run(&rig, o, s, kind, &st.args, st.deadline_ms);
}

static struct dr_evidence holds(enum dr_op_kind kind, const struct redis_server *on, const struct redis_server *source,
				uint64_t epoch)
{
	struct dr_session s = { .adapter = NULL };
	struct rig_op o;
	if (asked(&o, &s, kind, on, source, epoch) != DR_OK)
		fail_msg("%s on %s: %s", dr_op_name(kind), on->member, o.e.msg);
	rig_session_close(&rig, &s, NULL);
	return o.op.evidence;
}

static struct dr_evidence is_refused(enum dr_op_kind kind, const struct redis_server *on, const struct redis_server *source,
				     uint64_t epoch, enum dr_err code, const char *text)
{
	struct dr_session s = { .adapter = NULL };
	struct rig_op o;
	if (asked(&o, &s, kind, on, source, epoch) != code || strstr(o.e.msg, text) == NULL)
		fail_msg("%s on %s: %s: %s", dr_op_name(kind), on->member, dr_err_name(o.code), o.e.msg);
	rig_session_close(&rig, &s, NULL);
	return o.op.evidence;
}

/* It has read its files. */
static void has_loaded(const struct redis_server *on)
{
	struct dr_session s = { .adapter = NULL };
	struct rig_op o;
	for (uint64_t end = rig_now_ms() + 5000; asked(&o, &s, DR_OP_PROBE, on, on, 0) == DR_E_BUSY; rig_for(&rig, 10))
		assert_true(rig_now_ms() < end);
	rig_session_close(&rig, &s, NULL);
}

/* It goes with the data, outlives its deletion and a promotion. */
static void has_one_identity(void **state)
{
	(void)state;
	assert_int_equal(holds(DR_OP_PROBE, &ours, &ours, 0).system_id, 0);
	(void)holds(DR_OP_SIGNED, &ours, &ours, 3);
	uint64_t id = holds(DR_OP_PROBE, &ours, &ours, 0).system_id;
	assert_true(id != 0);
	(void)holds(DR_OP_FOLLOWING, &copy, &ours, 3);
	assert_true(holds(DR_OP_PROBE, &copy, &ours, 0).system_id == id);
	/* The stream got a name of its own with its first replica. */
	(void)holds(DR_OP_PROBE_WRITE, &ours, &ours, 3);
	known = id;
	redis_server_tell(&dir, &ours, "FLUSHALL", NULL);
	known = 0; /* a coordinator that does not know the log's identity yet makes none up */
	(void)holds(DR_OP_PROBE_WRITE, &ours, &ours, 3);
	assert_int_equal(holds(DR_OP_PROBE, &ours, &ours, 0).system_id, 0);
	known = id;
	(void)holds(DR_OP_PROBE_WRITE, &ours, &ours, 3);
	struct dr_evidence after = holds(DR_OP_PROBE, &ours, &ours, 0);
	assert_true(after.system_id == id);
	assert_int_equal(after.timeline, 3);
	(void)holds(DR_OP_FROZEN, &copy, &ours, 4);
	struct dr_evidence promoted = holds(DR_OP_WRITABLE, &copy, &ours, 4);
	assert_true(promoted.wrote && !promoted.untouched);
	assert_true(holds(DR_OP_PROBE, &copy, &ours, 0).system_id == id);
	assert_int_equal(holds(DR_OP_PROBE, &copy, &ours, 0).timeline, 4);
}

/* Whoever asks with an older epoch is behind: the mark stays. */
static void keeps_its_epoch(void **state)
{
	(void)state;
	assert_true(is_refused(DR_OP_WRITABLE, &copy, &copy, 3, DR_E_REFUSED, "epoch 4").untouched);
	(void)holds(DR_OP_PROBE_WRITE, &copy, &copy, 3);
	(void)holds(DR_OP_SIGNED, &copy, &copy, 3);
	assert_int_equal(holds(DR_OP_PROBE, &copy, &copy, 0).timeline, 4);
}

static void has_what_only_it_has(const struct redis_server *on)
{
	redis_server_tell(&dir, on, "EVAL", "return redis.call('GET', 'only') or redis.error_reply('it is gone')", "0", NULL);
}

/* What only it has is there after it was told to follow, also when it has lost its place; and so is another service's. */
static void is_not_overwritten(void **state)
{
	(void)state;
	redis_server_tell(&dir, &ours, "SET", "only", "here", NULL); /* by the old primary, after it was cut off */
	redis_server_tell(&dir, &ours, "REPLICAOF", "127.0.0.1", "0", NULL);
	redis_server_tell(&dir, &theirs, "SET", "another", "service", NULL);
	known = 0;
	(void)holds(DR_OP_SIGNED, &theirs, &theirs, 1);
	(void)is_refused(DR_OP_FOLLOWING, &ours, &copy, 4, DR_E_CONFLICT, "it has more than");
	assert_int_equal(holds(DR_OP_COMPARED, &ours, &copy, 4).divergence, DR_DIVERGENCE_CLONE);
	(void)is_refused(DR_OP_FOLLOWING, &ours, &theirs, 4, DR_E_REFUSED, "another service");
	(void)is_refused(DR_OP_COMPARED, &ours, &theirs, 4, DR_E_REFUSED, "another service");
	has_what_only_it_has(&ours);
	redis_server_stop(&ours);
	redis_server_start(&dir, &ours, nobodys);
	has_loaded(&ours);
	(void)is_refused(DR_OP_FOLLOWING, &ours, &copy, 4, DR_E_CONFLICT, "place in the primary's stream is not known");
	has_what_only_it_has(&ours);
	assert_true(holds(DR_OP_PROBE, &ours, &copy, 0).in_recovery);
	assert_false(holds(DR_OP_PROBE, &ours, &copy, 0).receiving);
}

/* Of whom it ever followed it may fetch anew what it has; a copy that takes long to load is waited for. */
static void follows_again(void **state)
{
	static const char *const slow[] = { "--replicaof", "127.0.0.1 0", "--key-load-delay", "500",
					    "--loading-process-events-interval-bytes", "1024", NULL };
	struct redis_server d = { .member = "rd-d" };
	(void)state;
	redis_server_tell(&dir, &copy, "EVAL", "for i = 1, 3000 do redis.call('SET', i, i) end", "0", NULL);
	redis_server_start(&dir, &d, slow);
	(void)holds(DR_OP_FOLLOWING, &d, &copy, 4);
	redis_server_stop(&d);
	redis_server_start(&dir, &d, nobodys);
	has_loaded(&d);
	(void)holds(DR_OP_FOLLOWING, &d, &copy, 4);
	redis_server_stop(&d);
}

/* A source that is not there yet is waited for. */
static void waits_for_its_source(void **state)
{
	(void)state;
	struct dr_session s = { .adapter = NULL };
	struct redis_server nobody = { .member = "rd-n", .at = { .host = "127.0.0.1", .port = rig_free_port() } };
	struct contract_step st;
	struct rig_op o;
	redis_step(&st, DR_OP_FOLLOWING, "sessions", &ours, &nobody);
	rig_session_open(&rig, &s, &dr_redis_adapter, &st.target);
	assert_int_equal(rig_op_run(&rig, &o, &s, DR_OP_FOLLOWING, &st.args, 300), DR_E_TIMEOUT);
	rig_session_close(&rig, &s, NULL);
}

/* A node that was restarted between its choice and its promotion has what its files had; one that was not has all, in each of the
 * looks that a promotion takes. */
static void a_node_has_its_place(void **state)
{
	static const char *const options[] = {
		"--min-replicas-to-write", "1000000", "--masteruser", "drcoord-nobody", "--masterauth", "drcoord-nobody",
		"--repl-diskless-sync-delay", "0", "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1",
		"--cluster-node-timeout", "2000", NULL };
	struct redis_server a = { .member = "rc-a" }, b = { .member = "rc-b" };
	char port[8], bus[8];
	(void)state;
	adapter = &dr_redis_cluster_adapter;
	known = 0;
	redis_server_start(&dir, &a, options);
	redis_server_start(&dir, &b, options);
	(void)snprintf(port, sizeof(port), "%u", a.at.port);
	(void)snprintf(bus, sizeof(bus), "%u", a.bus);
	redis_server_tell(&dir, &a, "CLUSTER", "ADDSLOTSRANGE", "0", "16383", NULL);
	redis_server_tell(&dir, &a, "CONFIG", "SET", "min-replicas-to-write", "0", NULL);
	redis_server_tell(&dir, &b, "CLUSTER", "MEET", "127.0.0.1", port, bus, NULL);
	(void)holds(DR_OP_SIGNED, &a, &a, 1);
	(void)holds(DR_OP_FOLLOWING, &b, &a, 1);
	(void)holds(DR_OP_PROBE_WRITE, &a, &a, 1); /* its stream got a name of its own */
	(void)holds(DR_OP_PROBE_WRITE, &a, &a, 1);
	frozen = holds(DR_OP_FROZEN, &b, &a, 2);
	assert_true(frozen.received > 0);
	redis_server_stop(&b);
	redis_server_start(&dir, &b, options);
	has_loaded(&b);
	struct dr_evidence no = is_refused(DR_OP_WRITABLE, &b, &b, 2, DR_E_BEHIND, "come back with less");
	assert_true(no.untouched && no.received < frozen.received && no.in_recovery);
	frozen.received = 0;
	(void)holds(DR_OP_FOLLOWING, &b, &a, 2);
	frozen = holds(DR_OP_FROZEN, &b, &a, 3);
	assert_true(holds(DR_OP_WRITABLE, &b, &b, 3).wrote);
	assert_int_equal(holds(DR_OP_PROBE, &b, &b, 0).timeline, 3);
	redis_server_stop(&a);
	redis_server_stop(&b);
}

static int set_up(void **state)
{
	static const char *const writes[] = { "--repl-diskless-sync-delay", "0", NULL };
	(void)state;
	if (!redis_is_here())
		return 1;
	rig_init(&rig);
	rig_dir_make(&dir, REDIS_USER);
	redis_server_start(&dir, &ours, writes);
	redis_server_start(&dir, &copy, nobodys);
	redis_server_start(&dir, &theirs, writes);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	redis_server_stop(&ours);
	redis_server_stop(&copy);
	redis_server_stop(&theirs);
	rig_dir_remove(&dir);
	rig_close(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_one_identity), cmocka_unit_test(keeps_its_epoch), cmocka_unit_test(is_not_overwritten),
		cmocka_unit_test(follows_again), cmocka_unit_test(waits_for_its_source), cmocka_unit_test(a_node_has_its_place),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
