/* test_steps.c -- steps of the runbook on the node that carries them out: once, however often they are asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/steps.h"
#include "base/parse.h"
#include "sys/clock.h"

static uv_loop_t loop;
static char folder[64];
static struct dr_steps *steps;
static struct dr_step_ask ask;
static struct dr_step_answer last;
static unsigned answers;

static const char *path_of(const char *name)
{
	static char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void program(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "we");
	assert_non_null(f);
	(void)fprintf(f, "#!/bin/sh\ncd %s\n%s\n", folder, text);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path_of(name), 0755), 0);
}

/* Lines of the file that programs write to. */
static unsigned lines(void)
{
	unsigned n = 0;
	FILE *f = fopen(path_of("log"), "re");
	for (int c = f != NULL ? fgetc(f) : EOF; c != EOF; c = fgetc(f))
		n += c == '\n' ? 1u : 0u;
	if (f != NULL)
		(void)fclose(f);
	return n;
}

static void on_ended(struct dr_steps *s, const struct dr_step_answer *a)
{
	assert_ptr_equal(s, steps);
	last = *a;
	answers++;
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/dr-steps-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(uv_loop_init(&loop), 0);
	steps = calloc(1, sizeof(*steps));
	assert_non_null(steps);
	steps->loop = &loop;
	steps->ended = on_ended;
	(void)dr_copy_text(steps->commands_in, sizeof(steps->commands_in), folder);
	(void)dr_copy_text(steps->secrets_in, sizeof(steps->secrets_in), "/etc/drcoord/secrets");
	memset(&ask, 0, sizeof(ask));
	assert_true(dr_name_set(&ask.cluster, "demo") && dr_name_set(&ask.step.name, "note"));
	ask.plan = 7;
	ask.step.timeout_ms = 5000;
	dr_step_key(ask.key, &ask.cluster, ask.plan, &ask.step.name, false);
	(void)dr_copy_text(ask.step.run, sizeof(ask.step.run), "note");
	answers = 0;
	return 0;
}

