/* offline.c -- what is done to a data folder while no process runs on it: first membership, new id,
 * recovery.
 *
 * The folder holds `id` ("drcoord-raft 1 ID NAME", written last), `guard`, and `log/` (libraft's). */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/parse.h"
#include "raft/internal.h"
#include "sys/clock.h"
#include "sys/file.h"

#define ID_WORD "drcoord-raft 1 "

/* ---- ids ---- */

static uint64_t id_of_hash(const void *data, size_t len)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	uint64_t id = 0;

	(void)SHA256(data, len, hash);
	for (unsigned i = 0; i < 8; i++)
		id = id << 8 | hash[i];
	return id == 0 ? 1 : id;
}

uint64_t dr_raft_first_id(const char *cluster, const struct dr_name *name)
{
	char text[2 * DR_NAME_MAX + 8];
	int n = snprintf(text, sizeof text, "%.48s/%s", cluster, name->s);

	return id_of_hash(text, (size_t)n);
}

static enum dr_err new_id(const struct dr_name *self, uint64_t *id, struct dr_error *e)
{
	struct {
		struct dr_name name;
		uint64_t wall_ms, random[2];
	} seed;

	memset(&seed, 0, sizeof seed);
	seed.name = *self;
	seed.wall_ms = dr_clock_wall_ms();
	if (getrandom(seed.random, sizeof seed.random, 0) != (ssize_t)sizeof seed.random)
		return dr_fail_errno(e, errno, "read random numbers");
	*id = id_of_hash(&seed, sizeof seed);
	return DR_OK;
}

/* ---- the folder ---- */

static enum dr_err path_in(char *out, size_t cap, const char *dir, const char *name, struct dr_error *e)
{
	int n = snprintf(out, cap, "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= cap)
		return dr_fail(e, DR_E_RANGE, "data folder '%s' has too long a name", dir);
	return DR_OK;
}

enum dr_err dr_raft_read_id(const char *dir, uint64_t *id, struct dr_name *name, struct dr_error *e)
{
	char path[DR_PATH_MAX], line[128], *space;
	size_t word = strlen(ID_WORD);
	enum dr_err rv = path_in(path, sizeof path, dir, "id", e);

	if (rv == DR_OK)
		rv = dr_file_read_line(path, line, sizeof line, e);
	if (rv == DR_E_NOT_FOUND)
		return dr_fail(e, DR_E_NOT_FOUND,
			       "data folder %s is empty: start once with --bootstrap (a first member) or "
			       "--join",
			       dir);
	if (rv != DR_OK)
		return rv;
	if (strncmp(line, ID_WORD, word) != 0 || (space = strchr(line + word, ' ')) == NULL)
		return dr_fail(e, DR_E_CORRUPT, "%s is damaged", path);
	*space = '\0';
	if (dr_parse_u64(line + word, 1, UINT64_MAX, id) != DR_OK || !dr_name_set(name, space + 1))
		return dr_fail(e, DR_E_CORRUPT, "%s is damaged", path);
	return DR_OK;
}

enum dr_err dr_raft_id(const char *dir, uint64_t *id, struct dr_error *e)
{
	struct dr_name name;

	return dr_raft_read_id(dir, id, &name, e);
}

static enum dr_err write_id(const char *dir, uint64_t id, const struct dr_name *name, struct dr_error *e)
{
	char path[DR_PATH_MAX], line[128];
	int n = snprintf(line, sizeof line, ID_WORD "%" PRIu64 " %s\n", id, name->s);
	enum dr_err rv = path_in(path, sizeof path, dir, "id", e);

	return rv != DR_OK ? rv : dr_file_replace(path, line, (size_t)n, 0600, e);
}

static bool is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	bool empty = true;

	while (d != NULL && (entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			empty = false;
	}
	if (d != NULL)
		(void)closedir(d);
	return empty;
}

/* Make the folders; EXISTS when anything of a member is there. */
static enum dr_err make_fresh(const char *dir, char guard[DR_PATH_MAX], struct dr_error *e)
{
	char log[DR_PATH_MAX], id[DR_PATH_MAX];
	struct dr_buf b;
	struct dr_error ignored;
	enum dr_err rv = path_in(log, sizeof log, dir, "log", e);

