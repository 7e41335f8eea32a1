/* fuzz.h -- what the fuzz targets share: each row of targets.def is a function here.
 *
 * A target takes any bytes, hands them to a decoder, and where that accepts them encodes what came out and
 * decodes it again: the same must come back.  What should not be ends the process (FUZZ_CHECK), as a sanitizer's
 * finding does; so whoever calls a target learns of it by its death.  One thread. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/order.h"

typedef void fuzz_target(const uint8_t *p, size_t n);
#define TARGET(name, bytes, what) fuzz_target fuzz_##name;
#include "targets.def"
#undef TARGET

struct fuzz_row {
	const char *name;
	fuzz_target *run;
	size_t bytes; /* more are not tried */
};
/* NULL past the last row, or for an unknown name. */
const struct fuzz_row *fuzz_row_at(size_t i);
const struct fuzz_row *fuzz_row_named(const char *name);

#define FUZZ_CHECK(cond)                                                                                     \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			fuzz_broken(#cond, __FILE__, __LINE__);                                              \
	} while (0)
__attribute__((noreturn)) void fuzz_broken(const char *cond, const char *file, int line);

/* The first byte, taken off; 0 when there is none.  A target of several decoders chooses by it. */
uint8_t fuzz_first(const uint8_t **p, size_t *n);
/* The bytes with a NUL behind them; dr_free. */
char *fuzz_text(const uint8_t *p, size_t n);

/* A file in this process's own folder, which goes when the process ends in order (tests/fuzz/run removes the
 * others').  The path is good until the next call. */
const char *fuzz_path(const char *name);
void fuzz_write(const char *name, const uint8_t *p, size_t n);

/* A command line.  The bytes of an input are the arguments behind the program's name, divided by line breaks. */
enum { FUZZ_ARGS_MAX = 200 };
struct fuzz_line {
	int argc;
	char *argv[FUZZ_ARGS_MAX + 1]; /* getopt moves them about */
	char *own[FUZZ_ARGS_MAX + 1];
};
void fuzz_line_of(struct fuzz_line *l, const char *program, const uint8_t *p, size_t n);
/* To one that is all zeros, or has some. */
void fuzz_line_add(struct fuzz_line *l, const char *text);
void fuzz_line_end(struct fuzz_line *l);

/* What a decoder must say when it refuses: a code, and a word about it. */
void fuzz_refused(enum dr_err rv, const struct dr_error *e);

/* One decoder and its encoder. */
struct fuzz_codec {
	size_t size; /* of the struct */
	enum dr_err (*decode)(void *v, const uint8_t *p, size_t n, struct dr_error *e);
	void (*encode)(struct dr_buf *out, const void *v);
	void (*close)(void *v);                     /* NULL: it owns nothing */
	bool (*same)(const void *a, const void *b); /* NULL: compared as bytes */
};
/* A struct that is assigned whole may hold anything between its fields: these are compared by their fields. */
bool fuzz_same_core(const struct dr_order_core *a, const struct dr_order_core *b);
bool fuzz_same_order(const struct dr_order *a, const struct dr_order *b);
void fuzz_round_trip(const struct fuzz_codec *c, const uint8_t *p, size_t n);

#endif
