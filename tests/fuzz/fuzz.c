/* fuzz.c -- see fuzz.h. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "temp.h"

enum { ENCODED_MAX = 64 << 20 };

static const struct fuzz_row rows[] = {
#define TARGET(name, bytes, what) { #name, fuzz_##name, bytes },
#include "targets.def"
#undef TARGET
};

const struct fuzz_row *fuzz_row_at(size_t i)
{
	return i < sizeof(rows) / sizeof(rows[0]) ? &rows[i] : NULL;
}

const struct fuzz_row *fuzz_row_named(const char *name)
{
	const struct fuzz_row *r = NULL;
	for (size_t i = 0; (r = fuzz_row_at(i)) != NULL && strcmp(r->name, name) != 0; i++)
		;
	return r;
}

void fuzz_broken(const char *cond, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, cond);
	abort();
}

uint8_t fuzz_first(const uint8_t **p, size_t *n)
{
	if (*n == 0)
		return 0;
	(*n)--;
	return *(*p)++;
}

char *fuzz_text(const uint8_t *p, size_t n)
{
	char *s = dr_xcalloc(n + 1);
	if (n > 0)
		memcpy(s, p, n);
	return s;
}

/* ---- files ---- */

static char folder[128];

static void remove_folder(void)
{
	static const char *const names[] = {
		"global/pg_control", "global", "journal", "log/open-1", "log", "id", "pem.ca", "pem.crt", "pem.key", ""
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)remove(fuzz_path(names[i]));
}

static void make_folder(void)
{
	temp_template(folder, sizeof(folder), "drfuzz");
	FUZZ_CHECK(mkdtemp(folder) != NULL);
	FUZZ_CHECK(mkdir(fuzz_path("global"), 0700) == 0);
	FUZZ_CHECK(mkdir(fuzz_path("log"), 0700) == 0);
	FUZZ_CHECK(atexit(remove_folder) == 0);
}

const char *fuzz_path(const char *name)
{
	static char path[256];
	if (folder[0] == '\0')
		make_folder();
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

void fuzz_write(const char *name, const uint8_t *p, size_t n)
{
	FILE *f = fopen(fuzz_path(name), "wb");
	FUZZ_CHECK(f != NULL);
	FUZZ_CHECK(n == 0 || fwrite(p, 1, n, f) == n);
	FUZZ_CHECK(fclose(f) == 0);
}

/* ---- command lines ---- */

void fuzz_line_add(struct fuzz_line *l, const char *text)
{
	FUZZ_CHECK(l->argc < FUZZ_ARGS_MAX);
	l->own[l->argc] = l->argv[l->argc] = dr_xstrdup(text);
	l->argc++;
	l->argv[l->argc] = NULL;
}

void fuzz_line_of(struct fuzz_line *l, const char *program, const uint8_t *p, size_t n)
{
	char *text = fuzz_text(p, n);
	*l = (struct fuzz_line){ 0 };
	fuzz_line_add(l, program);
	for (char *s = n > 0 ? text : NULL; s != NULL && l->argc < FUZZ_ARGS_MAX;) {
		char *nl = strchr(s, '\n');
		if (nl != NULL)
			*nl = '\0';
		fuzz_line_add(l, s);
		s = nl != NULL ? nl + 1 : NULL;
	}
	dr_free(text);
}

void fuzz_line_end(struct fuzz_line *l)
{
	for (int i = 0; i < l->argc; i++)
		dr_free(l->own[i]);
}

/* ---- round trips ---- */

void fuzz_refused(enum dr_err rv, const struct dr_error *e)
{
	FUZZ_CHECK(rv != DR_OK);
	FUZZ_CHECK(e->code != DR_OK);
	FUZZ_CHECK(e->msg[0] != '\0');
}

bool fuzz_same_core(const struct dr_order_core *a, const struct dr_order_core *b)
{
	return a->kind == b->kind && a->number == b->number && a->epoch == b->epoch && a->plan == b->plan &&
	       a->step == b->step && a->target == b->target && a->sync == b->sync && a->k == b->k &&
	       a->position == b->position && a->clean == b->clean && a->listed == b->listed &&
	       a->list_version == b->list_version && a->timeline == b->timeline;
}

bool fuzz_same_order(const struct dr_order *a, const struct dr_order *b)
{
	size_t from = offsetof(struct dr_order, service);
	return fuzz_same_core(&a->core, &b->core) &&
	       memcmp((const char *)a + from, (const char *)b + from, sizeof(*a) - from) == 0;
}

static void end(const struct fuzz_codec *c, void *v)
{
	if (c->close != NULL)
		c->close(v);
	dr_free(v);
}

void fuzz_round_trip(const struct fuzz_codec *c, const uint8_t *p, size_t n)
{
	void *first = dr_xcalloc(c->size), *second = dr_xcalloc(c->size);
	struct dr_error e = { 0 };
	struct dr_buf a, b;
	dr_buf_init(&a, ENCODED_MAX);
	dr_buf_init(&b, ENCODED_MAX);
	enum dr_err rv = c->decode(first, p, n, &e);
	if (rv != DR_OK) {
		fuzz_refused(rv, &e);
	} else {
		c->encode(&a, first);
		FUZZ_CHECK(dr_buf_ok(&a));
		FUZZ_CHECK(c->decode(second, a.data, a.len, &e) == DR_OK);
		FUZZ_CHECK(c->same != NULL ? c->same(first, second) : memcmp(first, second, c->size) == 0);
		c->encode(&b, second);
		FUZZ_CHECK(dr_buf_ok(&b) && a.len == b.len);
		FUZZ_CHECK(a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
	}
	dr_buf_close(&a);
	dr_buf_close(&b);
	end(c, first);
	end(c, second);
}
