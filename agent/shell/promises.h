/* promises.h -- what agents say to one another when no coordinator answers (design.md 4.8): a listener for questions,
 * and, while a member here is primary, a connection to the agent of each member on its list, kept open so that a
 * question costs one round trip.
 *
 * Threads: the loop's.  Ownership: everything lives in struct dr_agent. */
#ifndef DR_AGENT_SHELL_PROMISES_H
#define DR_AGENT_SHELL_PROMISES_H

#include <uv.h>

#include "base/error.h"
#include "model/promise.h"
#include "model/report.h"
#include "net/conn.h"

struct dr_agent;
struct dr_member;

/* To the agent of one member on the list. */
struct dr_promise_link {
	struct dr_member *member; /* ours, that asks */
	struct dr_order_peer to;  /* whom it is, or is being, connected to */
	struct dr_conn conn;
	bool busy, open;          /* busy: from the start until on_closed */
	uint64_t next_ms;         /* not tried again before */
	uint32_t fails;
};

enum { DR_ASKERS_MAX = 64 };

/* From the agent of another member. */
struct dr_asker {
	struct dr_agent *agent;
	struct dr_conn conn;
	bool used, greeted;
	struct dr_copy_send *sending; /* to it (copies.h) */
};

struct dr_promises {
	struct dr_listener *listener;
	uint64_t listen_ms; /* not tried again before */
	struct dr_asker asker[DR_ASKERS_MAX];
	struct dr_asker *answering; /* while its question is looked at */
};

/* Listen where the node file says, if it says so; what can't be had now is tried again by dr_promises_keep. */
void dr_promises_listen(struct dr_agent *a);
void dr_promises_close(struct dr_agent *a);
/* Connect to whom the member would have to ask, leave the others.  Called once a probe interval. */
void dr_promises_keep(struct dr_member *m);
void dr_promises_ask(struct dr_member *m, const struct dr_ask *question);
void dr_promises_answer(struct dr_member *m, const struct dr_promise *p);
/* Whether an agent speaks for that member, as the newest order that named it says. */
bool dr_promises_named(const struct dr_member *m, const struct dr_name *member, const struct dr_name *agent);
/* Whether the member would go on without coordinators now. */
enum dr_failsafe dr_promises_state(const struct dr_member *m);

#endif
