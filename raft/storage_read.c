/* storage_read.c -- the parts of storage.h that write nothing: snapshots on their way out and in, and what load handed out. */
#include "base/mem.h"
#include "raft/snap.h"
#include "raft/storage.h"
#include "sys/log.h"

static void damaged(struct dr_storage *s, const struct dr_error *why)
{
	struct dr_error e;

	(void)dr_fail(&e, DR_E_CORRUPT, "%s: snapshot: %s", s->log_dir, why->msg);
	s->cbs->fatal(s->ctx, &e);
}

struct get {
	struct raft_io_snapshot_get req;
	struct raft_io_snapshot_get *outer;
	struct dr_storage *s;
};

static void on_get(struct raft_io_snapshot_get *req, struct raft_snapshot *snapshot, int status)
{
	struct get *g = req->data;
	struct raft_io_snapshot_get *outer = g->outer;
	const uint8_t *data;
	size_t len;
	struct dr_error e;

	/* One that is damaged, or cannot be read, is not sent on: this node leaves, and its next start says why. */
	if (status != 0 && !g->s->closing) {
		(void)dr_fail(&e, DR_E_IO, "cannot be read: %s", raft_strerror(status));
		damaged(g->s, &e);
	}
	if (status == 0 &&
	    dr_snap_open(snapshot->bufs[0].base, snapshot->bufs[0].len, &data, &len, &e) != DR_OK)
		damaged(g->s, &e);
	if (status == 0)
		g->s->read = (struct dr_snapshot_end){ snapshot->index, snapshot->term };
	dr_free(g);
	if (status == 0)
		outer->cb(outer, snapshot, status);
	else
		raft_free(outer->data); /* all that libraft would do, but for freeing a membership that it never set (0.22) */
}

int dr_storage_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
	struct get *g = dr_xcalloc(sizeof *g);
	int rv;

	g->s = (struct dr_storage *)(void *)io;
	g->outer = req;
	req->cb = cb;
	g->req.data = g;
	rv = g->s->inner.snapshot_get(io, &g->req, on_get);
	if (rv != 0)
		dr_free(g);
	return rv;
}

/* A snapshot that arrives while one is being taken makes libraft follow a null pointer, and it would store
 * a damaged one; both are dropped here, the leader sends again. */
void dr_storage_recv(struct dr_storage *s, struct raft_message *m)
{
	struct raft *r = s->io.data;
	struct raft_install_snapshot *i = &m->install_snapshot;
	const uint8_t *data;
	size_t len;
	struct dr_error e = { 0 };

	if (m->type != RAFT_INSTALL_SNAPSHOT ||
	    (!r->legacy.snapshot_taking &&
	     dr_snap_open(i->data.base, i->data.len, &data, &len, &e) == DR_OK)) {
		s->recv(&s->io, m);
		return;
	}
	dr_log(DR_LOG_WARN, "raft.snapshot.refused", "from=%llu index=%llu reason=\"%s\"", m->server_id,
	       i->last_index, r->legacy.snapshot_taking ? "taking one" : e.msg);
	raft_configuration_close(&i->conf);
	raft_free(i->data.base);
}

void dr_storage_release(struct raft_snapshot *snapshot, struct raft_entry *entries, size_t n)
{
	void *batch = NULL;

	if (snapshot != NULL) {
		raft_configuration_close(&snapshot->configuration);
		for (unsigned i = 0; i < snapshot->n_bufs; i++)
			raft_free(snapshot->bufs[i].base);
		raft_free(snapshot->bufs);
		raft_free(snapshot);
	}
	for (size_t i = 0; i < n; i++) {
		if (entries[i].batch != batch)
			raft_free(batch = entries[i].batch);
	}
	raft_free(entries);
}
