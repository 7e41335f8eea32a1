/* test_net_pki.c -- certificates: made, loaded, refused with words that help, exchanged while in use. */
#include "net_fixture.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sys/file.h"

static struct world w;

static int setup(void **state)
{
	(void)state;
	world_open(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static void slurp(const char *path, struct dr_buf *out)
{
	struct dr_error e;
	dr_buf_init(out, 1 << 16);
	assert_int_equal(dr_file_read(path, out, &e), DR_OK);
}

static void spill(const char *path, const struct dr_buf *b, mode_t mode)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(b->data, 1, b->len, f), b->len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static unsigned mode_of(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777u;
}

static X509 *cert_of(const char *path)
{
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	X509 *c = PEM_read_X509(f, NULL, NULL, NULL);
	(void)fclose(f);
	assert_non_null(c);
	return c;
}

/* dr_tls_open() on three names; the message, or "" when it worked. */
static enum dr_err try_open(const char *ca, const char *crt, const char *key, struct dr_error *e)
{
	char pa[128], pc[128], pk[128];
	struct dr_tls *t = NULL;
	path_of(&w, ca, "", pa);
	path_of(&w, crt, "", pc);
	path_of(&w, key, "", pk);
	struct dr_tls_files files = { .ca = pa, .cert = pc, .key = pk };
	enum dr_err rv = dr_tls_open(&t, &files, e);
	if (rv == DR_OK)
		dr_tls_close(t);
	return rv;
}

static void issue_period(const char *name, int64_t from, int64_t until_s)
{
	struct dr_identity who = { .kind = DR_PEER_AGENT };
	struct dr_error e = { 0 };
	char prefix[128];
	assert_true(dr_name_set(&who.name, name));
	path_of(&w, name, "", prefix);
	if (dr_pki_issue_period(w.dir, &who, from, until_s, prefix, &e) != DR_OK)
		fail_msg("%s", e.msg);
}

static void files_and_modes(void **state)
{
	(void)state;
	char path[128], path2[128];
	mode_t old = umask(0);
	world_issue(&w, DR_PEER_ADMIN, "root");
	(void)umask(old);
	path_of(&w, "ca", ".key", path);
	assert_int_equal(mode_of(path), 0600);
	path_of(&w, "root", ".key", path);
	assert_int_equal(mode_of(path), 0600);
	path_of(&w, "root", ".crt", path);
	assert_int_equal(mode_of(path), 0644);
	path_of(&w, "c-a", ".crt", path2);
	X509 *a = cert_of(path);
	X509 *b = cert_of(path2);
	assert_true(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)) != 0);
	assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(a)), 20);
	assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(a)), 256);
	assert_true((X509_get_extended_key_usage(a) & (XKU_SSL_CLIENT | XKU_SSL_SERVER)) ==
		    (XKU_SSL_CLIENT | XKU_SSL_SERVER));
	assert_int_equal(X509_check_ca(a), 0);
	X509_free(a);
	X509_free(b);
}

static void nothing_is_overwritten(void **state)
{
	(void)state;
	char key[128], crt[128], prefix[128];
	struct dr_buf before, after;
	struct dr_error e = { 0 };
	struct dr_identity who = { .kind = DR_PEER_AGENT };
	assert_true(dr_name_set(&who.name, "ag"));
	path_of(&w, "ca", ".key", key);
	slurp(key, &before);
	assert_int_equal(dr_pki_init(w.dir, "demo", 100, &e), DR_E_EXISTS);
	assert_has(e.msg, "ca.key exists already and is not overwritten");
	slurp(key, &after);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, before.len);
	dr_buf_close(&before);
	dr_buf_close(&after);
	path_of(&w, "ag", "", prefix);
	assert_int_equal(dr_pki_issue(w.dir, &who, 10, prefix, &e), DR_E_EXISTS);
	/* Only the certificate exists: the key made first is taken back. */
	path_of(&w, "ag", ".key", key);
	path_of(&w, "ag", ".crt", crt);
	assert_int_equal(unlink(key), 0);
	assert_int_equal(dr_pki_issue(w.dir, &who, 10, prefix, &e), DR_E_EXISTS);
	assert_has(e.msg, "ag.crt exists already");
	assert_int_equal(access(key, F_OK), -1);
	assert_int_equal(access(crt, F_OK), 0);
}

