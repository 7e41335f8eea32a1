/* propose.c -- proposals: the only place that calls raft_apply.
 *
 * For every entry libraft sends each follower a message and writes to each disk, so what is proposed in one turn of the
 * loop goes into one entry; and while the own disk still writes the last one, what comes waits for it, as databases
 * commit groups (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984, 5.2).  One
 * proposal alone waits for nothing but the end of its turn. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/entry.h"
#include "raft/internal.h"

enum {
	FLYING_MAX = 64,       /* entries: beyond it libraft's bookkeeping costs more than it brings (stack.md 1.4) */
	TOGETHER_MAX = 128,    /* commands in one entry */
	TOGETHER_BYTES = 65536 /* and their bytes, but for one that is larger by itself */
};

/* An entry's commands, in order. */
struct batch {
	struct raft_apply req; /* first */
	struct dr_raft *r;
	struct dr_proposal *first;
};

static void give_back(struct dr_raft *r, struct dr_proposal *p)
{
	p->next = r->free;
	r->free = p;
	r->outstanding--;
}

/* Tell each how it ended; what they propose in their callbacks is new. */
static void settle(struct dr_raft *r, struct dr_proposal *p, enum dr_err outcome, uint64_t index)
{
	while (p != NULL) {
		struct dr_proposal ended = *p;

		give_back(r, p);
		ended.cb(ended.arg, outcome, index);
		p = ended.next;
	}
}

static void on_applied(struct raft_apply *req, int status, void *result)
{
	struct batch *b = req->data;
	struct batch ended = *b;

	(void)result;
	dr_free(b);
	ended.r->flying--;
	dr_propose_review(ended.r);
	/* Leadership lost is not "not done": another leader may have the entry and commit it. */
	settle(ended.r, ended.first, status == 0 ? DR_OK : DR_E_UNKNOWN, ended.req.index);
}

static bool leads(const struct dr_raft *r)
{
	return !r->closing && r->raft.state == RAFT_LEADER && r->led_term == r->raft.current_term;
}

/* Take those that go together off the waiting list. */
static size_t take(struct dr_raft *r, struct dr_proposal **first, struct dr_entry_cmd cmd[TOGETHER_MAX])
{
	uint64_t term = r->waiting->term;
	size_t n = 0, bytes = 0;
	struct dr_proposal *last = NULL;

	*first = r->waiting;
	while (r->waiting != NULL && n < TOGETHER_MAX && r->waiting->term == term &&
	       (n == 0 || bytes + r->waiting->len <= TOGETHER_BYTES)) {
		last = r->waiting;
		cmd[n++] = (struct dr_entry_cmd){ last->cmd, last->len };
		bytes += last->len;
		r->waiting = last->next;
	}
	last->next = NULL;
	if (r->waiting == NULL)
		r->waiting_tail = &r->waiting;
	return n;
}

static int apply(struct dr_raft *r, struct batch *b, const struct dr_entry_cmd *cmd, size_t n)
{
	struct raft_buffer buf = { .len = dr_entry_size(cmd, n) };
	struct dr_error e;
	int rv;

	if (!leads(r) || r->raft.current_term != b->first->term)
		return RAFT_NOTLEADER;
	buf.base = raft_malloc(buf.len);
	if (buf.base == NULL)
		return RAFT_NOSPACE;
	dr_entry_wrap(buf.base, b->first->term, cmd, n);
	rv = raft_apply(&r->raft, &b->req, &buf, 1, on_applied);
	if (rv == 0)
		return 0;
	if (rv != RAFT_NOTLEADER && rv != RAFT_NOSPACE) {
		/* Somewhere between log and disk: who owns the buffer, and what is written, is not known. */
		(void)dr_fail(&e, DR_E_INTERNAL, "raft_apply: %s (%s)", raft_strerror(rv),
			      raft_errmsg(&r->raft));
		dr_raft_die(r, &e);
	}
	raft_free(buf.base);
	return rv;
}

static void submit(struct dr_raft *r)
{
	struct dr_entry_cmd cmd[TOGETHER_MAX];
	struct batch *b = dr_xcalloc(sizeof *b);
	size_t n = take(r, &b->first, cmd);
	struct dr_proposal *first = b->first;
	int rv;

	b->r = r;
	b->req.data = b;
	rv = apply(r, b, cmd, n);
	for (struct dr_proposal *p = first; p != NULL; p = p->next) {
		dr_free(p->cmd);
		p->cmd = NULL;
	}
	if (rv == 0) {
		r->flying++;
		return;
	}
	dr_free(b);
	settle(r, first, dr_raft_err(rv), 0);
}

/* Whether the next entry may go: one whose turn has not come would be refused at once. */
static bool may_go(const struct dr_raft *r)
{
	return r->flying == 0 || !leads(r) ||
	       (r->flying < FLYING_MAX && r->raft.last_stored == raft_last_index((struct raft *)(uintptr_t)&r->raft));
}

static void on_gather(uv_idle_t *idle)
{
	struct dr_raft *r = idle->data;

	(void)uv_idle_stop(idle);
	dr_assert(r->inside == 0);
	dr_storage_hold(&r->storage);
	while (r->waiting != NULL && may_go(r))
		submit(r);
	dr_storage_begin(&r->storage);
}

void dr_propose_review(struct dr_raft *r)
{
	if (r->waiting != NULL && !r->closing && may_go(r))
		(void)uv_idle_start(&r->gather, on_gather);
}

enum dr_err dr_raft_propose(struct dr_raft *r, const void *cmd, size_t len, dr_raft_proposed_cb *cb,
			    void *arg)
{
	struct dr_proposal *p = r->free;

	if (len == 0 || len > DR_ENTRY_MAX)
		return DR_E_RANGE;
	if (!leads(r))
		return DR_E_NOT_LEADER;
	if (p == NULL)
		return DR_E_FULL;
	r->free = p->next;
	r->outstanding++;
	*p = (struct dr_proposal){ .term = r->raft.current_term, .len = len, .cb = cb, .arg = arg };
	p->cmd = dr_xcalloc(len);
	memcpy(p->cmd, cmd, len);
	*r->waiting_tail = p;
	r->waiting_tail = &p->next;
	dr_propose_review(r);
	return DR_OK;
}

uint32_t dr_raft_outstanding(const struct dr_raft *r)
{
	return r->outstanding;
}

void dr_propose_init(struct dr_raft *r)
{
	r->waiting_tail = &r->waiting;
	r->outstanding = DR_PROPOSALS_MAX;
	for (unsigned i = 0; i < DR_PROPOSALS_MAX; i++)
		give_back(r, &r->window[i]);
}

void dr_propose_flush(struct dr_raft *r)
{
	while (r->waiting != NULL)
		submit(r);
}

void dr_propose_close(struct dr_raft *r)
{
	dr_propose_flush(r); /* closing: each is told that it was not done */
}