	if (rv == DR_OK)
		rv = path_in(guard, DR_PATH_MAX, dir, "guard", e);
	if (rv == DR_OK)
		rv = path_in(id, sizeof id, dir, "id", e);
	if (rv == DR_OK)
		rv = dr_dir_make(log, e);
	if (rv != DR_OK)
		return rv;
	dr_buf_init(&b, 4096);
	if (dr_file_read(id, &b, &ignored) != DR_E_NOT_FOUND || !is_empty(log))
		rv = dr_fail(e, DR_E_EXISTS, "data folder %s holds a member (or the rest of one) already",
			     dir);
	dr_buf_close(&b);
	return rv;
}

/* ---- libraft without a network, on a loop of its own ---- */

struct offline {
	uv_loop_t loop;
	struct raft raft;
	struct raft_io io;
	struct raft_fsm fsm;
	struct raft_uv_transport transport;
};

static int no_init(struct raft_uv_transport *t, raft_id id, const char *address)
{
	(void)t;
	(void)id;
	(void)address;
	return 0;
}

static int no_listen(struct raft_uv_transport *t, raft_uv_accept_cb cb)
{
	(void)t;
	(void)cb;
	return 0;
}

static int no_connect(struct raft_uv_transport *t, struct raft_uv_connect *req, raft_id id,
		      const char *address, raft_uv_connect_cb cb)
{
	(void)t;
	(void)req;
	(void)id;
	(void)address;
	(void)cb;
	return RAFT_NOCONNECTION;
}

static void no_close(struct raft_uv_transport *t, raft_uv_transport_close_cb cb)
{
	cb(t);
}

static void no_network(struct raft_uv_transport *t)
{
	*t = (struct raft_uv_transport){
		.version = 1, .init = no_init, .listen = no_listen, .connect = no_connect, .close = no_close
	};
}

static enum dr_err configuration_of(struct raft_configuration *c, const struct dr_raft_member *m, uint32_t n,
				    struct dr_error *e)
{
	raft_configuration_init(c);
	for (uint32_t i = 0; i < n; i++) {
		char address[DR_RAFT_ADDRESS_MAX];
		int rv;

		dr_raft_address_format(&m[i].name, &m[i].address, address);
		rv = raft_configuration_add(c, m[i].id, address, RAFT_VOTER);
		if (rv != 0)
			return dr_fail(e, dr_raft_err(rv), "first members: '%s': %s", m[i].name.s,
				       raft_strerror(rv));
	}
	return DR_OK;
}

static enum dr_err run_bootstrap(const char *dir, uint64_t id, const struct raft_configuration *c,
				 struct dr_error *e)
{
	struct offline *o = dr_xcalloc(sizeof *o);
	char log[DR_PATH_MAX];
	enum dr_err rv = path_in(log, sizeof log, dir, "log", e);
	int err;

	if (rv != DR_OK)
		goto out;
	(void)uv_loop_init(&o->loop);
	no_network(&o->transport);
	o->fsm.version = 1;
	err = raft_uv_init(&o->io, &o->loop, log, &o->transport);
	if (err != 0) {
		rv = dr_fail(e, dr_raft_err(err), "%s: %s", log, o->io.errmsg);
		goto out_loop;
	}
	err = raft_init(&o->raft, &o->io, &o->fsm, id, "offline");
	if (err != 0) {
		rv = dr_fail(e, dr_raft_err(err), "%s: %s", log, raft_errmsg(&o->raft));
		goto out_io;
	}
	err = raft_bootstrap(&o->raft, c);
	if (err != 0)
		rv = dr_fail(e, dr_raft_err(err), "%s: %s (%s)", log, raft_strerror(err), o->io.errmsg);
	raft_close(&o->raft, NULL);
	(void)uv_run(&o->loop, UV_RUN_DEFAULT);
out_io:
	raft_uv_close(&o->io);
out_loop:
	(void)uv_loop_close(&o->loop);
out:
	dr_free(o);
	return rv;
}

enum dr_err dr_raft_bootstrap(const char *dir, const struct dr_name *self,
			      const struct dr_raft_member *members, uint32_t n, struct dr_error *e)
{
	struct dr_guard_head head = { .term = 1, .floor = 1, .floor_term = 1 };
	struct raft_configuration c;
	struct raft_buffer buf = { 0 };
	char guard[DR_PATH_MAX];
	enum dr_err rv;

	for (uint32_t i = 0; i < n; i++) {
		if (dr_name_eq(&members[i].name, self))
			head.id = members[i].id;
	}
	if (head.id == 0 || n > DR_COORDINATORS_MAX)
		return dr_fail(e, DR_E_INVALID, "'%s' is not among the %u first members (at most %d)",
			       self->s, n, DR_COORDINATORS_MAX);
	rv = make_fresh(dir, guard, e);
	if (rv != DR_OK)
		return rv;
	rv = configuration_of(&c, members, n, e);
	if (rv == DR_OK && raft_configuration_encode(&c, &buf) != 0)
		rv = dr_fail(e, DR_E_INTERNAL, "first members: out of memory");
	if (rv == DR_OK) {
		head.chain = dr_guard_link(0, 1, RAFT_CHANGE, buf.base, buf.len);
		rv = run_bootstrap(dir, head.id, &c, e);
	}
	raft_free(buf.base);
	raft_configuration_close(&c);
	if (rv == DR_OK)
		rv = dr_guard_create(guard, &head, e);
	return rv != DR_OK ? rv : write_id(dir, head.id, self, e);
}

enum dr_err dr_raft_prepare_join(const char *dir, const struct dr_name *self, uint64_t *id,
				 struct dr_error *e)
{
	struct dr_guard_head head = { 0 };
	char guard[DR_PATH_MAX];
	enum dr_err rv = make_fresh(dir, guard, e);

