/* cert.c -- see cert.h. */
#include "net/cert.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/parse.h"
#include "sys/file.h"

enum {
	PEM_MAX = 256 * 1024, /* bytes of a certificate or key file */
	CERTS_MAX = 64        /* certificates in one file */
};

enum dr_err dr_fail_ssl(struct dr_error *e, enum dr_err code, const char *fmt, ...)
{
	char made[DR_ERROR_MSG_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(made, sizeof(made), fmt, ap);
	va_end(ap);
	const char *why = ERR_reason_error_string(ERR_peek_last_error());
	ERR_clear_error();
	return dr_fail(e, code, "%s: %s", made, why != NULL ? why : "no reason given by OpenSSL");
}

static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
	(void)buf, (void)size, (void)writing;
	*(bool *)ctx = true;
	return -1;
}

/* Key bytes pass through here, so the copy is wiped. */
static enum dr_err pem_open(const char *path, const char *what, struct dr_buf *bytes, BIO **out,
			    struct dr_error *e)
{
	dr_buf_init(bytes, PEM_MAX);
	enum dr_err rv = dr_file_read(path, bytes, e);
	if (rv != DR_OK)
		return dr_wrap(e, "%s", what);
	*out = BIO_new_mem_buf(bytes->data, (int)bytes->len);
	return *out != NULL ? DR_OK : dr_fail_ssl(e, DR_E_INTERNAL, "%s %s", what, path);
}

static void pem_close(struct dr_buf *bytes, BIO *bio)
{
	BIO_free(bio);
	if (bytes->data != NULL)
		OPENSSL_cleanse(bytes->data, bytes->len);
	dr_buf_close(bytes);
}

enum dr_err dr_certs_read(const char *path, const char *what, STACK_OF(X509) * *out, struct dr_error *e)
{
	struct dr_buf bytes = { 0 };
	BIO *bio = NULL;
	STACK_OF(X509) *certs = sk_X509_new_null();
	enum dr_err rv = pem_open(path, what, &bytes, &bio, e);
	while (rv == DR_OK) {
		X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		if (cert == NULL)
			break;
		if (sk_X509_num(certs) >= CERTS_MAX || sk_X509_push(certs, cert) == 0) {
			X509_free(cert);
			rv = dr_fail(e, DR_E_CERT, "%s %s holds more than %d certificates", what, path,
				     CERTS_MAX);
		}
	}
	if (rv == DR_OK) {
		bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
		if (sk_X509_num(certs) == 0 || !at_end)
			rv = dr_fail_ssl(e, DR_E_CERT, "%s %s is not a PEM certificate", what, path);
	}
	ERR_clear_error();
	pem_close(&bytes, bio);
	if (rv == DR_OK)
		*out = certs;
	else
		dr_certs_free(certs);
	return rv;
}

void dr_certs_free(STACK_OF(X509) * certs)
{
	sk_X509_pop_free(certs, X509_free);
}

/* A key of root's may be readable by a group, as distributions do it; any other by its owner only. */
static enum dr_err key_is_private(const char *path, struct dr_error *e)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return dr_fail_errno(e, errno, "private key %s", path);
	unsigned refused = st.st_uid == 0 ? 037u : 077u;
	if ((st.st_mode & refused) != 0)
		return dr_fail(
		    e, DR_E_DENIED,
		    "private key %s may be read by others (mode %04o): run chmod 0600 on it, and issue "
		    "a new one if it was exposed",
		    path, (unsigned)(st.st_mode & 07777u));
	return DR_OK;
}

enum dr_err dr_key_read(const char *path, EVP_PKEY **out, struct dr_error *e)
{
	struct dr_buf bytes = { 0 };
	BIO *bio = NULL;
	bool asked = false;
	enum dr_err rv = key_is_private(path, e);
	if (rv == DR_OK)
		rv = pem_open(path, "private key", &bytes, &bio, e);
	if (rv == DR_OK) {
		*out = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
		if (*out == NULL && asked)
			rv =
			    dr_fail(e, DR_E_CERT,
				    "private key %s has a passphrase: store it without one, mode 0600", path);
		else if (*out == NULL)
			rv = dr_fail_ssl(e, DR_E_CERT, "private key %s is not a PEM key", path);
	}
	ERR_clear_error();
	pem_close(&bytes, bio);
	return rv;
}

