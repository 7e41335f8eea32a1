/* verify.c -- see verify.h. */
#include "net/verify.h"

#include <openssl/err.h>
#include <stdio.h>

#include "base/mem.h"
#include "net/cert.h"
#include "net/conn_impl.h"

/* "the certificate that 10.1.0.1:7400 showed (drcoord coordinator/c-b)": identity as claimed. */
static void whose_text(const struct dr_conn_impl *s, const X509 *leaf, char *out, size_t cap)
{
	char who[DR_WHO_MAX];
	char claim[DR_CERT_TEXT_MAX] = "without a drcoord identity";
	struct dr_identity id;
	dr_conn_who(s, who);
	if (leaf != NULL && dr_cert_identity(leaf, &id, NULL) == DR_OK)
		dr_identity_text(&id, claim, sizeof(claim));
	(void)snprintf(out, cap, "the certificate that %s showed (%s)", who, claim);
}

static bool is_wanted(const struct dr_conn_impl *s, const struct dr_identity *id)
{
	if (s->want.kind == DR_PEER_NONE)
		return true;
	return s->want.kind == id->kind &&
	       (s->want.name.s[0] == '\0' || dr_name_eq(&s->want.name, &id->name));
}

static enum dr_err leaf_check(const struct dr_conn_impl *s, const X509 *leaf, struct dr_error *e)
{
	struct dr_identity id;
	char whose[DR_ERROR_MSG_MAX / 2];
	char wanted[DR_CERT_TEXT_MAX];
	whose_text(s, leaf, whose, sizeof(whose));
	if (dr_cert_identity(leaf, &id, e) != DR_OK)
		return dr_wrap(e, "%s cannot be used", whose);
	if (is_wanted(s, &id))
		return DR_OK;
	dr_identity_text(&s->want, wanted, sizeof(wanted));
	return dr_fail(
	    e, DR_E_CERT,
	    "%s is not %s, who was expected there: correct the name or address in the configuration, or "
	    "give that machine its own certificate",
	    whose, wanted);
}

int dr_verify_cb(int ok, X509_STORE_CTX *ctx)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct dr_conn_impl *s = SSL_get_app_data(ssl);
	int depth = X509_STORE_CTX_get_error_depth(ctx);
	X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
	struct dr_error e = { 0 };
	if (ok == 1 && (depth > 0 || leaf_check(s, leaf, &e) == DR_OK))
		return 1;
	if (ok == 1) {
		X509_STORE_CTX_set_error(ctx,
					 X509_V_ERR_HOSTNAME_MISMATCH); /* the peer gets bad_certificate */
	} else {
		char whose[DR_ERROR_MSG_MAX / 2];
		whose_text(s, leaf, whose, sizeof(whose));
		(void)dr_cert_verdict(X509_STORE_CTX_get_error(ctx), depth,
				      X509_STORE_CTX_get_current_cert(ctx), whose, s->tls->ca, &e);
	}
	if (s->refused == NULL) {
		s->refused = dr_xcalloc(sizeof(*s->refused));
		*s->refused = e;
	}
	return 0;
}

/* What the peer may have meant by an alert about our certificate; NULL for alerts about other things. */
static const char *alert_about_us(int alert)
{
	switch (alert) {
	case SSL_AD_BAD_CERTIFICATE:
		return "it names somebody else than they expect here, or is not valid yet by their clock; "
		       "their log says which";
	case SSL_AD_CERTIFICATE_EXPIRED:
		return "it has expired by their clock: issue a new one with drcoordctl pki issue, or check "
		       "that clock";
	case SSL_AD_CERTIFICATE_REVOKED:
		return "it was revoked";
	case SSL_AD_UNKNOWN_CA:
		return "it is not signed by the CA they trust: both sides need certificates of the same CA";
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_UNKNOWN:
		return "their log says why";
	case SSL_AD_CERTIFICATE_REQUIRED:
		return "they want one and got none";
	default:
		return NULL;
	}
}

static enum dr_err alert_why(const struct dr_conn_impl *s, int alert, const char *who, struct dr_error *e)
{
	char self[DR_CERT_TEXT_MAX];
	char when[DR_CERT_DATE_MAX];
	const char *about_us = alert_about_us(alert);
	if (about_us == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "%s ended TLS: %s", who, SSL_alert_desc_string_long(alert));
	dr_identity_text(&s->tls->self, self, sizeof(self));
	dr_cert_date(s->tls->expires, when);
	return dr_fail(e, DR_E_CERT, "%s refused our certificate %s (%s, ends %s): %s", who, s->tls->cert,
		       self, when, about_us);
}

enum dr_err dr_tls_why(const struct dr_conn_impl *s, struct dr_error *e)
{
	char who[DR_WHO_MAX];
	unsigned long err = ERR_peek_error();
	int reason = ERR_GET_REASON(err);
	const char *text = ERR_reason_error_string(err);
	ERR_clear_error();
	dr_conn_who(s, who);
	if (s->refused != NULL) {
		if (e != NULL)
			*e = *s->refused;
		return s->refused->code;
	}
	if (ERR_GET_LIB(err) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
		return alert_why(s, reason - SSL_AD_REASON_OFFSET, who, e);
	if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return dr_fail(e, DR_E_CERT,
			       "%s showed no certificate: clients need one too (drcoordctl pki issue)", who);
	if (reason == SSL_R_UNSUPPORTED_PROTOCOL)
		return dr_fail(e, DR_E_PROTOCOL, "%s offers only TLS older than 1.3", who);
	if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
	    reason == SSL_R_PACKET_LENGTH_TOO_LONG)
		return dr_fail(e, DR_E_PROTOCOL, "%s does not speak TLS (is it a drcoord port?)", who);
	return dr_fail(e, DR_E_PROTOCOL, "TLS with %s failed: %s", who,
		       text != NULL ? text : "unknown reason");
}
