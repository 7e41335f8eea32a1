/* cli_fixture.h -- coordinators that a test plays, and drcoordctl run against them as a child. */
#ifndef DR_TEST_CLI_FIXTURE_H
#define DR_TEST_CLI_FIXTURE_H

/* cmocka.h wants these four first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "base/buf.h"
#include "net/conn.h"
#include "proto/codec.h"

enum { FAKES = 2, CONNS_MAX = 128, ARGS_MAX = 32, CHILD_MS = 20000 };

struct fake;
typedef void fake_fn(struct fake *f, struct dr_conn *c, const struct dr_client_request *q);

struct one_conn {
	struct dr_conn c;
	struct fake *fake;
	bool used;
};

/* One coordinator that is played. */
struct fake {
	struct dr_listener *listener;
	struct dr_address at;
	struct one_conn conn[CONNS_MAX];
	unsigned accepted, greeted, requests, pings;
	uint64_t ids[16], froms[16], version;
	char verb[32], service[DR_NAME_MAX], member[DR_NAME_MAX], reason[DR_REASON_MAX];
	bool force, had_spec;
	uint32_t spec_members;
	fake_fn *play;
};

extern struct world {
	uv_loop_t loop;
	char dir[64];
	struct dr_tls *tls;
	struct fake fake[FAKES];
	struct dr_buf out, err;
	int64_t code;
	bool exited;
	unsigned pipes_open;
	bool late;
} w;

/* One response of a coordinator that is played. */
void answer(struct dr_conn *c, struct dr_client_response *r, uint64_t id);
void answer_code(struct dr_conn *c, uint64_t id, enum dr_err code, const char *message);
void answer_json(struct dr_conn *c, uint64_t id, const char *json, bool more);
/* A port of 127.0.0.1 that nobody listens on. */
uint16_t free_port(void);
/* Fake i listens from now on and answers as the function says. */
void play(unsigned i, fake_fn *fn);
/* Run drcoordctl with these endpoints and arguments (up to NULL) to its end; what it said is in w.out, w.err, w.code. */
void run_with(const char *endpoints, const char *const *args);
#define RUN(endpoints, ...) run_with(endpoints, (const char *const[]){ __VA_ARGS__, NULL })
const char *text_of(struct dr_buf *b);
/* The endpoints of one fake, and of both. */
const char *at(unsigned i);
const char *both(void);
/* The last run ended so and said these texts. */
void expect(int64_t code, const char *out, const char *err);
/* For cmocka: certificates and loop; everything closed after each test; all taken away. */
int after_each(void **state);
int before_all(void **state);
int after_all(void **state);

#endif
