/* tls_impl.h -- the inside of struct dr_tls, for net/ only. */
#ifndef DR_NET_TLS_IMPL_H
#define DR_NET_TLS_IMPL_H

#include <openssl/ssl.h>

#include "base/buf.h"
#include "net/tls.h"

enum {
	DR_TLS_IN_MAX = 64 * 1024,   /* bytes read from a socket at once */
	DR_TLS_RECORD_MAX = 16384,   /* plaintext of one record (RFC 8446, 5.1) */
	DR_TLS_OUT_KEPT = 128 * 1024 /* an output buffer grown past this is given back */
};

/* The buffers are used only inside one callback at a time, so that all connections of a loop share them and
 * an idle connection owns none. */
struct dr_tls {
	unsigned refs;
	SSL_CTX *ctx; /* both roles */
	struct dr_identity self;
	int64_t expires;
	char *ca, *cert, *key; /* paths */
	uint8_t *in;           /* ciphertext: DR_TLS_IN_MAX */
	uint8_t *plain;        /* decrypted: DR_TLS_IN_MAX */
	struct dr_buf out;     /* ciphertext made by one call ... */
	const void *out_of;    /* ... of this connection */
};

struct dr_tls *dr_tls_ref(struct dr_tls *t);

#endif