static void on_walk(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static int tear_down(void **state)
{
	static const char *const names[] = { "note", "noted", "unnote", "log" };
	(void)state;
	uv_walk(&loop, on_walk, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	free(steps);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(path_of(names[i]));
	return rmdir(folder);
}

static void on_time(uv_timer_t *t)
{
	(void)t; /* it only ends a poll */
}

/* Until so many answers are there, or the time is over. */
static void run_until(unsigned wanted, uint64_t ms)
{
	uint64_t until = dr_clock_boot_ms() + ms;
	uv_timer_t t;
	(void)uv_timer_init(&loop, &t);
	(void)uv_timer_start(&t, on_time, 2, 2);
	while (answers < wanted && dr_clock_boot_ms() < until)
		(void)uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&t, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void test_once(void **state)
{
	(void)state;
	program("note", "echo \"$DRCOORD_STEP $DRCOORD_KEY $DRCOORD_WHAT\" >> log; sleep 0.2");
	dr_steps_ask(steps, &ask);
	assert_int_equal(answers, 0);
	dr_steps_ask(steps, &ask); /* by the next leader, while it runs */
	assert_true(dr_steps_runs(steps, ask.key));
	run_until(1, 5000);
	assert_int_equal(last.code, DR_OK);
	assert_string_equal(last.key, "demo/site-plan/7/note");
	dr_steps_ask(steps, &ask); /* ... and when it is done */
	run_until(2, 5000);
	assert_int_equal(last.code, DR_OK);
	assert_int_equal(lines(), 1);
	assert_false(dr_steps_runs(steps, ask.key));
	/* To undo it is another one. */
	program("unnote", "echo \"$DRCOORD_KEY $DRCOORD_WHAT\" | grep -q '/undo undo' && echo undone >> log");
	(void)dr_copy_text(ask.step.undo, sizeof(ask.step.undo), "unnote");
	ask.undo = true;
	dr_step_key(ask.key, &ask.cluster, ask.plan, &ask.step.name, true);
	dr_steps_ask(steps, &ask);
	run_until(3, 5000);
	assert_int_equal(last.code, DR_OK);
	assert_int_equal(lines(), 2);
}

/* A few tries; asked for again, it has failed: whoever asks may be the next leader, to whom nobody told it. */
static void test_fails(void **state)
{
	(void)state;
	program("note", "echo x >> log; echo secret; exit 3");
	dr_steps_ask(steps, &ask);
	run_until(1, 5000);
	assert_int_equal(last.code, DR_E_FAILED);
	assert_non_null(strstr(last.text, "exit code 3"));
	assert_null(strstr(last.text, "secret"));
	assert_int_equal(lines(), 3);
	program("note", "echo x >> log");
	dr_steps_ask(steps, &ask);
	run_until(2, 5000);
	assert_int_equal(last.code, DR_E_FAILED);
	assert_non_null(strstr(last.text, "exit code 3"));
	assert_int_equal(lines(), 3);
	/* What cannot be begun is said as well. */
	ask.key[0] = 'D';
	(void)dr_copy_text(ask.step.run, sizeof(ask.step.run), "nothing");
	dr_steps_ask(steps, &ask);
	run_until(3, 5000);
	assert_int_equal(last.code, DR_E_FAILED);
}

/* Done already, as verify says: an earlier leader had it done. */
static void test_verified(void **state)
{
	(void)state;
	program("note", "echo x >> log");
	program("noted", "test -e log");
	(void)dr_copy_text(ask.step.verify, sizeof(ask.step.verify), "noted");
	dr_steps_ask(steps, &ask);
	run_until(1, 5000);
	assert_int_equal(last.code, DR_OK);
	ask.key[0] = 'D'; /* this node has forgotten it */
	dr_steps_ask(steps, &ask);
	run_until(2, 5000);
	assert_int_equal(last.code, DR_OK);
	assert_int_equal(lines(), 1);
}

static void test_ends(void **state)
{
	(void)state;
	program("note", "sleep 30; echo x >> log");
	ask.step.timeout_ms = 400;
	uint64_t began = dr_clock_boot_ms();
	dr_steps_ask(steps, &ask);
	run_until(1, 5000);
	assert_int_equal(last.code, DR_E_FAILED);
	assert_true(dr_clock_boot_ms() - began < 2000);
	/* This node is not to do it any more: it is killed, and nothing is said. */
	ask.step.timeout_ms = 20000;
	ask.key[0] = 'D';
	dr_steps_ask(steps, &ask);
	run_until(2, 200);
	assert_true(dr_steps_runs(steps, ask.key));
	dr_steps_drop(steps, ask.key);
	run_until(2, 500);
	assert_int_equal(answers, 1);
	assert_false(dr_steps_runs(steps, ask.key));
	assert_int_equal(lines(), 0);
	program("note", "echo x >> log");
	dr_steps_ask(steps, &ask);
	run_until(2, 5000);
	assert_int_equal(last.code, DR_OK);
}

/* Before anybody asks for it, for those who want to know whether all is ready. */
static void test_looks(void **state)
{
	(void)state;
	program("noted", "true");
	program("note", "true");
	assert_int_equal(chmod(path_of("note"), 0777), 0);
	dr_steps_look(steps);
	run_until(1, 500);
	assert_non_null(strstr(steps->refused, "/note may be written by others"));
}

/* A request is not signed with whatever file of this host the spec names. */
static void test_secret_elsewhere(void **state)
{
	(void)state;
	ask.step.run[0] = '\0';
	(void)dr_copy_text(ask.step.url, sizeof(ask.step.url), "https://127.0.0.1:9/");
	(void)dr_copy_text(ask.step.hmac_secret_file, sizeof(ask.step.hmac_secret_file), "/etc/passwd");
	dr_steps_ask(steps, &ask);
	run_until(1, 5000);
	assert_int_equal(last.code, DR_E_FAILED);
	assert_non_null(strstr(last.text, "/etc/passwd is not in /etc/drcoord/secrets"));
}

/* What the leader has left of its time counts, not the whole anew; who asks again does not lengthen it. */
static void test_time_left(void **state)
{
	(void)state;
	program("note", "sleep 30; echo x >> log");
	ask.left_ms = 300;
	uint64_t began = dr_clock_boot_ms();
	dr_steps_ask(steps, &ask);
	ask.left_ms = 5000;
	dr_steps_ask(steps, &ask);
	run_until(1, 5000);
	assert_int_equal(last.code, DR_E_FAILED);
	assert_true(dr_clock_boot_ms() - began < 2000);
}

/* Given up: killed, answered when nothing of it runs, and not begun again.  So is what never ran here. */
static void test_cancelled(void **state)
{
	(void)state;
	program("note", "echo x >> log; sleep 30 & sleep 30; echo x >> log");
	dr_steps_ask(steps, &ask);
	run_until(1, 300);
	assert_int_equal(lines(), 1);
	dr_steps_cancel(steps, ask.key);
	assert_int_equal(answers, 0);
	run_until(1, 2000);
	assert_int_equal(last.code, DR_E_CANCELLED);
	assert_string_equal(last.key, ask.key);
	assert_false(dr_steps_runs(steps, ask.key));
	dr_steps_ask(steps, &ask);
	run_until(2, 2000);
	assert_int_equal(last.code, DR_E_CANCELLED);
	assert_int_equal(lines(), 1);
	ask.key[0] = 'D';
	dr_steps_cancel(steps, ask.key);
	dr_steps_ask(steps, &ask); /* which came by a longer way */
	run_until(3, 2000);
	assert_int_equal(last.code, DR_E_CANCELLED);
	run_until(4, 200);
	assert_int_equal(lines(), 1);
}

/* Whether what wrote its process number into the file is there. */
static bool runs_still(void)
{
	char text[16] = "";
	FILE *f = fopen(path_of("log"), "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	assert_int_equal(fclose(f), 0);
	pid_t pid = (pid_t)strtol(text, NULL, 10);
	assert_true(pid > 1);
	return kill(pid, 0) == 0;
}

static void on_ended_killed(struct dr_steps *s, const struct dr_step_answer *a)
{
	assert_false(runs_still());
	on_ended(s, a);
}

/* By the next leader, of a node that has just dropped it since it leads no more: it is still being killed. */
static void test_cancelled_while_dropped(void **state)
{
	(void)state;
	steps->ended = on_ended_killed;
	program("note", "echo $$ > log; exec sleep 30");
	dr_steps_ask(steps, &ask);
	run_until(1, 300);
	assert_true(runs_still());
	dr_steps_drop(steps, ask.key);
	dr_steps_cancel(steps, ask.key);
	run_until(1, 3000);
	assert_int_equal(answers, 1);
	assert_int_equal(last.code, DR_E_CANCELLED);
	/* ... and where it was asked for once more in between, which waits for that. */
	ask.key[0] = 'D';
	dr_steps_ask(steps, &ask);
	run_until(2, 300);
	assert_true(runs_still());
	dr_steps_drop(steps, ask.key);
	dr_steps_ask(steps, &ask);
	dr_steps_cancel(steps, ask.key);
	run_until(2, 3000);
	assert_int_equal(answers, 2);
	assert_int_equal(last.code, DR_E_CANCELLED);
}

/* One at a time of each name: the undo ends what it undoes first, and another plan's run waits. */
static void test_one_at_a_time(void **state)
{
	(void)state;
	program("note", "trap 'echo late >> log' EXIT; mkdir busy || echo beside >> log; sleep 0.3; rmdir busy");
	program("unnote", "test -e busy && rmdir busy; echo undone >> log");
	dr_steps_ask(steps, &ask);
	ask.plan = 8;
	dr_step_key(ask.key, &ask.cluster, ask.plan, &ask.step.name, false);
	dr_steps_ask(steps, &ask);
	run_until(2, 5000);
	assert_int_equal(last.code, DR_OK);
	assert_int_equal(lines(), 2); /* nobody was beside */
	ask.plan = 9;
	dr_step_key(ask.key, &ask.cluster, ask.plan, &ask.step.name, false);
	dr_steps_ask(steps, &ask);
	run_until(3, 100);
	struct dr_step_ask undo = ask;
	undo.undo = true;
	(void)dr_copy_text(undo.step.undo, sizeof(undo.step.undo), "unnote");
	dr_step_key(undo.key, &undo.cluster, undo.plan, &undo.step.name, true);
	dr_steps_ask(steps, &undo);
	assert_true(dr_steps_runs(steps, ask.key));
	run_until(4, 5000);
	assert_string_equal(last.key, undo.key);
	assert_int_equal(last.code, DR_OK);
	assert_int_equal(lines(), 3); /* it was killed: it could not say that it was late */
	dr_steps_ask(steps, &ask);    /* by a leader that does not know it yet */
	run_until(5, 5000);
	assert_int_equal(last.code, DR_E_CANCELLED);
	assert_int_equal(lines(), 3);
}

/* More than can be under way, and more than are remembered. */
static void test_many(void **state)
{
	(void)state;
	program("note", "echo x >> log");
	for (unsigned i = 0; i < 2 * DR_STEP_RUNS_MAX; i++) {
		ask.plan = i;
		dr_step_key(ask.key, &ask.cluster, ask.plan, &ask.step.name, false);
		dr_steps_ask(steps, &ask);
		run_until(i + 1, 5000);
		assert_int_equal(last.code, DR_OK);
	}
	assert_int_equal(lines(), 2 * DR_STEP_RUNS_MAX);
	for (unsigned i = 0; i < DR_STEP_ENDS_MAX; i++) {
		ask.plan = 1000 + i;
		dr_step_key(ask.key, &ask.cluster, ask.plan, &ask.step.name, false);
		dr_steps_cancel(steps, ask.key);
		run_until(2 * DR_STEP_RUNS_MAX + i + 1, 5000);
		assert_int_equal(last.code, DR_E_CANCELLED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_verified, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_looks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_secret_elsewhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_time_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancelled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancelled_while_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_at_a_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
