/* damage.c -- storage that lost something: a coordinator's log, term, snapshot or guard, an agent's journal, a member's volume.
 *
 * A restart on it must be refused or lose nothing; who is refused is let in again with nothing, under a new id
 * (seats.c).  One coordinator at a time: what a majority has lost nobody can bring back but `recover`. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/shell/journal.h"
#include "agent/shell/journal_codec.h"
#include "base/assert.h"
#include "base/mem.h"
#include "tests/sim/raft_parts.h"

enum { AIMED_CUT_MS = 800, BACK_MS = 20, ENTRIES_LOST = 30, FOREIGN_MORE = 100, SWAP_MS = 200 };
enum { /* of DAMAGE: b % 16 */
	DAMAGE_AIMED = 6, /* below it: when it matters most */
	DAMAGE_LOG = 9,
	DAMAGE_TERM = 10,
	DAMAGE_VOTE = 11,
	DAMAGE_SNAPSHOT = 13,
	DAMAGE_GUARD = 16
};

/* libraft cuts its log silently at a batch that is damaged. */
static void damage_log(struct sim_raft *r, uint32_t by)
{
	size_t n = 1 + by % ENTRIES_LOST;
	if (n >= r->disk.n)
		n = r->disk.n > 1 ? r->disk.n - 1 : 0;
	sim_disk_truncate(&r->disk, r->disk.first + r->disk.n - n);
	w_say(r->s->w, "%s loses its last %zu entries", r->s->w->c[r->ci].name, n);
}

static void damage_one(struct sim_raft *r, uint32_t how, uint32_t by)
{
	r->harmed = true;
	if (how < DAMAGE_LOG || (how < DAMAGE_SNAPSHOT && how >= DAMAGE_VOTE && r->disk.snap.index == 0)) {
		damage_log(r, by);
	} else if (how < DAMAGE_TERM) {
		r->disk.term ^= UINT64_C(1) << by % 6;
	} else if (how < DAMAGE_VOTE) {
		r->disk.vote ^= UINT64_C(1) << by % 3;
	} else if (how < DAMAGE_SNAPSHOT) {
		r->disk.snap.bytes[by % r->disk.snap.len] ^= (uint8_t)(1u << by % 8);
	} else {
		sim_guard_flip(&r->guard, by % 3 == 0 ? 0 : by % 64, by / 64);
	}
}

/* It may have been started since it was chosen, and somebody else harmed. */
static bool others_whole(const struct sim *s, uint32_t ci)
{
	for (uint32_t i = 0; i < s->w->coords; i++) {
		if (i != ci && (s->node[i]->harmed || s->node[i]->refused))
			return false;
	}
	return sim_seats_filled(s) && !s->node[ci]->refused;
}

/* Of those that have the newest entries one loses them, and the others are down: the rest must not elect with it. */
static void aimed(struct world *w, struct w_timer *t)
{
	struct sim *s = sim_of(w);
	uint32_t ci = t->a;
	if (!others_whole(s, ci)) {
		s->node[ci]->harmed = false;
		return;
	}
	for (uint32_t i = 0; i < w->coords; i++) {
		uint32_t site = w->c[i].site;
		bool was_cut = (t->b >> i & 1u) != 0;
		for (uint32_t o = 0; was_cut && o < w->sites; o++)
			s->until.cut[site][o] = s->until.cut[o][site] = w->now + 1;
		if (!was_cut)
			sim_kill_coord(s, i, i == ci ? w->now + BACK_MS : w->now + t->u);
	}
	s->node[ci]->harmed = true;
	damage_log(s->node[ci], (uint32_t)w->now);
}

static void aim(struct sim *s, uint32_t ci, uint64_t ms)
{
	struct world *w = s->w;
	uint32_t cut = 0, n = 0;
	s->node[ci]->harmed = true; /* from now on nobody else is */
	for (uint32_t i = 1; i < w->coords && n < (w->coords - 1) / 2; i++) {
		uint32_t other = (ci + i) % w->coords;
		if (w->leader == (int)other)
			continue;
		sim_cut_site(s, w->c[other].site, w->now + 2 * AIMED_CUT_MS);
		cut |= 1u << other;
		n++;
	}
	w_cut_changed(w);
	struct w_timer *t = w_after(w, AIMED_CUT_MS, aimed);
	t->a = ci;
	t->b = cut;
	t->u = ms;
}

void sim_damage_coord(struct sim *s, const struct sim_fault *f)
{
	struct sim_raft *r = s->node[f->a];
	uint32_t how = f->b % 16, by = f->b / 16;
	if (!sim_seats_whole(s))
		return;
	if (how < DAMAGE_AIMED) {
		aim(s, f->a, f->ms);
		return;
	}
	sim_kill_coord(s, f->a, s->w->now + BACK_MS + by % 1000);
	damage_one(r, how, by);
}

