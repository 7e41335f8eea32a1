/* pki.c -- see tls.h: makes the CA of a cluster and the certificates below it.
 *
 * Files are made with O_EXCL, so nothing that exists is ever overwritten; a half-made pair is taken back. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "net/cert.h"
#include "net/tls.h"
#include "sys/file.h"

enum {
	DAYS_MAX = 36500,
	DAY_S = 86400,
	SKEW_S = 300,     /* certificates begin this much earlier, for machines whose clock is behind */
	SERIAL_BYTES = 20 /* RFC 5280, 4.1.2.2 */
};

struct period {
	int64_t from, until; /* seconds since 1970 */
};

static enum dr_err write_whole(int fd, const char *p, size_t len, const char *path, struct dr_error *e)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dr_fail_errno(e, errno, "cannot write %s", path);
		p += n;
		len -= (size_t)n;
	}
	return fsync(fd) == 0 ? DR_OK : dr_fail_errno(e, errno, "cannot sync %s", path);
}

static enum dr_err file_make(const char *path, BIO *bytes, mode_t mode, struct dr_error *e)
{
	char *p = NULL;
	long n = BIO_get_mem_data(bytes, &p);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0 && errno == EEXIST)
		return dr_fail(
		    e, DR_E_EXISTS,
		    "%s exists already and is not overwritten: move it away or choose another name", path);
	if (fd < 0)
		return dr_fail_errno(e, errno, "cannot make %s", path);
	enum dr_err rv = DR_OK;
	/* The umask may have taken bits away; a key never gets more. */
	if (fchmod(fd, mode) != 0)
		rv = dr_fail_errno(e, errno, "cannot set the mode of %s", path);
	if (rv == DR_OK)
		rv = write_whole(fd, p, n > 0 ? (size_t)n : 0, path, e);
	(void)close(fd);
	if (rv != DR_OK)
		(void)unlink(path);
	return rv;
}

static enum dr_err folder_sync(const char *path, struct dr_error *e)
{
	char folder[DR_PATH_MAX * 2];
	(void)dr_copy_text(folder, sizeof(folder), path);
	char *slash = strrchr(folder, '/');
	if (slash == NULL)
		return dr_dir_sync(".", e);
	slash[slash == folder ? 1 : 0] = '\0';
	return dr_dir_sync(folder, e);
}

/* Write PREFIX.key and PREFIX.crt, both or none. */
static enum dr_err pair_write(const char *key_path, const char *crt_path, EVP_PKEY *key, X509 *crt,
			      struct dr_error *e)
{
	BIO *key_pem = BIO_new(BIO_s_secmem()); /* wiped when freed */
	BIO *crt_pem = BIO_new(BIO_s_mem());
	enum dr_err rv = DR_OK;
	if (key_pem == NULL || crt_pem == NULL || PEM_write_bio_X509(crt_pem, crt) != 1 ||
	    PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1) {
		rv = dr_fail_ssl(e, DR_E_INTERNAL, "cannot write %s in PEM", key_path);
		goto out;
	}
	rv = file_make(key_path, key_pem, 0600, e);
	if (rv != DR_OK)
		goto out;
	rv = file_make(crt_path, crt_pem, 0644, e);
	if (rv != DR_OK) {
		(void)unlink(key_path); /* made by us just now */
		goto out;
	}
	rv = folder_sync(crt_path, e);
out:
	BIO_free(crt_pem);
	BIO_free(key_pem);
	return rv;
}

static bool serial_set(X509 *crt)
{
	unsigned char raw[SERIAL_BYTES];
	if (RAND_bytes(raw, (int)sizeof(raw)) != 1)
		return false;
	raw[0] = (unsigned char)((raw[0] & 0x7fu) | 0x40u); /* positive, and never shorter */
	BIGNUM *n = BN_bin2bn(raw, (int)sizeof(raw), NULL);
	bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(crt)) != NULL;
	BN_free(n);
	return ok;
}

static bool name_set(X509_NAME *name, const char *common)
{
	return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"drcoord", -1, -1,
					  0) == 1 &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1,
					  0) == 1;
}

