/* rig.h -- what the contract tests stand on: real servers as child processes, peers that misbehave, and
 * ops run on a loop that is watched for blocking.
 *
 * A failed check ends the test by cmocka's assertion; children die with this process in any case. */
#ifndef DR_TESTS_CONTRACT_RIG_H
#define DR_TESTS_CONTRACT_RIG_H

#include <sys/types.h>

#include "adapters/adapter.h"

/* A fresh folder below /tmp, owned by `user` where we are root (NULL: by ourselves). */
struct rig_dir {
	char path[64];
};
void rig_dir_make(struct rig_dir *d, const char *user);
void rig_dir_remove(struct rig_dir *d);
/* A file in it, owned like it. */
void rig_file(const struct rig_dir *d, const char *name, const char *fmt, ...) DR_PRINTF(3, 4);

uint16_t rig_free_port(void);
/* Whether the program can be run: looked up in PATH, /usr/sbin and the PostgreSQL folders. */
bool rig_find(const char *program, char *out, size_t cap);

/* Start a program as `user` (where we are root), output to `log` in d.  It dies with us. */
pid_t rig_spawn(const struct rig_dir *d, const char *log, const char *user, char *const argv[]);
/* The same, and wait for its end; its exit code, or -1. */
int rig_command(const struct rig_dir *d, const char *log, const char *user, char *const argv[]);
/* Send sig (and SIGCONT), wait for the end, SIGKILL after 5 s. */
void rig_stop(pid_t *pid, int sig);
/* Until something accepts on the port; a failed check after 10 s. */
void rig_wait_port(uint16_t port);
uint64_t rig_now_ms(void);

/* One loop with a watch that notes the longest time between two of its 5 ms ticks. */
struct rig {
	uv_loop_t loop;
	uv_timer_t tick;
	uint64_t last_tick_ms;
	uint64_t gap_ms;
};
void rig_init(struct rig *r);
/* Fails when a handle was left open. */
void rig_close(struct rig *r);
/* Run the loop until *flag is above 0; a failed check after 30 s. */
void rig_until(struct rig *r, const unsigned *flag);
void rig_for(struct rig *r, uint64_t ms);
/* SIGSTOP, and wait until none of its threads runs any more: the signal's sender does not. */
void rig_freeze(pid_t pid);

/* One op from start to done.  done counts its calls; started guards "never from inside start or cancel". */
struct rig_op {
	struct dr_op op;
	unsigned done;
	bool inside;
	enum dr_err code;
	struct dr_error e;
	uint64_t began_ms, took_ms;
};
void rig_op_start(struct rig_op *o, struct dr_session *s, enum dr_op_kind kind, const struct dr_op_args *args,
		  uint32_t deadline_ms);
enum dr_err rig_op_run(struct rig *r, struct rig_op *o, struct dr_session *s, enum dr_op_kind kind,
		       const struct dr_op_args *args, uint32_t deadline_ms);
void rig_session_open(struct rig *r, struct dr_session *s, const struct dr_adapter *a,
		      const struct dr_target *t);
/* Close and wait for closed, once; o (may be NULL) is in flight and may not be done from inside close. */
void rig_session_close(struct rig *r, struct dr_session *s, struct rig_op *o);

/* A peer on loopback that accepts and says nothing, or that passes bytes on to `to` a few at a time. */
struct rig_peer {
	struct rig *rig;
	uv_tcp_t listener;
	struct dr_address at;
	struct dr_address to;
	bool slow;
	bool whole_requests; /* of a slow one: only the answers come a few bytes at a time; set after the start */
	struct rig_pipe *pipes;
	unsigned accepted;
	unsigned open; /* handles */
};
void rig_mute_start(struct rig *r, struct rig_peer *p);
void rig_slow_start(struct rig *r, struct rig_peer *p, const struct dr_address *to);
void rig_peer_stop(struct rig_peer *p);

#endif