void sim_power_cut(struct sim *s, uint32_t ci, uint64_t until)
{
	if (s->node[ci]->harmed)
		return;
	s->node[ci]->harmed = true;
	sim_kill_coord(s, ci, until);
	sim_guard_power_cut(&s->node[ci]->guard, s->w->now);
}

/* ---- an agent's journal */

static void flip_bit(const char *path, uint32_t by)
{
	uint8_t byte;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END), at = size > 0 ? (off_t)by % size : 0;
	dr_assert(fd >= 0 && size > 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= (uint8_t)(1u << by % 8);
	dr_assert(pwrite(fd, &byte, 1, at) == 1);
	(void)close(fd);
}

/* Through the real file: whatever bit it is, the agent must notice. */
static bool journal_is_refused(const struct dr_agent_journal *j, uint32_t by)
{
	char dir[] = "/tmp/drcoord-sim-XXXXXX", path[sizeof(dir) + 16];
	struct dr_error e;
	struct dr_buf b;
	dr_assert(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	dr_buf_init(&b, DR_JOURNAL_BYTES_MAX);
	dr_agent_journal_encode(&b, j);
	dr_assert(dr_journal_store_write(path, b.data, b.len, &e) == DR_OK);
	flip_bit(path, by);
	dr_buf_clear(&b);
	enum dr_err rv = dr_journal_store_read(path, &b, &e);
	dr_buf_close(&b);
	(void)unlink(path);
	(void)rmdir(dir);
	return rv == DR_E_CORRUPT;
}

/* Its host is down; somebody sees that the server is stopped, moves the file away and starts the agent: a member that
 * knows nothing (design.md 4.8). */
void sim_damage_journal(struct sim *s, uint32_t mi, uint64_t until, uint32_t by)
{
	struct world *w = s->w;
	struct w_member *m = &w->m[mi];
	sim_kill_node(s, mi, until, false);
	if (!journal_is_refused(&m->journal, by))
		w_violation(w, "a flipped bit in the journal of %s went unnoticed", w_member_name(w, mi));
	memset(&m->journal, 0, sizeof(m->journal));
	memset(&m->flushed, 0, sizeof(m->flushed));
	m->late_stands = false;
	m->told_done = 0;
	m->high_seen = m->high_epoch = 0;
}

/* ---- a member's volume */

/* Whether that is more or less than its own, on a later timeline or an older one, says nothing. */
void sim_swap_data(struct sim *s, uint32_t mi, uint64_t until, uint32_t by)
{
	struct world *w = s->w;
	struct w_server *v = &w->m[mi].server, *own = &s->own[mi];
	const struct dr_service *r = w_repl(w, w->m[mi].service);
	if (r == NULL || r->system_id == 0 || v->other_data != 0 || own->wal != NULL || !dr_kind_keeps_place(r->spec.kind))
		return;
	w_say(w, "%s: its volume is another service's from now on", w_member_name(w, mi));
	sim_kill_node(s, mi, w->now + SWAP_MS, false);
	sim_extend(&s->until.swap[mi], until);
	*own = *v;
	own->wal = dr_xcalloc(W_WAL_MAX * sizeof(own->wal[0]));
	memcpy(own->wal, v->wal, v->n * sizeof(v->wal[0]));
	v->n = by % 3 == 0 || v->n + FOREIGN_MORE >= W_WAL_MAX ? 0 : v->n + by % FOREIGN_MORE;
	for (uint32_t i = 0; i < v->n; i++)
		v->wal[i] = W_WAL_MAX - 1; /* no client's number */
	v->applied = v->n;
	v->saved = v->had = 0;
	v->timeline = 1 + by % 4;
	v->upstream = DR_MEMBER_NONE;
	v->other_data = 1 + by;
}

/* Somebody puts the right one back, unless it was copied anew from the primary meanwhile. */
void sim_swap_back(struct sim *s, uint32_t mi)
{
	struct w_server *v = &s->w->m[mi].server, *own = &s->own[mi];
	if (own->wal != NULL && v->other_data != 0) {
		w_say(s->w, "%s has its own volume back", w_member_name(s->w, mi));
		sim_kill_node(s, mi, s->w->now + SWAP_MS, false);
		memcpy(v->wal, own->wal, own->n * sizeof(v->wal[0]));
		v->n = own->n;
		v->applied = own->applied;
		v->had = own->had;
		v->saved = own->saved;
		v->timeline = own->timeline;
		v->upstream = own->upstream;
		v->other_data = 0;
	}
	dr_free(own->wal);
	own->wal = NULL;
}
