/* certificate.c -- what is read from a peer's certificate before anybody vouches for it. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>

#include "fuzz.h"
#include "net/cert.h"
#include "net/tls.h"

enum { DIVIDER = 0xff };

static void words(const X509 *cert)
{
	char text[DR_CERT_TEXT_MAX];
	char date[DR_CERT_DATE_MAX];
	struct dr_error e = { 0 };
	dr_cert_name(X509_get_subject_name(cert), text, sizeof(text));
	for (const char *c = text; *c != '\0'; c++)
		FUZZ_CHECK(*c >= ' ' && *c <= '~');
	dr_cert_date(dr_cert_time(X509_get0_notAfter(cert)), date);
	FUZZ_CHECK(date[0] != '\0');
	for (int err = X509_V_ERR_UNSPECIFIED; err <= X509_V_ERR_EC_KEY_EXPLICIT_PARAMS; err++) {
		enum dr_err rv = dr_cert_verdict(err, err % 2, cert, "the certificate", "ca.crt", &e);
		fuzz_refused(rv, &e);
	}
}

void fuzz_certificate(const uint8_t *p, size_t n)
{
	const unsigned char *at = p;
	struct dr_identity who = { .kind = DR_PEER_NONE };
	char text[DR_CERT_TEXT_MAX];
	struct dr_error e = { 0 };
	X509 *cert = d2i_X509(NULL, &at, (long)n);
	if (cert != NULL) {
		enum dr_err rv = dr_cert_identity(cert, &who, &e);
		if (rv == DR_OK) {
			FUZZ_CHECK(who.kind > DR_PEER_NONE && who.kind < DR_PEER_KIND_COUNT &&
				   who.name.s[0] != '\0');
			dr_identity_text(&who, text, sizeof(text));
			FUZZ_CHECK(strstr(text, who.name.s) != NULL);
		} else {
			fuzz_refused(rv, &e);
			FUZZ_CHECK(who.kind == DR_PEER_NONE);
		}
		words(cert);
	}
	X509_free(cert);
	ERR_clear_error();
}

/* Three files in one: the CA's, the chain and the key, divided by a byte that no PEM file has. */
void fuzz_pem(const uint8_t *p, size_t n)
{
	static const char *const names[] = { "pem.ca", "pem.crt", "pem.key" };
	char path[3][256];
	struct dr_tls *tls = NULL;
	struct dr_error e = { 0 };
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t *end = n > 0 ? memchr(p, DIVIDER, n) : NULL;
		size_t part = end != NULL && i < 2 ? (size_t)(end - p) : n;
		fuzz_write(names[i], p, part);
		(void)snprintf(path[i], sizeof(path[i]), "%s", fuzz_path(names[i]));
		FUZZ_CHECK(chmod(path[i], 0600) == 0);
		p += end != NULL && i < 2 ? part + 1 : part;
		n -= end != NULL && i < 2 ? part + 1 : part;
	}
	struct dr_tls_files files = { path[0], path[1], path[2] };
	enum dr_err rv = dr_tls_open(&tls, &files, &e);
	if (rv != DR_OK) {
		fuzz_refused(rv, &e);
	} else {
		FUZZ_CHECK(dr_tls_self(tls)->kind > DR_PEER_NONE && dr_tls_self(tls)->name.s[0] != '\0');
		FUZZ_CHECK(dr_tls_reload(tls, &e) == DR_OK);
		dr_tls_close(tls);
	}
	FUZZ_CHECK(ERR_peek_error() == 0);
}