/* "drcoord:KIND/NAME" to an identity; false when it is not of that form. */
static bool identity_parse(const char *uri, size_t len, struct dr_identity *out)
{
	static const char scheme[] = "drcoord:";
	char text[128];
	size_t skip = sizeof(scheme) - 1;
	if (len < skip || len - skip >= sizeof(text) || memchr(uri, '\0', len) != NULL)
		return false;
	memcpy(text, uri + skip, len - skip);
	text[len - skip] = '\0';
	char *slash = strchr(text, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	out->kind = dr_peer_kind_find(text);
	return out->kind != DR_PEER_NONE && dr_name_set(&out->name, slash + 1);
}

static enum dr_err identity_among(const GENERAL_NAMES *names, struct dr_identity *out, struct dr_error *e)
{
	unsigned found = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		int type = 0;
		const ASN1_IA5STRING *uri = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		if (type != GEN_URI)
			continue;
		const char *text = (const char *)ASN1_STRING_get0_data(uri);
		int len = ASN1_STRING_length(uri);
		if (len < 8 || memcmp(text, "drcoord:", 8) != 0)
			continue;
		if (!identity_parse(text, (size_t)len, out))
			return dr_fail(e, DR_E_CERT,
				       "its drcoord identity is not of the form drcoord:KIND/NAME");
		found++;
	}
	if (found == 1)
		return DR_OK;
	return dr_fail(e, DR_E_CERT,
		       found == 0 ? "it has no drcoord identity (a URI subjectAltName drcoord:KIND/NAME)"
				  : "it has more than one drcoord identity");
}

enum dr_err dr_cert_identity(const X509 *cert, struct dr_identity *out, struct dr_error *e)
{
	struct dr_identity who = { .kind = DR_PEER_NONE };
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	ERR_clear_error();
	enum dr_err rv = identity_among(names, &who, e); /* sk_num of NULL is -1: none */
	GENERAL_NAMES_free(names);
	if (rv == DR_OK)
		*out = who;
	return rv;
}

void dr_identity_text(const struct dr_identity *who, char *out, size_t cap)
{
	if (who->name.s[0] == '\0')
		(void)snprintf(out, cap, "any %s", dr_peer_kind_name(who->kind));
	else
		(void)snprintf(out, cap, "%s/%s", dr_peer_kind_name(who->kind), who->name.s);
}

int64_t dr_cert_time(const ASN1_TIME *t)
{
	struct tm tm;
	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

void dr_cert_date(int64_t when, char out[DR_CERT_DATE_MAX])
{
	struct tm tm;
	time_t t = (time_t)when;
	if (gmtime_r(&t, &tm) == NULL || strftime(out, DR_CERT_DATE_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		(void)snprintf(out, DR_CERT_DATE_MAX, "an unknown date");
}

void dr_cert_name(const X509_NAME *name, char *out, size_t cap)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long n = 0;
	if (bio != NULL &&
	    X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~(unsigned long)XN_FLAG_SPC_EQ) >= 0)
		n = BIO_get_mem_data(bio, &text);
	size_t take = n > 0 ? (size_t)n : 0;
	if (take >= cap)
		take = cap - 1;
	if (take > 0)
		memcpy(out, text, take);
	out[take] = '\0';
	BIO_free(bio);
}

static bool is_foreign(int err)
{
	switch (err) {
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		return true;
	default:
		return false;
	}
}

enum dr_err dr_cert_verdict(int err, int depth, const X509 *cert, const char *whose, const char *ca_path,
			    struct dr_error *e)
{
	char when[DR_CERT_DATE_MAX] = "an unknown date";
	char now[DR_CERT_DATE_MAX];
	char issuer[DR_CERT_TEXT_MAX] = "";
	const char *part = depth > 0 ? "the CA above " : "";
	dr_cert_date((int64_t)time(NULL), now);
	if (cert != NULL)
		dr_cert_name(X509_get_issuer_name(cert), issuer, sizeof(issuer) / 2);
	if (err == X509_V_ERR_CERT_HAS_EXPIRED && cert != NULL) {
		dr_cert_date(dr_cert_time(X509_get0_notAfter(cert)), when);
		return dr_fail(e, DR_E_CERT,
			       "%s%s expired on %s (now: %s): issue a new one with drcoordctl pki %s", part,
			       whose, when, now, depth > 0 ? "init and new certificates below it" : "issue");
	}
	if (err == X509_V_ERR_CERT_NOT_YET_VALID && cert != NULL) {
		dr_cert_date(dr_cert_time(X509_get0_notBefore(cert)), when);
		return dr_fail(e, DR_E_CERT,
			       "%s%s is valid only from %s on (now: %s): check the clocks of both machines",
			       part, whose, when, now);
	}
	if (is_foreign(err))
		return dr_fail(
		    e, DR_E_CERT,
		    "%s is not signed by the CA in %s but by [%s]: both sides need the same CA; issue it "
		    "anew with drcoordctl pki issue from the CA's folder",
		    whose, ca_path, issuer);
	return dr_fail(e, DR_E_CERT, "%s%s is not accepted: %s", part, whose,
		       X509_verify_cert_error_string(err));
}
