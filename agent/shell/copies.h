/* copies.h -- a MariaDB's copy on its way from the agent of one member to the agent of another, over the agents' own
 * connection (promises.h): mutual TLS, and only the agent that the newest order names may ask for its member.
 *
 *   source's agent: mariabackup -> pipe -> frames -> connection -> frames -> pipe -> mbstream : asking agent
 *
 * At most COPY_WINDOW bytes are under way: the asking side says how much it has handed on, so neither side's memory grows and
 * a slow disk is no silent connection.  One that takes nothing for five seconds is given up: the tool that waits for it may hold
 * locks of a healthy primary.  The jobs (jobs.h) run the tools and keep the deadlines.
 *
 * Threads: the loop's.  Ownership: everything hangs on its member. */
#ifndef DR_AGENT_SHELL_COPIES_H
#define DR_AGENT_SHELL_COPIES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct dr_asker;
struct dr_conn;
struct dr_job;
struct dr_member;
struct dr_order_peer;
struct dr_copy_send;
struct dr_copy_fetch;

/* Source's side: frames of an asking agent, and its connection's end. */
void dr_copy_asked(struct dr_asker *k, const uint8_t *bytes, size_t n);
void dr_copy_taken(struct dr_asker *k, const uint8_t *bytes, size_t n);
void dr_copy_asker_closed(struct dr_asker *k);
/* Whatever is being sent of the member ends, for this reason; the tool is killed. */
void dr_copy_send_end(struct dr_member *m, const char *why);

/* Asking side: begin to feed the job, which is about to start, with the copy of that peer.  On DR_OK job->pipe.in is set. */
DR_MUST_USE enum dr_err dr_copy_fetch(struct dr_member *m, const struct dr_order_peer *from, struct dr_job *job,
				      struct dr_error *e);
/* The job has ended: nothing is fetched any more. */
void dr_copy_fetch_end(struct dr_member *m);

#endif
