/* fixture_webhook.c -- the adapter of webhooks under contract: a stand-in for the receiver (tests/lab/receiver.py), over real
 * TLS with a certificate made by openssl.  It answers the first question about a key with pending. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>

#include "base/parse.h"
#include "contract.h"

static struct rig_dir dir;
static struct dr_address at = { .host = "127.0.0.1" };
static pid_t pid;

static void make_certificate(void)
{
	char path[128], cert[128], key[128];
	assert_true(rig_find("openssl", path, sizeof(path)));
	(void)snprintf(cert, sizeof(cert), "%s/cert", dir.path);
	(void)snprintf(key, sizeof(key), "%s/key", dir.path);
	char *const argv[] = { path, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
			       "2", "-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
			       cert, NULL };
	assert_int_equal(rig_command(&dir, "log", NULL, argv), 0);
}

static void url_of(char *out, size_t cap, const struct dr_address *to)
{
	(void)snprintf(out, cap, "https://%s:%u/hook", to->host, to->port);
}

static bool start(struct contract_step *steps, unsigned *n)
{
	char option[5][160];
	static const char *const names[] = { "cert", "key", "secret", "taken" };
	rig_dir_make(&dir, NULL);
	make_certificate();
	rig_file(&dir, "secret", "shared by the two\n");
	at.port = rig_free_port();
	(void)snprintf(option[0], sizeof(option[0]), "127.0.0.1:%u", at.port);
	for (unsigned i = 0; i < 4; i++)
		(void)snprintf(option[i + 1], sizeof(option[0]), "%s/%s", dir.path, names[i]);
	char *const argv[] = { "/usr/bin/python3", RECEIVER, "--at", option[0], "--cert", option[1], "--key", option[2], "--secret",
			       option[3], "--log", option[4], "--pending", "1", NULL };
	pid = rig_spawn(&dir, "log", NULL, argv);
	rig_wait_port(at.port);
	*n = 2;
	for (unsigned i = 0; i < *n; i++) {
		struct dr_target *t = &steps[i].target;
		t->route.kind = DR_ROUTE_WEBHOOK;
		assert_true(dr_name_set(&t->route.name, "hook") && dr_name_set(&t->service, "orders"));
		assert_true(dr_name_set(&t->cluster, "demo"));
		url_of(t->route.url, sizeof(t->route.url), &at);
		(void)dr_copy_text(t->route.hmac_secret_file, DR_PATH_MAX, option[3]);
		(void)dr_copy_text(t->route.ca_file, DR_PATH_MAX, option[1]);
		steps[i].at = at;
		steps[i].pid = pid;
		steps[i].deadline_ms = 5000;
		steps[i].kind = i == 0 ? DR_OP_ROUTED : DR_OP_OBSERVED;
		steps[i].args.epoch = 3;
		assert_true(dr_name_set(&steps[i].args.primary, "pg-b"));
		steps[i].args.primary_at.port = 5432;
		(void)dr_copy_text(steps[i].args.primary_at.host, DR_HOST_MAX, "127.0.0.2");
	}
	return true;
}

static void stop(void)
{
	rig_stop(&pid, SIGKILL);
	rig_dir_remove(&dir);
}

static void aim(struct dr_target *t, const struct dr_address *to)
{
	url_of(t->route.url, sizeof(t->route.url), to);
}

const struct contract_fixture contract_webhook = { .start = start, .stop = stop, .aim = aim };
