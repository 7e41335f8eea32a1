/* http.h -- the coordinator's HTTP server: /metrics, /healthz, /readyz; nothing else, and nothing that changes anything.
 *
 * It has a thread of its own, of lower priority than the loop, and knows nothing but the snapshots that the loop hands
 * over: whoever asks for how much can't delay a lease.  Connections, their age, what they may send and how many
 * requests are answered a second are bounded. */
#ifndef DR_COORD_HTTP_HTTP_H
#define DR_COORD_HTTP_HTTP_H

#include <stdbool.h>

#include "base/error.h"
#include "coord/http/metrics.h"
#include "model/spec.h"

struct dr_http_config {
	struct dr_address at;   /* port 0: any free one */
	bool tls;               /* with these files, which are read now: */
	const char *cert, *key; /* borrowed for the call */
	/* Called from the server's thread: the loop is to give a snapshot (dr_http_give) soon; whole: with the services.  May
	 * do no more than wake the loop. */
	void (*ask)(void *ctx, bool whole);
	void *ctx;
};

struct dr_http;

/* Bind, listen, start the thread.  EXISTS, INVALID, DENIED: the address can't be had; CERT: the files can't. */
DR_MUST_USE enum dr_err dr_http_open(struct dr_http **out, const struct dr_http_config *config, struct dr_error *e);
uint16_t dr_http_port(const struct dr_http *h);

/* From any thread: a new snapshot, which is the server's from now on. */
void dr_http_give(struct dr_http *h, struct dr_metrics *m);

/* End the thread, which takes no longer than what it has under way in memory; `ask` is not called any more. */
void dr_http_close(struct dr_http *h);

#endif
