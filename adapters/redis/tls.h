/* tls.h -- TLS between a link and its socket: bytes in, bytes out, no socket of its own.  TLS 1.2 at least; the certificate must
 * be signed by one of a file's and name the address.  We show none: the account's password says who we are.
 *
 * Threads: the loop's.  Nothing here waits. */
#ifndef DR_ADAPTERS_REDIS_TLS_H
#define DR_ADAPTERS_REDIS_TLS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

struct red_tls;

/* ca_file: PEM, read now.  host: an address literal. */
DR_MUST_USE enum dr_err red_tls_open(struct red_tls **out, const char *ca_file, const char *host, struct dr_error *e);
void red_tls_close(struct red_tls *t); /* NULL is fine */

/* What came from the socket. */
void red_tls_feed(struct red_tls *t, const void *bytes, size_t len);
/* Goes on with the handshake; true once it is over.  CERT: the certificate is not accepted; PROTOCOL: no TLS came. */
DR_MUST_USE enum dr_err red_tls_shake(struct red_tls *t, bool *over, struct dr_error *e);
/* After the handshake: what was said, 0 for nothing more now, -1 when the other side has ended it, or broke the protocol. */
ssize_t red_tls_read(struct red_tls *t, void *dst, size_t cap);
void red_tls_write(struct red_tls *t, const void *bytes, size_t len);
/* What is to go to the socket is put behind what dst holds. */
void red_tls_drain(struct red_tls *t, struct dr_buf *dst);

#endif
