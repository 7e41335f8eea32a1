/* test_postgres.c -- the PostgreSQL adapter on real servers: a primary and standbys, what each op brings
 * about and what it leaves alone.  The tests of this file build on each other, in their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "pg_lab.h"

extern const struct dr_adapter dr_postgres_adapter;

enum { DEADLINE_MS = 10000 };

static struct rig rig;
static struct pg_server a, b, c;
static unsigned passed; /* tests: each needs what the ones before it left */

static struct dr_name name(const char *s)
{
	struct dr_name n;
	assert_true(dr_name_set(&n, s));
	return n;
}

/* Run the op in a session of its own; a failed check when it does not end with `want`. */
static struct dr_evidence run_as(const struct dr_target *t, enum dr_op_kind kind,
				 const struct dr_op_args *args, enum dr_err want, uint32_t deadline_ms,
				 uint64_t *took_ms)
{
	static const struct dr_op_args none;
	struct dr_session s;
	struct rig_op o;

	rig_session_open(&rig, &s, &dr_postgres_adapter, t);
	enum dr_err err = rig_op_run(&rig, &o, &s, kind, args != NULL ? args : &none, deadline_ms);
	rig_session_close(&rig, &s, NULL);
	assert_int_equal(o.done, 1);
	if (err != want)
		fail_msg("%s on %s: %s (%s), wanted %s", dr_op_name(kind), t->member.s, dr_err_name(err),
			 err != DR_OK ? o.e.msg : o.op.evidence.text, dr_err_name(want));
	if (took_ms != NULL)
		*took_ms = o.took_ms;
	return o.op.evidence;
}

static struct dr_evidence run(const struct pg_server *s, enum dr_op_kind kind, const struct dr_op_args *args,
			      enum dr_err want)
{
	struct dr_target t = pg_lab_target(s, true);
	return run_as(&t, kind, args, want, DEADLINE_MS, NULL);
}

static struct dr_op_args follow_args(const struct pg_server *self, const struct pg_server *primary)
{
	struct dr_op_args x = { .epoch = 1, .self = name(self->name), .primary = name(primary->name) };
	(void)dr_copy_text(x.primary_at.host, sizeof(x.primary_at.host), "127.0.0.1");
	x.primary_at.port = primary->port;
	return x;
}

static struct dr_op_args peer_args(uint32_t k, const char *one, const char *two)
{
	struct dr_op_args x = { .epoch = 1, .k = k };
	if (one != NULL)
		x.peer[x.peers++] = name(one);
	if (two != NULL)
		x.peer[x.peers++] = name(two);
	return x;
}

/* A standby of `primary`, streaming through its slot. */
static void add_standby(struct pg_server *s, const char *n, struct pg_server *primary)
{
	struct dr_op_args slots = peer_args(0, n, NULL);
	pg_lab_clone(s, n, primary);
	pg_lab_start(s);
	(void)run(primary, DR_OP_SLOTS, &slots, DR_OK);
	struct dr_op_args follow = follow_args(s, primary);
	(void)run(s, DR_OP_FOLLOWING, &follow, DR_OK);
}

/* Begin the op and cut it off after so many turns of the loop, as a lost leader does. */
static void cut_off(const struct pg_server *s, enum dr_op_kind kind, const struct dr_op_args *args,
		    unsigned turns)
{
	struct dr_target t = pg_lab_target(s, true);
	struct dr_session session;
	struct rig_op o;

	rig_session_open(&rig, &session, &dr_postgres_adapter, &t);
	rig_op_start(&o, &session, kind, args, DEADLINE_MS);
	for (unsigned n = 0; n < turns && o.done == 0; n++)
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
	rig_session_close(&rig, &session, o.done == 0 ? &o : NULL);
	assert_int_equal(o.done, 1);
}