	if (rv == DR_OK)
		rv = new_id(self, id, e);
	head.id = *id;
	if (rv == DR_OK)
		rv = dr_guard_create(guard, &head, e);
	return rv != DR_OK ? rv : write_id(dir, *id, self, e);
}

/* ---- recovery ---- */

struct recovery {
	uv_loop_t loop;
	struct dr_storage storage;
	struct raft raft;
	struct raft_fsm fsm;
	struct raft_uv_transport transport;
};

static void on_appended(void *ctx, uint64_t index, uint64_t term, const uint8_t *cmd, size_t len)
{
	(void)ctx;
	(void)index;
	(void)term;
	(void)cmd;
	(void)len;
}

static void on_fatal(void *ctx, const struct dr_error *e)
{
	(void)ctx;
	(void)fprintf(stderr, "%s\n", e->msg);
	_Exit(74);
}

static void on_closed(void *ctx)
{
	(void)ctx;
}

static void on_raft_closed(struct raft *raft)
{
	struct recovery *v = raft->data;

	dr_storage_close(&v->storage, on_closed);
}

/* Compare with the guard first: a damaged log is no base to go on from. */
static enum dr_err recover_in(struct recovery *v, const struct raft_configuration *c, struct dr_error *e)
{
	struct raft_snapshot *snapshot = NULL;
	struct raft_entry *entries = NULL;
	raft_index start_index;
	raft_term term;
	raft_id vote;
	size_t n = 0;
	int err = v->storage.io.load(&v->storage.io, &term, &vote, &snapshot, &start_index, &entries, &n);

	if (err != 0) {
		*e = v->storage.why;
		return e->code;
	}
	dr_storage_release(snapshot, entries, n);
	/* A lone voter leads without a new term: give it one that no leader of the lost majority has had. */
	err = v->storage.io.set_term(&v->storage.io, term + 1);
	if (err == 0)
		err = raft_recover(&v->raft, c);
	if (err != 0)
		return dr_fail(e, dr_raft_err(err), "recover: %s (%s)", raft_strerror(err),
			       v->storage.io.errmsg);
	return DR_OK;
}

enum dr_err dr_raft_recover(const char *dir, const struct dr_raft_member *self, struct dr_error *e)
{
	static const struct dr_storage_cbs cbs = { on_appended, on_fatal, on_closed };
	struct recovery *v = dr_xcalloc(sizeof *v);
	struct raft_configuration c;
	struct dr_name name = { "" };
	uint64_t id = 0;
	enum dr_err rv = dr_raft_read_id(dir, &id, &name, e);
	int err;

	raft_configuration_init(&c);
	if (rv == DR_OK && (id != self->id || !dr_name_eq(&name, &self->name)))
		rv = dr_fail(e, DR_E_INVALID, "data folder %s belongs to '%s', raft id %" PRIu64, dir, name.s,
			     id);
	if (rv == DR_OK)
		rv = configuration_of(&c, self, 1, e);
	if (rv != DR_OK)
		goto out;
	(void)uv_loop_init(&v->loop);
	no_network(&v->transport);
	v->fsm.version = 1;
	rv = dr_storage_open(&v->storage, &v->loop, dir, id, &v->transport, &cbs, v, e);
	if (rv != DR_OK)
		goto out_loop;
	raft_uv_set_auto_recovery(&v->storage.io, false);
	err = raft_init(&v->raft, &v->storage.io, &v->fsm, id, "offline");
	v->raft.data = v;
	if (err != 0) {
		rv = dr_fail(e, dr_raft_err(err), "%s: %s", dir, raft_errmsg(&v->raft));
		dr_storage_close(&v->storage, on_closed);
	} else {
		rv = recover_in(v, &c, e);
		raft_close(&v->raft, on_raft_closed);
	}
	(void)uv_run(&v->loop, UV_RUN_DEFAULT);
out_loop:
	(void)uv_loop_close(&v->loop);
out:
	raft_configuration_close(&c);
	dr_free(v);
	return rv;
}