static void bad_requests(void **state)
{
	(void)state;
	struct dr_error e = { 0 };
	struct dr_identity who = { .kind = DR_PEER_AGENT };
	char prefix[128], dir[128];
	path_of(&w, "x", "", prefix);
	path_of(&w, "no-such-ca", "", dir);
	assert_int_equal(dr_pki_issue(w.dir, &who, 10, prefix, &e), DR_E_INVALID);
	(void)snprintf(who.name.s, sizeof(who.name.s), "a,URI:x");
	assert_int_equal(dr_pki_issue(w.dir, &who, 10, prefix, &e), DR_E_INVALID);
	assert_true(dr_name_set(&who.name, "x"));
	assert_int_equal(dr_pki_issue(w.dir, &who, 0, prefix, &e), DR_E_RANGE);
	assert_int_equal(dr_pki_issue(w.dir, &who, 100000, prefix, &e), DR_E_RANGE);
	assert_int_equal(dr_pki_issue(dir, &who, 10, prefix, &e), DR_E_NOT_FOUND);
	assert_has(e.msg, "drcoordctl pki init");
	assert_int_equal(dr_pki_init(dir, "No Name", 10, &e), DR_E_INVALID);
	who.kind = DR_PEER_NONE;
	assert_int_equal(dr_pki_issue(w.dir, &who, 10, prefix, &e), DR_E_INVALID);
}

static void never_outlives_the_ca(void **state)
{
	(void)state;
	char path[128];
	issue_period("long", time(NULL), time(NULL) + 86400 * 5000LL);
	path_of(&w, "ca", ".crt", path);
	X509 *ca = cert_of(path);
	path_of(&w, "long", ".crt", path);
	X509 *leaf = cert_of(path);
	assert_int_equal(ASN1_TIME_compare(X509_get0_notAfter(ca), X509_get0_notAfter(leaf)), 0);
	X509_free(ca);
	X509_free(leaf);
	struct dr_tls *t = world_tls(&w, "long");
	assert_true(dr_tls_expires(t) > time(NULL) + 86400 * 99);
	assert_true(dr_tls_expires(t) <= time(NULL) + 86400 * 100);
	dr_tls_close(t);
}

/* A certificate of our CA with the given subjectAltName, or none. */
static void odd_cert(const char *name, const char *san)
{
	char path[128];
	path_of(&w, "ca", ".crt", path);
	X509 *ca = cert_of(path);
	path_of(&w, "ca", ".key", path);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	EVP_PKEY *ca_key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	(void)fclose(f);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *c = X509_new();
	assert_int_equal(X509_set_version(c, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(c), 4711), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(c), -10));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(c), 1000));
	assert_int_equal(X509_set_pubkey(c, key), 1);
	assert_int_equal(X509_set_issuer_name(c, X509_get_subject_name(ca)), 1);
	if (san != NULL) {
		X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
		assert_non_null(x);
		assert_int_equal(X509_add_ext(c, x, -1), 1);
		X509_EXTENSION_free(x);
	}
	assert_true(X509_sign(c, ca_key, EVP_sha256()) > 0);
	path_of(&w, name, ".crt", path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, c), 1);
	(void)fclose(f);
	path_of(&w, name, ".key", path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	(void)fclose(f);
	X509_free(c);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
}

