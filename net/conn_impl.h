/* conn_impl.h -- the inside of struct dr_conn, for net/ only.
 *
 *   CONNECTING -> HANDSHAKE -> OPEN
 *        \___________|__________|___> LEAVING (flush, FIN, wait for the peer's end) -> GONE
 *
 * GONE: all handles are being closed; when the last one is, on_closed is called and the memory freed.  Every
 * phase can go to GONE at once.  `why` is set on the first step of leaving and never changed. */
#ifndef DR_NET_CONN_IMPL_H
#define DR_NET_CONN_IMPL_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <uv.h>

#include "net/conn.h"
#include "net/frame.h"
#include "net/outq.h"
#include "net/tls_impl.h"

enum dr_conn_phase {
	DR_PHASE_CONNECTING,
	DR_PHASE_HANDSHAKE,
	DR_PHASE_OPEN,
	DR_PHASE_LEAVING,
	DR_PHASE_GONE
};

enum {
	DR_LINGER_MS = 500,      /* how long a refused peer has to take our alert */
	DR_DEAD_AFTER_MS = 5000, /* unacknowledged bytes or keepalives end a connection after this */
	DR_WHO_MAX = 160         /* bytes of a peer's description with its NUL */
};

struct dr_conn_impl {
	struct dr_conn *c;
	const struct dr_conn_cbs *cbs;
	void (*on_drain)(struct dr_conn *c); /* NULL: nobody asks */
	struct dr_tls *tls;
	SSL *ssl; /* a listener's connection has one from its first byte on */
	enum dr_conn_phase phase;
	bool accepted; /* we listened */
	bool shut;     /* FIN was asked for */
	bool pending;  /* in the listener's list */
	bool lazy;     /* read only when asked */
	bool holding;  /* no frames are given for now */
	bool gathers;  /* what is sent waits for `together` */
	bool bye;      /* the peer said goodbye meanwhile */
	int broken;    /* writing failed so; reading goes on for a moment, to learn why */
	unsigned handles;
	uint32_t deadline_ms;
	uint32_t idle_ms;
	uint64_t heard_ms; /* loop time of the last bytes */
	struct dr_identity want;
	struct dr_error *why;     /* allocated at the end only */
	struct dr_error *refused; /* what dr_verify_cb() found */
	const uint8_t *chunk;     /* ciphertext in hand, not yet taken by OpenSSL */
	size_t chunk_len;
	struct dr_buf held; /* the chunk, kept while holding */
	struct dr_buf plain; /* what was decrypted of it when holding began */
	struct dr_frame_reader reader;
	struct dr_outq out;
	struct dr_listener *listener; /* while the handshake lasts */
	struct dr_conn_impl *next, *prev;
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_idle_t together; /* in use when gathers; started last of all idle handles it runs first, and the loop does not sleep */
	struct dr_buf gathered; /* plaintext */
	uv_connect_t connect;
	uv_shutdown_t shutdown;
};

/* conn.c: life.  dr_conn_why() keeps the first reason. */
struct dr_conn_impl *dr_conn_make(struct dr_conn *c, uv_loop_t *loop, struct dr_tls *tls,
				  const struct dr_conn_cbs *cbs, uint32_t deadline_ms);
enum dr_err dr_conn_why(struct dr_conn_impl *s, enum dr_err code, const char *fmt, ...) DR_PRINTF(3, 4);
void dr_conn_gone(struct dr_conn_impl *s);
void dr_conn_leave(struct dr_conn_impl *s, uint32_t linger_ms);
void dr_conn_who(const struct dr_conn_impl *s, char out[DR_WHO_MAX]);
void dr_conn_handle_closed(struct dr_conn_impl *s);
void dr_conn_timer(struct dr_conn_impl *s, uint64_t ms);
bool dr_sockaddr_of(const struct dr_address *a, struct sockaddr_storage *out);

/* conn_io.c: bytes. */
void dr_conn_start(struct dr_conn_impl *s); /* TCP is up */
void dr_conn_read_on(struct dr_conn_impl *s);
/* Encrypt; false when the connection is on its end. */
bool dr_conn_encrypt(struct dr_conn_impl *s, const void *data, size_t len);
void dr_conn_flush(struct dr_conn_impl *s);
bool dr_conn_gather(struct dr_conn_impl *s, uint16_t type, const void *payload, size_t len);
void dr_conn_gather_close(struct dr_conn_impl *s);
void dr_conn_bye(struct dr_conn_impl *s); /* close_notify */
void dr_conn_broken(struct dr_conn_impl *s, int status);

/* listen.c: the handshake is over, well or not; then the connection needs its listener no more. */
void dr_listener_unlink(struct dr_conn_impl *s);
void dr_listener_release(struct dr_conn_impl *s);

#endif