static void test_probe_primary(void **state)
{
	struct dr_target by_port = pg_lab_target(&a, false);
	(void)state;
	assert_int_equal(passed, 0);
	struct dr_evidence ev = run_as(&by_port, DR_OP_PROBE, NULL, DR_OK, DEADLINE_MS, NULL);
	assert_true(ev.reached);
	assert_false(ev.in_recovery);
	assert_int_equal(ev.timeline, 1);
	assert_true(ev.version >= 130000);
	assert_true(ev.system_id != 0);
	assert_true(ev.received > 0);
	assert_true(ev.started_ms > UINT64_C(1600000000000));
	assert_int_equal(ev.sync_k, 0);
	/* The position is the server's own idea of it. */
	char lsn[64];
	assert_true(
	    pg_lab_sql(&a, 0, lsn, sizeof(lsn), "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')"));
	ev = run(&a, DR_OP_PROBE, NULL, DR_OK);
	uint64_t seen = 0;
	assert_int_equal(dr_parse_u64(lsn, 1, UINT64_MAX, &seen), DR_OK);
	assert_true(ev.received >= seen);
	passed++;
}

static void test_write_makes_its_table(void **state)
{
	struct dr_op_args local = { .epoch = 7, .local_commit = true };
	(void)state;
	assert_int_equal(passed, 1);
	struct dr_evidence ev = run(&a, DR_OP_PROBE_WRITE, &local, DR_OK);
	assert_true(ev.wrote);
	(void)run(&a, DR_OP_PROBE_WRITE, &local, DR_OK);
	pg_lab_until(&a, "2|7|pg-a", "SELECT sum(beats), min(epoch), min(member) FROM drcoord.heartbeat");
	passed++;
}

static void test_slots_and_following(void **state)
{
	struct dr_op_args slots = peer_args(0, "pg-b", "pg-gone");
	(void)state;
	assert_int_equal(passed, 2);
	pg_lab_clone(&b, "pg-b", &a);
	pg_lab_start(&b);
	struct dr_evidence ev = run(&b, DR_OP_PROBE, NULL, DR_OK);
	assert_true(ev.in_recovery);
	assert_false(ev.receiving);
	(void)run(&b, DR_OP_PROBE_WRITE, NULL, DR_E_REFUSED);
	(void)run(&b, DR_OP_SYNC_SET, NULL, DR_E_REFUSED);

	/* The slot is made while the standby already waits for it. */
	struct dr_op_args follow = follow_args(&b, &a);
	struct dr_target t = pg_lab_target(&b, true);
	struct dr_session s;
	struct rig_op o;
	rig_session_open(&rig, &s, &dr_postgres_adapter, &t);
	rig_op_start(&o, &s, DR_OP_FOLLOWING, &follow, DEADLINE_MS);
	rig_for(&rig, 300);
	if (o.done != 0)
		fail_msg("FOLLOWING ended without a slot: %s",
			 o.code != DR_OK ? o.e.msg : o.op.evidence.text);
	(void)run(&a, DR_OP_SLOTS, &slots, DR_OK);
	rig_until(&rig, &o.done);
	rig_session_close(&rig, &s, NULL);
	assert_int_equal(o.code, DR_OK);
	assert_true(o.op.evidence.receiving);
	assert_string_equal(o.op.evidence.upstream.s, "pg-a");
	assert_int_equal(o.op.evidence.upstream_at.port, a.port);

	uint64_t again_ms = 0;
	ev = run_as(&t, DR_OP_FOLLOWING, &follow, DR_OK, DEADLINE_MS, &again_ms);
	assert_true(ev.receiving);
	pg_lab_until(&a, "pg-b|drcoord_pg_b",
		     "SELECT r.application_name, s.slot_name FROM pg_stat_replication r"
		     " JOIN pg_replication_slots s ON s.active_pid = r.pid");

	/* A member that is given no more loses its slot, one in use stays. */
	slots = peer_args(0, NULL, NULL);
	(void)run(&a, DR_OP_SLOTS, &slots, DR_OK);
	pg_lab_until(&a, "drcoord_pg_b", "SELECT string_agg(slot_name, ',') FROM pg_replication_slots");
	(void)run(&a, DR_OP_FOLLOWING, &follow, DR_E_REFUSED);
	passed++;
}

