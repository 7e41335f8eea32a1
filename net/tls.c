/* tls.c -- see tls.h. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/cert.h"
#include "net/tls_impl.h"
#include "net/verify.h"

enum {
	CHAIN_MAX = 32 * 1024, /* bytes of certificates taken from a peer */
	DEPTH_MAX = 3
};

static const char *const kinds[] = {
	[DR_PEER_NONE] = "none",     [DR_PEER_COORDINATOR] = "coordinator", [DR_PEER_AGENT] = "agent",
	[DR_PEER_VIEWER] = "viewer", [DR_PEER_OPERATOR] = "operator",       [DR_PEER_APPROVER] = "approver",
	[DR_PEER_ADMIN] = "admin",
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == DR_PEER_KIND_COUNT, "one word per kind");

const char *dr_peer_kind_name(enum dr_peer_kind k)
{
	return (unsigned)k < DR_PEER_KIND_COUNT ? kinds[k] : "unknown";
}

enum dr_peer_kind dr_peer_kind_find(const char *word)
{
	for (unsigned i = DR_PEER_NONE + 1; i < DR_PEER_KIND_COUNT; i++) {
		if (strcmp(kinds[i], word) == 0)
			return (enum dr_peer_kind)i;
	}
	return DR_PEER_NONE;
}

/* What the three files hold, while it is checked. */
struct loaded {
	STACK_OF(X509) * ca;
	STACK_OF(X509) * chain; /* first ours, then what stands between it and the CA */
	EVP_PKEY *key;
	X509_STORE *store;
	struct dr_identity self;
};

static void loaded_close(struct loaded *l)
{
	X509_STORE_free(l->store);
	EVP_PKEY_free(l->key);
	dr_certs_free(l->chain);
	dr_certs_free(l->ca);
}

static enum dr_err store_fill(struct loaded *l, const char *path, struct dr_error *e)
{
	l->store = X509_STORE_new();
	if (l->store == NULL)
		return dr_fail_ssl(e, DR_E_INTERNAL, "CA store");
	for (int i = 0; i < sk_X509_num(l->ca); i++) {
		X509 *ca = sk_X509_value(l->ca, i);
		if (X509_check_ca(ca) != 1)
			return dr_fail(
			    e, DR_E_CERT,
			    "CA file %s: certificate %d in it is not a CA's (did you swap ca and cert?)",
			    path, i + 1);
		if (X509_STORE_add_cert(l->store, ca) != 1)
			return dr_fail_ssl(e, DR_E_CERT, "CA file %s", path);
	}
	return DR_OK;
}

/* The same check that the peers will make of us, made now, where somebody can still do something. */
static enum dr_err own_chain_check(const struct loaded *l, const struct dr_tls *t, struct dr_error *e)
{
	char whose[DR_ERROR_MSG_MAX / 2];
	enum dr_err rv = DR_OK;
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	if (ctx == NULL || X509_STORE_CTX_init(ctx, l->store, sk_X509_value(l->chain, 0), l->chain) != 1) {
		rv = dr_fail_ssl(e, DR_E_INTERNAL, "certificate %s", t->cert);
	} else if (X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT) != 1 ||
		   X509_verify_cert(ctx) != 1) {
		(void)snprintf(whose, sizeof(whose), "our certificate %s", t->cert);
		rv = dr_cert_verdict(X509_STORE_CTX_get_error(ctx), X509_STORE_CTX_get_error_depth(ctx),
				     X509_STORE_CTX_get_current_cert(ctx), whose, t->ca, e);
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return rv;
}

static enum dr_err load(struct loaded *l, const struct dr_tls *t, struct dr_error *e)
{
	enum dr_err rv = dr_certs_read(t->ca, "CA file", &l->ca, e);
	if (rv == DR_OK)
		rv = store_fill(l, t->ca, e);
	if (rv == DR_OK)
		rv = dr_certs_read(t->cert, "certificate", &l->chain, e);
	if (rv == DR_OK)
		rv = dr_key_read(t->key, &l->key, e);
	if (rv != DR_OK)
		return rv;
	X509 *own = sk_X509_value(l->chain, 0);
	if (X509_check_private_key(own, l->key) != 1) {
		ERR_clear_error();
		return dr_fail(e, DR_E_CERT,
			       "private key %s does not belong to certificate %s: take both from one issue",
			       t->key, t->cert);
	}
	if (dr_cert_identity(own, &l->self, e) != DR_OK)
		return dr_wrap(e, "certificate %s cannot be used", t->cert);
	return own_chain_check(l, t, e);
}