static void identities(void **state)
{
	(void)state;
	static const struct {
		const char *san;
		const char *says; /* NULL: accepted */
	} rows[] = {
		{ NULL, "no drcoord identity" },
		{ "DNS:c-a", "no drcoord identity" },
		{ "URI:https://drcoord:agent/x", "no drcoord identity" },
		{ "URI:drcoord:agent", "not of the form" },
		{ "URI:drcoord:boss/x", "not of the form" },
		{ "URI:drcoord:none/x", "not of the form" },
		{ "URI:drcoord:agent/", "not of the form" },
		{ "URI:drcoord:agent/UPPER", "not of the form" },
		{ "URI:drcoord:agent/x/y", "not of the form" },
		{ "URI:drcoord:agent/x,URI:drcoord:admin/x", "more than one" },
		{ "URI:drcoord:agent/x,URI:drcoord:agent/x", "more than one" },
		{ "DNS:host,URI:drcoord:agent/x,URI:spiffe://a/b", NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dr_error e = { 0 };
		odd_cert("odd", rows[i].san);
		enum dr_err rv = try_open("ca.crt", "odd.crt", "odd.key", &e);
		if (rows[i].says == NULL) {
			assert_int_equal(rv, DR_OK);
			continue;
		}
		assert_int_equal(rv, DR_E_CERT);
		assert_has(e.msg, "odd.crt cannot be used");
		assert_has(e.msg, rows[i].says);
	}
}

static void own_files_that_are_wrong(void **state)
{
	(void)state;
	struct dr_error e = { 0 };
	char path[128];
	int64_t now = time(NULL);
	struct dr_buf b;
	assert_int_equal(try_open("ca.crt", "c-a.crt", "c-a.key", &e), DR_OK);
	assert_int_equal(try_open("ca.crt", "c-a.crt", "c-b.key", &e), DR_E_CERT);
	assert_has(e.msg, "c-b.key does not belong to certificate");
	assert_int_equal(try_open("c-b.crt", "c-a.crt", "c-a.key", &e), DR_E_CERT);
	assert_has(e.msg, "is not a CA's");
	assert_int_equal(try_open("gone.crt", "c-a.crt", "c-a.key", &e), DR_E_NOT_FOUND);
	assert_has(e.msg, "gone.crt");
	assert_int_equal(try_open("ca.crt", "c-a.key", "c-a.key", &e), DR_E_CERT);
	assert_has(e.msg, "is not a PEM certificate");
	assert_int_equal(try_open("ca.crt", "c-a.crt", "c-a.crt", &e), DR_E_DENIED); /* 0644 */
	path_of(&w, "c-a", ".key", path);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(try_open("ca.crt", "c-a.crt", "c-a.key", &e), DR_E_DENIED);
	assert_has(e.msg, "chmod 0600");
	issue_period("old", now - 5000, now - 1000);
	assert_int_equal(try_open("ca.crt", "old.crt", "old.key", &e), DR_E_CERT);
	assert_has(e.msg, "old.crt expired on 20");
	assert_has(e.msg, "UTC");
	assert_has(e.msg, "drcoordctl pki issue");
	issue_period("young", now + 5000, now + 9000);
	assert_int_equal(try_open("ca.crt", "young.crt", "young.key", &e), DR_E_CERT);
	assert_has(e.msg, "valid only from 20");
	/* Cut in the middle. */
	path_of(&w, "c-b", ".crt", path);
	slurp(path, &b);
	b.len /= 2;
	spill(path, &b, 0644);
	dr_buf_close(&b);
	assert_int_equal(try_open("ca.crt", "c-b.crt", "c-b.key", &e), DR_E_CERT);
	assert_has(e.msg, "c-b.crt is not a PEM certificate");
}

static void passphrase_is_refused(void **state)
{
	(void)state;
	struct dr_error e = { 0 };
	char path[128];
	EVP_PKEY *key = EVP_EC_gen("P-256");
	path_of(&w, "secret", ".key", path);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(PEM_write_PKCS8PrivateKey(f, key, EVP_aes_256_cbc(), "pw", 2, NULL, NULL), 1);
	(void)fclose(f);
	EVP_PKEY_free(key);
	assert_int_equal(try_open("ca.crt", "c-a.crt", "secret.key", &e), DR_E_CERT);
	assert_has(e.msg, "has a passphrase");
}

/* Connect `client` to a listener of `server`, wanting kind/name; returns when both sides have ended. */
static void meet(struct dr_tls *server, struct dr_tls *client, const char *want, struct end *e)
{
	*e = (struct end){ 0 };
	w.accepted = 0;
	world_listen(&w, server, "127.0.0.1", 2000, 8);
	end_connect(e, &w, client, DR_PEER_COORDINATOR, want, 2000);
	until(&w, &e->closed);
	until(&w, &w.in[0].closed);
	dr_buf_close(&e->got);
	world_stop_listening(&w);
}

static void wrong_name(void **state)
{
	(void)state;
	struct dr_tls *t = world_tls(&w, "c-a");
	struct dr_tls *ag = world_tls(&w, "ag");
	struct end e;
	meet(t, t, "c-b", &e);
	assert_int_equal(e.why.code, DR_E_CERT);
	assert_false(e.open);
	assert_has(e.why.msg, "the certificate that 127.0.0.1:");
	assert_has(e.why.msg, "(coordinator/c-a) is not coordinator/c-b, who was expected there");
	assert_int_equal(w.in[0].why.code, DR_E_CERT);
	assert_false(w.in[0].open);
	assert_has(w.in[0].why.msg, "refused our certificate");
	assert_has(w.in[0].why.msg, "c-a.crt (coordinator/c-a, ends 20");
	assert_has(w.in[0].why.msg, "names somebody else");
	meet(ag, t, NULL, &e); /* an agent where any coordinator is wanted */
	assert_int_equal(e.why.code, DR_E_CERT);
	assert_has(e.why.msg, "(agent/ag) is not any coordinator");
	dr_tls_close(t);
	dr_tls_close(ag);
}

/* The client trusts the server's CA too, so that it is the server who refuses. */
static void foreign_ca(void **state)
{
	(void)state;
	struct dr_tls *server = world_tls(&w, "c-a");
	struct dr_tls *foreign, *both;
	struct world other;
	struct dr_buf ca1, ca2;
	struct end e;
	char path[128];
	world_open(&other);
	foreign = world_tls(&other, "c-b");
	meet(server, foreign, NULL, &e);
	assert_int_equal(e.why.code, DR_E_CERT);
	assert_has(e.why.msg, "(coordinator/c-a) is not signed by the CA in /");
	assert_has(e.why.msg, "CN=drcoord CA of demo");
	assert_int_equal(w.in[0].why.code, DR_E_CERT);
	assert_has(w.in[0].why.msg, "not signed by the CA they trust");
	path_of(&w, "ca", ".crt", path);
	slurp(path, &ca1);
	path_of(&other, "ca", ".crt", path);
	slurp(path, &ca2);
	dr_buf_put(&ca2, ca1.data, ca1.len);
	spill(path, &ca2, 0644);
	dr_buf_close(&ca1);
	dr_buf_close(&ca2);
	both = world_tls(&other, "c-b");
	meet(server, both, NULL, &e);
	assert_int_equal(w.in[0].why.code, DR_E_CERT);
	assert_false(w.in[0].open);
	assert_has(w.in[0].why.msg, "(coordinator/c-b) is not signed by the CA in");
	assert_int_equal(e.why.code, DR_E_CERT);
	assert_has(e.why.msg, "refused our certificate");
	assert_has(e.why.msg, "not signed by the CA they trust");
	dr_tls_close(server);
	dr_tls_close(foreign);
	dr_tls_close(both);
	world_close(&other);
}

/* A certificate that was good when it was loaded and has ended since. */
static void expired_while_in_use(void **state)
{
	(void)state;
	struct end e;
	struct dr_tls *server = world_tls(&w, "c-a");
	issue_period("brief", time(NULL) - 100, time(NULL) + 2);
	struct dr_tls *brief = world_tls(&w, "brief");
	while (time(NULL) <= dr_tls_expires(brief))
		spin(&w, 50);
	meet(server, brief, NULL, &e);
	assert_int_equal(w.in[0].why.code, DR_E_CERT);
	assert_has(w.in[0].why.msg, "(agent/brief) expired on 20");
	assert_has(w.in[0].why.msg, "127.0.0.1:");
	assert_int_equal(e.why.code, DR_E_CERT);
	assert_has(e.why.msg, "brief.crt (agent/brief, ends 20");
	assert_has(e.why.msg, "it has expired by their clock");
	dr_tls_close(server);
	dr_tls_close(brief);
}

static void reload_changes_new_connections_only(void **state)
{
	(void)state;
	char from[128], to[128];
	struct dr_buf b;
	struct dr_error err = { 0 };
	struct dr_tls *server = world_tls(&w, "c-a");
	struct dr_tls *client = world_tls(&w, "ag");
	struct end one = { 0 }, two = { 0 };
	w.accept_echo = true;
	world_listen(&w, server, "127.0.0.1", 2000, 8);
	end_connect(&one, &w, client, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &one.open);
	/* A half-written file: refused, the old one stays. */
	path_of(&w, "c-b", ".crt", from);
	path_of(&w, "c-a", ".crt", to);
	slurp(from, &b);
	spill(to, &b, 0644);
	dr_buf_close(&b);
	assert_int_equal(dr_tls_reload(server, &err), DR_E_CERT);
	assert_has(err.msg, "does not belong");
	assert_true(dr_name_is(&dr_tls_self(server)->name, "c-a"));
	path_of(&w, "c-b", ".key", from);
	path_of(&w, "c-a", ".key", to);
	slurp(from, &b);
	spill(to, &b, 0600);
	dr_buf_close(&b);
	assert_int_equal(dr_tls_reload(server, &err), DR_OK);
	assert_true(dr_name_is(&dr_tls_self(server)->name, "c-b"));
	end_connect(&two, &w, client, DR_PEER_COORDINATOR, "c-b", 2000);
	until(&w, &two.open);
	assert_int_equal(dr_conn_send(&one.c, 3, "old", 3), DR_OK);
	until_frames(&w, &one, 1);
	dr_tls_close(server); /* connections and listener hold it */
	dr_tls_close(client);
	assert_int_equal(dr_conn_send(&two.c, 3, "new", 3), DR_OK);
	until_frames(&w, &two, 1);
	dr_conn_close(&one.c, 1000);
	dr_conn_close(&two.c, 1000);
	until(&w, &one.closed);
	until(&w, &two.closed);
	dr_buf_close(&one.got);
	dr_buf_close(&two.got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(files_and_modes),
		T(nothing_is_overwritten),
		T(bad_requests),
		T(never_outlives_the_ca),
		T(identities),
		T(own_files_that_are_wrong),
		T(passphrase_is_refused),
		T(wrong_name),
		T(foreign_ca),
		T(expired_while_in_use),
		T(reload_changes_new_connections_only),
#undef T
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