static void test_positions(void **state)
{
	(void)state;
	assert_int_equal(passed, 3);
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "CREATE TABLE t (n bigint); INSERT INTO t VALUES (1)"));
	pg_lab_caught_up(&a, &b);
	struct dr_evidence ev = run(&a, DR_OP_POSITIONS, NULL, DR_OK);
	assert_int_equal(ev.peers, 1);
	assert_string_equal(ev.peer[0].member.s, "pg-b");
	assert_true(ev.peer[0].streaming);
	assert_false(ev.peer[0].counts_for_sync);
	assert_true(ev.peer[0].flushed > 0);
	struct dr_evidence sb = run(&b, DR_OP_POSITIONS, NULL, DR_OK);
	assert_true(sb.in_recovery && sb.receiving);
	assert_int_equal(sb.system_id, ev.system_id);
	assert_true(sb.received >= ev.peer[0].replayed);
	passed++;
}

static void test_sync_set(void **state)
{
	struct dr_op_args set = peer_args(1, "pg-b", NULL), none = peer_args(0, NULL, NULL);
	struct dr_op_args both = peer_args(1, "pg-b", "pg-ghost");
	struct dr_op_args local = { .local_commit = true }, waiting = { .local_commit = false };
	struct dr_target t = pg_lab_target(&a, true);
	int status = 0;
	(void)state;
	assert_int_equal(passed, 4);
	struct dr_evidence ev = run(&a, DR_OP_SYNC_SET, &set, DR_OK);
	assert_int_equal(ev.sync_k, 1);
	assert_int_equal(ev.peers, 1);
	assert_true(ev.peer[0].counts_for_sync && ev.peer[0].streaming);
	assert_true(ev.peer[0].flushed >= ev.received);
	(void)run(&a, DR_OP_SYNC_SET, &set, DR_OK);
	assert_true(run(&a, DR_OP_PROBE_WRITE, &waiting, DR_OK).wrote);

	ev = run(&a, DR_OP_SYNC_SET, &both, DR_OK);
	assert_int_equal(ev.peers, 2);
	assert_false(ev.peer[1].streaming);

	/* Nobody left to acknowledge: commits hang, the local probe doesn't, two of them neither. */
	pg_lab_stop(&b);
	pid_t hanging = pg_lab_background(&a, "INSERT INTO t VALUES (2)");
	pg_lab_until(&a, "1", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
	assert_true(run(&a, DR_OP_PROBE_WRITE, &local, DR_OK).wrote);
	assert_false(run_as(&t, DR_OP_PROBE_WRITE, &waiting, DR_E_TIMEOUT, 300, NULL).wrote);
	assert_true(run(&a, DR_OP_PROBE_WRITE, &local, DR_OK).wrote);
	/* Nothing of ours stays behind in a commit's wait. */
	pg_lab_until(&a, "0", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drcoord'");
	assert_int_equal(waitpid(hanging, &status, WNOHANG), 0);
	ev = run(&a, DR_OP_SYNC_SET, &none, DR_OK);
	assert_int_equal(ev.sync_k, 0);
	assert_int_equal(waitpid(hanging, &status, 0), hanging);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	pg_lab_start(&b);
	struct dr_op_args follow = follow_args(&b, &a);
	(void)run(&b, DR_OP_FOLLOWING, &follow, DR_OK);
	passed++;
}

static void test_frozen(void **state)
{
	(void)state;
	assert_int_equal(passed, 5);
	pid_t writer =
	    pg_lab_background(&a, "DO $$ BEGIN LOOP INSERT INTO t VALUES (3); COMMIT; END LOOP; END $$");
	pg_lab_until(&a, "1",
		     "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'");
	assert_true(pg_lab_sql(&b, 0, NULL, 0, "SELECT pg_wal_replay_pause()"));
	pg_lab_until(&b, "paused", "SELECT pg_get_wal_replay_pause_state()");
	struct dr_target t = pg_lab_target(&b, true);
	uint64_t took = 0;
	struct dr_evidence ev = run_as(&t, DR_OP_FROZEN, NULL, DR_OK, DEADLINE_MS, &took);
	print_message("FROZEN with a writing primary and replay paused: %llu ms\n", (unsigned long long)took);
	assert_false(ev.receiving);
	assert_false(ev.replay_paused);
	struct dr_evidence before = run(&a, DR_OP_PROBE, NULL, DR_OK), after = before;
	while (after.received < before.received + 20000)
		after = run(&a, DR_OP_PROBE, NULL, DR_OK);
	assert_true(after.received > ev.received);
	struct dr_evidence later = run_as(&t, DR_OP_FROZEN, NULL, DR_OK, DEADLINE_MS, &took);
	print_message("FROZEN when it is so already: %llu ms\n", (unsigned long long)took);
	assert_int_equal(later.received, ev.received);
	assert_true(kill(writer, SIGKILL) == 0);
	(void)waitpid(writer, NULL, 0);
	assert_true(
	    pg_lab_sql(&a, 0, NULL, 0,
		       "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %%'"));
	(void)run(&a, DR_OP_FROZEN, NULL, DR_E_REFUSED);
	struct dr_op_args follow = follow_args(&b, &a);
	(void)run(&b, DR_OP_FOLLOWING, &follow, DR_OK);
	pg_lab_caught_up(&a, &b);
	passed++;
}

/* Cut off anywhere, an op is simply ordered again. */
static void test_cut_off(void **state)
{
	struct dr_op_args follow = follow_args(&b, &a);
	(void)state;
	assert_int_equal(passed, 6);
	for (unsigned turns = 1; turns < 24; turns += 2) {
		cut_off(&b, DR_OP_FROZEN, &follow, turns);
		if (turns % 3 == 0)
			assert_false(run(&b, DR_OP_FROZEN, NULL, DR_OK).receiving);
		cut_off(&b, DR_OP_FOLLOWING, &follow, turns);
		if (turns % 4 == 1)
			assert_true(run(&b, DR_OP_FOLLOWING, &follow, DR_OK).receiving);
	}
	(void)run(&b, DR_OP_FOLLOWING, &follow, DR_OK);
	pg_lab_caught_up(&a, &b);

	passed++;
}

/* Replay hangs in a conflict, so the startup process cannot end the receiver: it has to be ended by signal. */
static void test_frozen_while_replay_hangs(void **state)
{
	struct dr_op_args follow = follow_args(&b, &a);
	(void)state;
	assert_int_equal(passed, 7);
	assert_true(pg_lab_sql(&b, 0, NULL, 0, "ALTER SYSTEM SET max_standby_streaming_delay = -1"));
	assert_true(pg_lab_sql(&b, 0, NULL, 0, "SELECT pg_reload_conf()"));
	pid_t reader = pg_lab_background(&b, "BEGIN; SELECT count(*) FROM t; SELECT pg_sleep(60)");
	pg_lab_until(&b, "1", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "DROP TABLE t; CREATE TABLE t (n bigint)"));
	pg_lab_until(
	    &b, "1",
	    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event_type = 'Lock'");
	struct dr_target t = pg_lab_target(&b, true);
	uint64_t took = 0;
	struct dr_evidence ev = run_as(&t, DR_OP_FROZEN, NULL, DR_OK, DEADLINE_MS, &took);
	print_message("FROZEN while replay hangs: %llu ms\n", (unsigned long long)took);
	assert_true(ev.replayed < ev.received);
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "INSERT INTO t SELECT generate_series(1, 1000)"));
	assert_int_equal(run(&b, DR_OP_FROZEN, NULL, DR_OK).received, ev.received);
	assert_true(kill(reader, SIGKILL) == 0);
	(void)waitpid(reader, NULL, 0);
	assert_true(pg_lab_sql(
	    &b, 0, NULL, 0,
	    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"));
	pg_lab_until(&b, "t", "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()");
	assert_int_equal(run(&b, DR_OP_FROZEN, NULL, DR_OK).received, ev.received);
	(void)run(&b, DR_OP_FOLLOWING, &follow, DR_OK);
	pg_lab_caught_up(&a, &b);
	passed++;
}

static void test_lost_slot_and_standby_slots(void **state)
{
	struct dr_op_args slots = peer_args(0, "pg-b", "pg-x"), on_b = peer_args(0, "pg-a", "pg-x");
	(void)state;
	assert_int_equal(passed, 8);
	(void)run(&a, DR_OP_SLOTS, &slots, DR_OK);
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'"));
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "SELECT pg_reload_conf()"));
	for (int i = 0; i < 6; i++)
		assert_true(pg_lab_sql(&a, 0, NULL, 0, "INSERT INTO t VALUES (4); SELECT pg_switch_wal()"));
	pg_lab_caught_up(&a, &b);
	(void)run(&a, DR_OP_CHECKPOINTED, NULL, DR_OK);
	pg_lab_until(&a, "lost",
		     "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'drcoord_pg_x'");
	(void)run(&a, DR_OP_SLOTS, &slots, DR_OK);
	pg_lab_until(&a, "reserved",
		     "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'drcoord_pg_x'");

	/* On the standby they are made too, and move on with its restartpoints. */
	on_b.self = name("pg-b");
	on_b.peer[on_b.peers++] = on_b.self;
	(void)run(&b, DR_OP_SLOTS, &on_b, DR_OK);
	pg_lab_until(&b, "drcoord_pg_a,drcoord_pg_x",
		     "SELECT string_agg(slot_name, ',' ORDER BY slot_name) FROM pg_replication_slots");
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "INSERT INTO t VALUES (5); SELECT pg_switch_wal()"));
	(void)run(&a, DR_OP_CHECKPOINTED, NULL, DR_OK);
	pg_lab_caught_up(&a, &b);
	(void)run(&b, DR_OP_CHECKPOINTED, NULL, DR_OK);
	(void)run(&b, DR_OP_SLOTS, &on_b, DR_OK);
	pg_lab_until(
	    &b, "2",
	    "SELECT count(*) FROM pg_replication_slots, pg_control_checkpoint() WHERE restart_lsn = redo_lsn");
	passed++;
}