static bool ctx_set(SSL_CTX *ctx, struct loaded *l)
{
	X509 *own = sk_X509_value(l->chain, 0);
	STACK_OF(X509) *rest = sk_X509_dup(l->chain);
	if (rest == NULL)
		return false;
	(void)sk_X509_shift(rest);
	bool ok = SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
		  SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
		  SSL_CTX_use_cert_and_key(ctx, own, l->key, rest, 1) == 1;
	SSL_CTX_set1_cert_store(ctx, l->store);
	sk_X509_free(rest);
	return ok;
}

static enum dr_err ctx_make(SSL_CTX **out, struct loaded *l, struct dr_error *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	if (ctx == NULL || !ctx_set(ctx, l)) {
		SSL_CTX_free(ctx);
		return dr_fail_ssl(e, DR_E_CERT, "cannot make a TLS context");
	}
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(ctx, CHAIN_MAX);
	SSL_CTX_set_verify_depth(ctx, DEPTH_MAX);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, dr_verify_cb);
	*out = ctx;
	return DR_OK;
}

enum dr_err dr_tls_reload(struct dr_tls *t, struct dr_error *e)
{
	struct loaded l = { 0 };
	SSL_CTX *ctx = NULL;
	enum dr_err rv = load(&l, t, e);
	if (rv == DR_OK)
		rv = ctx_make(&ctx, &l, e);
	if (rv == DR_OK) {
		SSL_CTX_free(t->ctx); /* living connections hold it */
		t->ctx = ctx;
		t->self = l.self;
		t->expires = dr_cert_time(X509_get0_notAfter(sk_X509_value(l.chain, 0)));
	}
	loaded_close(&l);
	ERR_clear_error(); /* of files that were read in the end: connections look at the same queue */
	return rv;
}

/* libuv writes with write(2), so a peer that went away would kill the process. */
static void sigpipe_ignore(void)
{
	struct sigaction now;
	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
}

enum dr_err dr_tls_open(struct dr_tls **out, const struct dr_tls_files *files, struct dr_error *e)
{
	sigpipe_ignore();
	struct dr_tls *t = dr_xcalloc(sizeof(*t));
	t->refs = 1;
	t->ca = dr_xstrdup(files->ca);
	t->cert = dr_xstrdup(files->cert);
	t->key = dr_xstrdup(files->key);
	dr_buf_init(&t->out, 4 * (size_t)DR_FRAME_MAX);
	enum dr_err rv = dr_tls_reload(t, e);
	if (rv != DR_OK) {
		dr_tls_close(t);
		return rv;
	}
	t->in = dr_xcalloc(DR_TLS_IN_MAX);
	t->plain = dr_xcalloc(DR_TLS_IN_MAX);
	*out = t;
	return DR_OK;
}

struct dr_tls *dr_tls_ref(struct dr_tls *t)
{
	dr_assert(t->refs > 0);
	t->refs++;
	return t;
}

void dr_tls_close(struct dr_tls *t)
{
	if (t == NULL)
		return;
	dr_assert(t->refs > 0);
	if (--t->refs > 0)
		return;
	SSL_CTX_free(t->ctx);
	dr_free(t->ca);
	dr_free(t->cert);
	dr_free(t->key);
	dr_free(t->in);
	dr_free(t->plain);
	dr_buf_close(&t->out);
	dr_free(t);
}

const struct dr_identity *dr_tls_self(const struct dr_tls *t)
{
	return &t->self;
}

int64_t dr_tls_expires(const struct dr_tls *t)
{
	return t->expires;
}
