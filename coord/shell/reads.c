/* reads.c -- the spec in force, which people change on the strength of what they read.
 *
 * A read waits for a barrier of Raft's (raft/read.c), which is an entry.  So one barrier serves all who asked before it
 * began, a connection has one read at a time (its next requests wait), and who is answered when is the turn's
 * (turn.c): a barrier's end only puts them into its queue.  The answer is the same for all, and made once
 * for each version. */
#include "base/assert.h"
#include "coord/shell/coord.h"
#include "sys/log.h"

static void append(struct dr_in **list, struct dr_in *in)
{
	while (*list != NULL)
		list = &(*list)->read_next;
	in->read_next = NULL;
	*list = in;
}

static void remove_from(struct dr_in **list, const struct dr_in *in)
{
	while (*list != NULL && *list != in)
		list = &(*list)->read_next;
	if (*list != NULL)
		*list = in->read_next;
}

/* Those who asked are answered in a turn to come. */
static void due(struct dr_coord *c, struct dr_in **list, enum dr_err outcome)
{
	while (*list != NULL) {
		struct dr_in *in = *list;
		*list = in->read_next;
		in->read_outcome = outcome;
		in->read = DR_READ_DUE;
		dr_turn_queue(in);
	}
	dr_turn_soon(c);
}

static void on_read(void *arg, enum dr_err outcome)
{
	struct dr_coord *c = arg;
	c->reading = false;
	due(c, &c->reads_begun, outcome);
}

/* One that is under way may miss what was answered since it began: who came later waits for the next. */
void dr_reads_begin(struct dr_coord *c)
{
	if (c->reading || c->reads_asked == NULL)
		return;
	enum dr_err rv = dr_raft_read(c->raft, on_read, c);
	if (rv != DR_OK) {
		due(c, &c->reads_asked, rv);
		return;
	}
	c->reading = true;
	c->reads_begun = c->reads_asked;
	c->reads_asked = NULL;
}

void dr_reads_ask(struct dr_in *in, uint64_t id)
{
	dr_assert(in->read == DR_READ_NONE);
	in->read = DR_READ_WAITS;
	in->read_id = id;
	append(&in->coord->reads_asked, in);
	dr_turn_park(in);
	dr_reads_begin(in->coord);
}

void dr_reads_answer(struct dr_in *in)
{
	struct dr_coord *c = in->coord;
	dr_assert(in->read == DR_READ_DUE);
	in->read = DR_READ_NONE;
	if (in->read_outcome == DR_E_BUSY) {
		dr_clients_error(in, in->read_id, DR_E_BUSY, "the coordinator is at something else; try again in a moment");
	} else if (in->read_outcome != DR_OK) {
		dr_clients_not_leader(in, in->read_id);
	} else {
		if (!c->spec_made.valid || c->spec_made.version != c->core->repl.spec_version) {
			dr_clients_make(&c->spec_made, dr_spec_json(c));
			c->spec_made.version = c->core->repl.spec_version;
		}
		dr_clients_made(in, in->read_id, &c->spec_made);
	}
}

void dr_reads_closed(struct dr_in *in)
{
	if (in->read != DR_READ_WAITS)
		return;
	remove_from(&in->coord->reads_asked, in);
	remove_from(&in->coord->reads_begun, in);
}
