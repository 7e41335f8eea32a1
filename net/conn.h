/* conn.h -- one framed, mutually authenticated TLS 1.3 connection on a libuv loop, from either side.
 *
 * Frame: u32 magic "DRC1", u16 version, u16 type, u32 length (<= DR_FRAME_MAX), u32 CRC32C of the payload,
 * payload; all big endian.  Nothing a peer sends is trusted before its certificate is.
 *
 * A peer that acknowledges nothing for 5 s is given up (TCP_USER_TIMEOUT and keepalive).  A connecting
 * side is open before the peer has judged its certificate (TLS 1.3): a refusal comes as on_closed, CERT.
 *
 * Threads: the loop's.  Ownership: the callbacks' struct is borrowed for the connection's life; the caller
 * owns struct dr_conn, zeroed, and keeps it in place until on_closed was called; that comes exactly once for
 * each connection that was started, also after dr_conn_close().  Callbacks are never called from inside start
 * or send. */
#ifndef DR_NET_CONN_H
#define DR_NET_CONN_H

#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/ids.h"
#include "model/spec.h"
#include "net/tls.h"

struct dr_conn;
struct dr_conn_cbs {
	/* TLS is up and the peer's certificate passed; c->peer is set. */
	void (*on_open)(struct dr_conn *c);
	/* One whole frame; payload is borrowed for the call. */
	void (*on_frame)(struct dr_conn *c, uint16_t type, const uint8_t *payload, size_t len);
	/* The end, with the reason (code OK after dr_conn_close). */
	void (*on_closed)(struct dr_conn *c, const struct dr_error *why);
};

struct dr_conn {
	void *ctx;             /* the caller's */
	struct dr_identity peer; /* valid from on_open on */
	int64_t peer_expires;    /* likewise: when its certificate ends, seconds since 1970 */
	struct dr_address remote;
	struct dr_conn_impl *impl; /* private */
};

/* Connect to an address literal.  want: what the peer's certificate must say (kind, and name when not
 * empty).  deadline_ms covers TCP and TLS together. */
DR_MUST_USE enum dr_err dr_conn_connect(struct dr_conn *c, uv_loop_t *loop, struct dr_tls *tls,
					const struct dr_address *to, const struct dr_identity *want,
					uint32_t deadline_ms, const struct dr_conn_cbs *cbs, struct dr_error *e);

/* Queue one frame.  FULL: more than DR_SEND_QUEUE_MAX wait, the connection is being closed as too slow.
 * CLOSED: it is not open. */
DR_MUST_USE enum dr_err dr_conn_send(struct dr_conn *c, uint16_t type, const void *payload, size_t len);

/* Bytes queued and not yet taken by the kernel. */
size_t dr_conn_queued(const struct dr_conn *c);

/* Call back, from the loop, whenever the kernel has taken some of what was queued.  Once, right after the start. */
void dr_conn_drain_set(struct dr_conn *c, void (*on_drain)(struct dr_conn *c));

/* An open connection on which nothing that comes is urgent: from now on arriving bytes wake nobody, and neither
 * does their end; dr_conn_read_now takes both.  Not to be undone. */
void dr_conn_lazy_set(struct dr_conn *c);
/* Take what has come; calls on_frame.  Not from inside a callback; nothing happens unless it is lazy. */
void dr_conn_read_now(struct dr_conn *c);

/* From on_frame: give no more frames for now, and leave what comes to the kernel; at most what one read brought is kept.
 * dr_conn_resume, not from inside a callback, goes on where it stopped, and may be told to hold again. */
void dr_conn_hold(struct dr_conn *c);
void dr_conn_resume(struct dr_conn *c);

/* From now on the frames of one turn of the loop leave together before it sleeps, in as few records and writes as they fit:
 * for a connection on which many small ones go. */
void dr_conn_gather_set(struct dr_conn *c);

/* Close when nothing has arrived for idle_ms (0: never). */
void dr_conn_idle_set(struct dr_conn *c, uint32_t idle_ms);

/* Close, after trying for at most flush_ms to send what is queued. on_closed follows. Idempotent. */
void dr_conn_close(struct dr_conn *c, uint32_t flush_ms);

/* Listening.  accept_cb gets a fresh connection's place: it returns a zeroed struct dr_conn (with ctx set)
 * and callbacks, or NULL to refuse (too many).  Handshakes have handshake_ms, and at most
 * `pending_max` are in progress at once. */
struct dr_listener;
struct dr_listener_config {
	struct dr_address at;  /* port 0: any free one */
	struct dr_tls *tls;
	uint32_t handshake_ms;
	uint32_t pending_max;  /* when reached, the oldest handshake gives way to the newcomer */
	struct dr_conn *(*accept_cb)(void *ctx, const struct dr_conn_cbs **cbs);
	/* A connection whose accept_cb was called but which never opened also ends in on_closed. */
	void *ctx;
};
DR_MUST_USE enum dr_err dr_listener_open(struct dr_listener **out, uv_loop_t *loop,
					 const struct dr_listener_config *config, struct dr_error *e);
uint16_t dr_listener_port(const struct dr_listener *l);
/* Connections still in their handshake are closed (CANCELLED); `closed` (NULL for none) comes after their
 * on_closed.  Open ones live on. */
void dr_listener_close(struct dr_listener *l, void (*closed)(void *ctx), void *ctx);

#endif
