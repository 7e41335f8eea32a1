/* net_fixture.h -- what the net tests share: a loop, certificates, connections that note what came. */
#ifndef DR_TEST_NET_FIXTURE_H
#define DR_TEST_NET_FIXTURE_H

/* cmocka.h wants these four first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"
#include "net/conn.h"
#include "net/tls.h"

enum { ENDS_MAX = 64, WAIT_MS = 10000 };

/* One side of a connection and what happened to it. */
struct end {
	struct dr_conn c;
	struct world *w;
	bool used, open, closed;
	unsigned frames;
	uint16_t last_type;
	struct dr_buf got;      /* payloads, one after the other */
	struct dr_error why;
	bool echo;              /* send every frame back */
	uint16_t close_at;      /* frame type that closes from inside the callback, 0 none */
	bool close_when_open;
	bool hold_each;         /* hold after every frame */
};

struct world {
	uv_loop_t loop;
	uv_timer_t guard;
	bool timed_out;
	char dir[64];           /* ca.*, c-a.*, c-b.*, ag.* */
	struct dr_listener *listener;
	bool listener_closed;
	struct end in[ENDS_MAX]; /* accepted */
	unsigned accepted;
	bool refuse;
	bool accept_echo;
	struct dr_address at;
};

void world_open(struct world *w);
void world_close(struct world *w);   /* closes all ends, checks uv_loop_close() == 0 */
struct dr_tls *world_tls(struct world *w, const char *name);
void world_issue(struct world *w, enum dr_peer_kind kind, const char *name);
void world_listen(struct world *w, struct dr_tls *tls, const char *host, uint32_t handshake_ms,
		  uint32_t pending_max);
void world_stop_listening(struct world *w);
void path_of(const struct world *w, const char *name, const char *suffix, char out[128]);

void end_init(struct end *e, struct world *w);
void end_connect(struct end *e, struct world *w, struct dr_tls *tls, enum dr_peer_kind kind, const char *name,
		 uint32_t deadline_ms);
/* Run the loop until *flag, failing the test after WAIT_MS. */
void until(struct world *w, const bool *flag);
void until_frames(struct world *w, const struct end *e, unsigned n);
void until_bytes(struct world *w, const struct end *e, size_t n);
void spin(struct world *w, unsigned ms);
void assert_has(const char *text, const char *part);

#endif