static bool ext_add(X509 *crt, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, crt, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = ext != NULL && X509_add_ext(crt, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool dates_set(X509 *crt, const struct period *p)
{
	return ASN1_TIME_set(X509_getm_notBefore(crt), (time_t)p->from) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(crt), (time_t)p->until) != NULL;
}

/* What CA and leaf have in common; the caller adds extensions and signs. */
static X509 *crt_make(const char *common, EVP_PKEY *key, const struct period *p)
{
	X509 *crt = X509_new();
	if (crt != NULL && X509_set_version(crt, X509_VERSION_3) == 1 && serial_set(crt) &&
	    dates_set(crt, p) && X509_set_pubkey(crt, key) == 1 &&
	    name_set(X509_get_subject_name(crt), common))
		return crt;
	X509_free(crt);
	return NULL;
}

static enum dr_err days_check(uint32_t days, struct dr_error *e)
{
	if (days >= 1 && days <= DAYS_MAX)
		return DR_OK;
	return dr_fail(e, DR_E_RANGE, "a certificate may live 1 to %d days, not %u", DAYS_MAX, days);
}

static struct period period_of(uint32_t days)
{
	int64_t now = (int64_t)time(NULL);
	return (struct period){ .from = now - SKEW_S, .until = now + (int64_t)days * DAY_S };
}

static bool path_join(char out[DR_PATH_MAX * 2], const char *a, const char *b, const char *c)
{
	int n = snprintf(out, DR_PATH_MAX * 2, "%s%s%s", a, b, c);
	return n > 0 && n < DR_PATH_MAX * 2;
}

enum dr_err dr_pki_init(const char *dir, const char *cluster, uint32_t days, struct dr_error *e)
{
	char common[DR_NAME_MAX + 32];
	char key_path[DR_PATH_MAX * 2];
	char crt_path[DR_PATH_MAX * 2];
	EVP_PKEY *key = NULL;
	X509 *crt = NULL;
	if (!dr_is_name(cluster))
		return dr_fail(e, DR_E_INVALID, "'%s' is no cluster name: a-z, 0-9 and -, at most %d bytes",
			       cluster, DR_NAME_MAX - 1);
	if (!path_join(key_path, dir, "/ca.key", "") || !path_join(crt_path, dir, "/ca.crt", ""))
		return dr_fail(e, DR_E_RANGE, "the folder's name is too long");
	enum dr_err rv = days_check(days, e);
	if (rv == DR_OK)
		rv = dr_dir_make(dir, e);
	if (rv != DR_OK)
		return rv;
	(void)snprintf(common, sizeof(common), "drcoord CA of %s", cluster);
	struct period p = period_of(days);
	key = EVP_EC_gen("P-256");
	crt = key != NULL ? crt_make(common, key, &p) : NULL;
	if (crt == NULL || X509_set_issuer_name(crt, X509_get_subject_name(crt)) != 1 ||
	    !ext_add(crt, crt, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
	    !ext_add(crt, crt, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !ext_add(crt, crt, NID_subject_key_identifier, "hash") || X509_sign(crt, key, EVP_sha256()) == 0)
		rv = dr_fail_ssl(e, DR_E_INTERNAL, "cannot make the CA of %s", cluster);
	if (rv == DR_OK)
		rv = pair_write(key_path, crt_path, key, crt, e);
	X509_free(crt);
	EVP_PKEY_free(key);
	return rv;
}

struct authority {
	STACK_OF(X509) * certs;
	EVP_PKEY *key;
};

static void authority_close(struct authority *a)
{
	EVP_PKEY_free(a->key);
	dr_certs_free(a->certs);
}

static enum dr_err authority_open(struct authority *a, const char *dir, struct dr_error *e)
{
	char key_path[DR_PATH_MAX * 2];
	char crt_path[DR_PATH_MAX * 2];
	if (!path_join(key_path, dir, "/ca.key", "") || !path_join(crt_path, dir, "/ca.crt", ""))
		return dr_fail(e, DR_E_RANGE, "the folder's name is too long");
	enum dr_err rv = dr_certs_read(crt_path, "CA certificate", &a->certs, e);
	if (rv == DR_OK)
		rv = dr_key_read(key_path, &a->key, e);
	if (rv == DR_E_NOT_FOUND)
		return dr_wrap(e, "no CA in %s (drcoordctl pki init makes one)", dir);
	if (rv != DR_OK)
		return rv;
	if (X509_check_private_key(sk_X509_value(a->certs, 0), a->key) != 1) {
		ERR_clear_error();
		return dr_fail(e, DR_E_CERT, "%s does not belong to %s", key_path, crt_path);
	}
	return DR_OK;
}

/* A certificate that outlives its CA would end with it anyway, but its date would lie. */
static enum dr_err period_under(struct period *p, const X509 *ca, const char *dir, struct dr_error *e)
{
	char when[DR_CERT_DATE_MAX];
	int64_t ca_until = dr_cert_time(X509_get0_notAfter(ca));
	if (p->until > ca_until)
		p->until = ca_until;
	if (ca_until > (int64_t)time(NULL) && p->until > p->from)
		return DR_OK;
	dr_cert_date(ca_until, when);
	return dr_fail(e, DR_E_CERT, "the CA in %s expired on %s: make a new one with drcoordctl pki init",
		       dir, when);
}

static enum dr_err leaf_sign(X509 *crt, const struct authority *a, const struct dr_identity *who,
			     struct dr_error *e)
{
	char uri[DR_NAME_MAX + 64];
	X509 *ca = sk_X509_value(a->certs, 0);
	(void)snprintf(uri, sizeof(uri), "URI:drcoord:%s/%s", dr_peer_kind_name(who->kind), who->name.s);
	if (X509_set_issuer_name(crt, X509_get_subject_name(ca)) != 1 ||
	    !ext_add(crt, ca, NID_basic_constraints, "critical,CA:FALSE") ||
	    !ext_add(crt, ca, NID_key_usage, "critical,digitalSignature") ||
	    !ext_add(crt, ca, NID_ext_key_usage, "serverAuth,clientAuth") ||
	    !ext_add(crt, ca, NID_subject_alt_name, uri) ||
	    !ext_add(crt, ca, NID_subject_key_identifier, "hash") ||
	    !ext_add(crt, ca, NID_authority_key_identifier, "keyid:always") ||
	    X509_sign(crt, a->key, EVP_sha256()) == 0)
		return dr_fail_ssl(e, DR_E_INTERNAL, "cannot sign the certificate of %s", who->name.s);
	return DR_OK;
}

static enum dr_err issue(const char *dir, const struct dr_identity *who, struct period p,
			 const char *out_prefix, struct dr_error *e)
{
	char common[DR_NAME_MAX + 32];
	char key_path[DR_PATH_MAX * 2];
	char crt_path[DR_PATH_MAX * 2];
	struct authority a = { 0 };
	EVP_PKEY *key = NULL;
	X509 *crt = NULL;
	if (who->kind <= DR_PEER_NONE || who->kind >= DR_PEER_KIND_COUNT || !dr_is_name(who->name.s))
		return dr_fail(e, DR_E_INVALID, "a certificate needs a kind and a name");
	if (!path_join(key_path, out_prefix, ".key", "") || !path_join(crt_path, out_prefix, ".crt", ""))
		return dr_fail(e, DR_E_RANGE, "the prefix of the files is too long");
	enum dr_err rv = authority_open(&a, dir, e);
	if (rv == DR_OK)
		rv = period_under(&p, sk_X509_value(a.certs, 0), dir, e);
	if (rv != DR_OK)
		goto out;
	dr_identity_text(who, common, sizeof(common));
	key = EVP_EC_gen("P-256");
	crt = key != NULL ? crt_make(common, key, &p) : NULL;
	rv = crt != NULL ? leaf_sign(crt, &a, who, e)
			 : dr_fail_ssl(e, DR_E_INTERNAL, "cannot make a certificate");
	if (rv == DR_OK)
		rv = pair_write(key_path, crt_path, key, crt, e);
out:
	X509_free(crt);
	EVP_PKEY_free(key);
	authority_close(&a);
	return rv;
}

enum dr_err dr_pki_issue(const char *dir, const struct dr_identity *who, uint32_t days,
			 const char *out_prefix, struct dr_error *e)
{
	enum dr_err rv = days_check(days, e);
	return rv == DR_OK ? issue(dir, who, period_of(days), out_prefix, e) : rv;
}

enum dr_err dr_pki_issue_period(const char *dir, const struct dr_identity *who, int64_t from, int64_t until,
				const char *out_prefix, struct dr_error *e)
{
	if (from >= until)
		return dr_fail(e, DR_E_RANGE, "a certificate must begin before it ends");
	return issue(dir, who, (struct period){ .from = from, .until = until }, out_prefix, e);
}