static void test_writable(void **state)
{
	struct dr_op_args lead = { .epoch = 2, .self = name("pg-b") };
	struct dr_target t = pg_lab_target(&b, true);
	uint64_t took = 0;
	(void)state;
	assert_int_equal(passed, 9);
	add_standby(&c, "pg-c", &a);
	pg_lab_caught_up(&a, &b);
	pg_lab_caught_up(&a, &c);
	/* Inherited from some earlier life: a standby that does not exist. */
	assert_true(
	    pg_lab_sql(&b, 0, NULL, 0, "ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (\"ghost\")'"));
	assert_true(pg_lab_sql(&b, 0, NULL, 0, "SELECT pg_reload_conf()"));
	pg_lab_stop(&a);
	struct dr_evidence fb = run(&b, DR_OP_FROZEN, NULL, DR_OK), fc = run(&c, DR_OP_FROZEN, NULL, DR_OK);
	assert_true(fb.received >= fc.received);
	assert_true(pg_lab_sql(&b, 0, NULL, 0, "SELECT pg_wal_replay_pause()"));

	struct dr_evidence ev = run_as(&t, DR_OP_WRITABLE, &lead, DR_OK, DEADLINE_MS, &took);
	print_message("WRITABLE (names inherited, replay paused, first heartbeat): %llu ms\n",
		      (unsigned long long)took);
	assert_false(ev.in_recovery);
	assert_true(ev.wrote);
	assert_int_equal(ev.timeline, 2);
	assert_true(pg_lab_sql(&b, 3000, NULL, 0, "INSERT INTO t VALUES (6)"));
	pg_lab_until(&b, "||",
		     "SELECT current_setting('synchronous_standby_names'),"
		     " current_setting('primary_conninfo'), current_setting('primary_slot_name')");
	ev = run_as(&t, DR_OP_WRITABLE, &lead, DR_OK, DEADLINE_MS, &took);
	print_message("WRITABLE when it is so already: %llu ms\n", (unsigned long long)took);
	assert_true(ev.wrote);
	assert_int_equal(ev.timeline, 2);
	assert_in_range(ev.checkpoint_timeline, 1, 2);
	ev = run(&b, DR_OP_CHECKPOINTED, NULL, DR_OK);
	assert_int_equal(ev.checkpoint_timeline, 2);

	/* The sibling moves over to the new primary and its timeline. */
	struct dr_op_args slots = peer_args(0, "pg-c", NULL), follow = follow_args(&c, &b);
	(void)run(&b, DR_OP_SLOTS, &slots, DR_OK);
	ev = run(&c, DR_OP_FOLLOWING, &follow, DR_OK);
	assert_int_equal(ev.timeline, 2);
	assert_string_equal(ev.upstream.s, "pg-b");
	pg_lab_until(&c, "20ms", "SHOW wal_retrieve_retry_interval");
	pg_lab_caught_up(&b, &c);
	/* One that follows already is told all the same how soon to ask again. */
	assert_true(pg_lab_sql(&c, 0, NULL, 0, "ALTER SYSTEM SET wal_retrieve_retry_interval = '5s'"));
	assert_true(pg_lab_sql(&c, 0, NULL, 0, "SELECT pg_reload_conf()"));
	pg_lab_until(&c, "5s", "SHOW wal_retrieve_retry_interval");
	(void)run(&c, DR_OP_FOLLOWING, &follow, DR_OK);
	pg_lab_until(&c, "20ms", "SHOW wal_retrieve_retry_interval");
	passed++;
}

