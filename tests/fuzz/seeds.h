/* seeds.h -- what the makers of corpora share. */
#ifndef TESTS_FUZZ_SEEDS_H
#define TESTS_FUZZ_SEEDS_H

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fuzz.h"
#include "proto_samples.h"

enum { NO_FIRST = -1 };

/* Write one input.  first: the byte in front by which a target chooses, or NO_FIRST. */
void seed(const char *target, const char *name, int first, const void *p, size_t n);
/* The same from a buffer, which is empty then. */
void seed_buf(const char *target, const char *name, int first, struct dr_buf *b);
void seed_text(const char *target, const char *name, int first, const char *text);

/* A spec of two services, small; dr_spec_free. */
struct dr_spec *seed_spec(void);
void seed_event(struct dr_event_record *e, uint64_t index);

/* seed_messages.c */
void seed_messages(void);
/* seed_peers.c */
void seed_peers(void);

#endif
