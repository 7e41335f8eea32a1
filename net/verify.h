/* verify.h -- during a handshake: is this the peer we want, and if not, why, in words.  Private to net/. */
#ifndef DR_NET_VERIFY_H
#define DR_NET_VERIFY_H

#include <openssl/ssl.h>

#include "base/error.h"

struct dr_conn_impl;

/* OpenSSL calls it for every certificate of the peer's chain; the SSL's app data is the connection. */
int dr_verify_cb(int ok, X509_STORE_CTX *ctx);

/* Why SSL_do_handshake(), SSL_read() or SSL_write() failed, from OpenSSL's error queue. */
enum dr_err dr_tls_why(const struct dr_conn_impl *s, struct dr_error *e);

#endif