/* Time and again, as a coordinator would: freeze, promote with (set, k) given, be waited for. */
static void test_writable_under_sync(void **state)
{
	struct pg_server *old = &b, *next = &c;
	(void)state;
	assert_int_equal(passed, 10);
	pg_lab_remove(&a);
	for (int i = 0; i < 3; i++) {
		struct dr_op_args lead = peer_args(1, old == &b ? "pg-b" : "pg-c", NULL);
		struct dr_op_args slots = lead;
		struct dr_target t = pg_lab_target(next, true);
		uint64_t frozen_ms = 0, took = 0;
		int status = 0;

		pg_lab_caught_up(old, next);
		pg_lab_stop(old);
		(void)run_as(&t, DR_OP_FROZEN, NULL, DR_OK, DEADLINE_MS, &frozen_ms);
		/* The second time round the first order is lost on its way. */
		if (i == 1)
			cut_off(next, DR_OP_WRITABLE, &lead, 12);
		struct dr_evidence ev = run_as(&t, DR_OP_WRITABLE, &lead, DR_OK, DEADLINE_MS, &took);
		print_message("FROZEN %llu ms, WRITABLE under sync %llu ms, timeline %u\n",
			      (unsigned long long)frozen_ms, (unsigned long long)took, ev.timeline);
		assert_int_equal(ev.timeline, 3 + i);
		assert_int_equal(ev.sync_k, 1);
		/* From its first moment it acknowledges nothing alone. */
		pid_t hanging = pg_lab_background(next, "INSERT INTO t VALUES (7)");
		pg_lab_until(next, "1", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
		assert_int_equal(waitpid(hanging, &status, WNOHANG), 0);
		(void)run(next, DR_OP_SLOTS, &slots, DR_OK);
		pg_lab_remove(old);
		char kept[16];
		(void)dr_copy_text(kept, sizeof(kept), lead.peer[0].s);
		add_standby(old, kept, next);
		assert_int_equal(waitpid(hanging, &status, 0), hanging);
		assert_int_equal(status, 0);
		struct pg_server *swap = old;
		old = next;
		next = swap;
	}
	passed++;
}

static int setup(void **state)
{
	(void)state;
	rig_init(&rig);
	pg_lab_init(&a, "pg-a");
	pg_lab_start(&a);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pg_lab_remove(&a);
	pg_lab_remove(&b);
	pg_lab_remove(&c);
	print_message("longest time the loop was held up: %llu ms\n", (unsigned long long)rig.gap_ms);
	rig_close(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe_primary),
		cmocka_unit_test(test_write_makes_its_table),
		cmocka_unit_test(test_slots_and_following),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_sync_set),
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_frozen_while_replay_hangs),
		cmocka_unit_test(test_lost_slot_and_standby_slots),
		cmocka_unit_test(test_writable),
		cmocka_unit_test(test_writable_under_sync),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
