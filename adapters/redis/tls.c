/* tls.c -- see tls.h. */
#include "adapters/redis/tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/assert.h"
#include "base/mem.h"

struct red_tls {
	SSL *ssl;
	BIO *in, *out; /* the ssl's */
};

/* The oldest of the library's, on one line; its queue is empty afterwards. */
static const char *library_says(void)
{
	unsigned long first = ERR_get_error();
	const char *why = first != 0 ? ERR_reason_error_string(first) : NULL;
	ERR_clear_error();
	return why != NULL ? why : "unknown";
}

static SSL_CTX *make_context(const char *ca_file, struct dr_error *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		(void)dr_fail(e, DR_E_UNKNOWN, "no TLS: %s", library_says());
	} else if (SSL_CTX_load_verify_file(ctx, ca_file) != 1) {
		/* A file of ours: no failure of the server's. */
		(void)dr_fail(e, DR_E_UNKNOWN, "cannot read certificates from ca_file %s: %s", ca_file, library_says());
	} else {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		return ctx;
	}
	SSL_CTX_free(ctx);
	return NULL;
}

enum dr_err red_tls_open(struct red_tls **out, const char *ca_file, const char *host, struct dr_error *e)
{
	*out = NULL;
	ERR_clear_error();
	SSL_CTX *ctx = make_context(ca_file, e);
	if (ctx == NULL)
		return e->code;
	struct red_tls *t = dr_xcalloc(sizeof(*t));
	t->ssl = SSL_new(ctx);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	SSL_CTX_free(ctx);
	if (t->ssl == NULL || t->in == NULL || t->out == NULL ||
	    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), host) != 1) {
		BIO_free(t->in);
		BIO_free(t->out);
		SSL_free(t->ssl);
		dr_free(t);
		return dr_fail(e, DR_E_UNKNOWN, "no TLS to %s: %s", host, library_says());
	}
	(void)BIO_set_mem_eof_return(t->in, -1);
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_connect_state(t->ssl);
	*out = t;
	return DR_OK;
}

void red_tls_close(struct red_tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	dr_free(t);
}

void red_tls_feed(struct red_tls *t, const void *bytes, size_t len)
{
	dr_assert(len > 0 && len <= INT_MAX);
	int put = BIO_write(t->in, bytes, (int)len);
	dr_assert(put == (int)len); /* memory */
}

enum dr_err red_tls_shake(struct red_tls *t, bool *over, struct dr_error *e)
{
	*over = false;
	ERR_clear_error();
	int rc = SSL_do_handshake(t->ssl);
	if (rc == 1) {
		*over = true;
		return DR_OK;
	}
	int why = SSL_get_error(t->ssl, rc);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return DR_OK;
	long verify = SSL_get_verify_result(t->ssl);
	if (verify != X509_V_OK)
		return dr_fail(e, DR_E_CERT, "its certificate is not accepted: %s", X509_verify_cert_error_string(verify));
	return dr_fail(e, DR_E_PROTOCOL,
		       "no TLS comes of it (is it the server's tls-port, and tls-auth-clients no or optional?): %s",
		       library_says());
}

ssize_t red_tls_read(struct red_tls *t, void *dst, size_t cap)
{
	ERR_clear_error();
	int n = SSL_read(t->ssl, dst, cap < INT_MAX ? (int)cap : INT_MAX);
	if (n > 0)
		return n;
	int why = SSL_get_error(t->ssl, n);
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

void red_tls_write(struct red_tls *t, const void *bytes, size_t len)
{
	ERR_clear_error();
	dr_assert(len <= INT_MAX);
	/* Into memory it goes whole, or the connection is broken, which the read side sees. */
	(void)!SSL_write(t->ssl, bytes, (int)len);
}

void red_tls_drain(struct red_tls *t, struct dr_buf *dst)
{
	char part[4096];
	for (int n = BIO_read(t->out, part, sizeof(part)); n > 0; n = BIO_read(t->out, part, sizeof(part)))
		dr_buf_put(dst, part, (size_t)n);
}
