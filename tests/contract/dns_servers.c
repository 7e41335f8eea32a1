/* dns_servers.c -- see dns_servers.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dns_servers.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"

static const char zone_file[] = "$TTL 60\n"
				"@ IN SOA ns.demo.example. admin.demo.example. 1 3600 600 86400 60\n"
				"@ IN NS ns.demo.example.\n"
				"ns IN A 127.0.0.1\n"
				"alias IN CNAME ns.demo.example.\n";

static const char named_conf[] =
    "options { directory \"%s\"; pid-file none; session-keyfile none; managed-keys-directory \"%s\";\n"
    "  listen-on port %u { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; dnssec-validation no;\n"
    "  notify no; allow-transfer { none; }; };\n"
    "controls { };\n"
    "key \"" DNS_KEY "\" { algorithm hmac-sha256; secret \"" DNS_SECRET "\"; };\n"
    "key \"" DNS_KEY_512 "\" { algorithm hmac-sha512; secret \"" DNS_SECRET_512 "\"; };\n"
    "key \"" DNS_KEY_IDLE "\" { algorithm hmac-sha256; secret \"" DNS_SECRET_IDLE "\"; };\n"
    "zone \"demo.example\" { type primary; file \"demo.zone\"; update-policy {\n"
    "  grant " DNS_KEY " zonesub A AAAA TXT;\n"
    "  grant " DNS_KEY_512 " name sha512.demo.example. A AAAA;\n"
    "  grant " DNS_KEY_512 " name _drcoord.sha512.demo.example. TXT; }; };\n";

static const char knot_conf[] =
    "server:\n    rundir: %s\n    listen: 127.0.0.1@%u\n    udp-workers: 1\n    tcp-workers: 1\n"
    "    background-workers: 1\n"
    "log:\n  - target: stderr\n    any: info\n"
    "database:\n    storage: %s\n    journal-db-max-size: 64M\n"
    "key:\n"
    "  - id: " DNS_KEY "\n    algorithm: hmac-sha256\n    secret: " DNS_SECRET "\n"
    "  - id: " DNS_KEY_512 "\n    algorithm: hmac-sha512\n    secret: " DNS_SECRET_512 "\n"
    "  - id: " DNS_KEY_IDLE "\n    algorithm: hmac-sha256\n    secret: " DNS_SECRET_IDLE "\n"
    "acl:\n  - id: update\n    key: " DNS_KEY "\n    action: update\n"
    "  - id: tight\n    key: " DNS_KEY_512 "\n    action: update\n    update-type: [ A, AAAA, TXT ]\n"
    "    update-owner: name\n    update-owner-match: equal\n"
    "    update-owner-name: [ sha512.demo.example., _drcoord.sha512.demo.example. ]\n"
    "zone:\n  - domain: demo.example\n    storage: %s\n    file: demo.zone\n    acl: [ update, tight ]\n";

static void make_place(struct dns_server *d, const char *user)
{
	memset(d, 0, sizeof(*d));
	rig_dir_make(&d->dir, user);
	rig_file(&d->dir, "demo.zone", "%s", zone_file);
	(void)dr_copy_text(d->at.host, sizeof(d->at.host), "127.0.0.1");
	d->at.port = rig_free_port();
}

/* Listening is not yet serving: the zone is loaded when its SOA is there. */
static void wait_serving(struct dns_server *d)
{
	char soa[256] = "";
	rig_wait_port(d->at.port);
	for (uint64_t end = rig_now_ms() + 10000; strstr(soa, "admin.demo") == NULL; usleep(10000)) {
		if (rig_now_ms() > end)
			fail_msg("the server in %s does not serve its zone", d->dir.path);
		dns_dig(&d->dir, &d->at, DNS_ZONE, "SOA", soa, sizeof(soa));
	}
}

bool dns_named_start(struct dns_server *d)
{
	char program[128], conf[128];
	memset(d, 0, sizeof(*d));
	if (!rig_find("named", program, sizeof(program))) {
		printf("named is not installed (package bind9)\n");
		return false;
	}
	make_place(d, "bind");
	rig_file(&d->dir, "named.conf", named_conf, d->dir.path, d->dir.path, d->at.port);
	(void)snprintf(conf, sizeof(conf), "%s/named.conf", d->dir.path);
	char *const argv[] = { program, "-f", "-n", "1", "-c", conf, NULL };
	d->pid = rig_spawn(&d->dir, "log", "bind", argv);
	wait_serving(d);
	return true;
}

bool dns_knotd_start(struct dns_server *d)
{
	char program[128], conf[128];
	memset(d, 0, sizeof(*d));
	if (!rig_find("knotd", program, sizeof(program))) {
		printf("knotd is not installed (package knot)\n");
		return false;
	}
	make_place(d, "knot");
	rig_file(&d->dir, "knot.conf", knot_conf, d->dir.path, d->at.port, d->dir.path, d->dir.path);
	(void)snprintf(conf, sizeof(conf), "%s/knot.conf", d->dir.path);
	char *const argv[] = { program, "-c", conf, NULL };
	d->pid = rig_spawn(&d->dir, "log", "knot", argv);
	wait_serving(d);
	return true;
}

void dns_server_stop(struct dns_server *d)
{
	rig_stop(&d->pid, SIGKILL);
	rig_dir_remove(&d->dir);
}

void dns_write_secrets(const struct rig_dir *d)
{
	rig_file(d, "secret", DNS_SECRET "\n");
	rig_file(d, "secret512",
		 "key \"" DNS_KEY_512 "\" {\n\talgorithm hmac-sha512;\n\tsecret \"" DNS_SECRET_512
		 "\";\n};\n");
	rig_file(d, "secret-idle", DNS_SECRET_IDLE "\n");
}

void dns_target(struct dr_target *t, const struct rig_dir *d, const char *record, const struct dr_address *at,
		unsigned servers)
{
	struct dr_spec_route *r = &t->route;
	memset(t, 0, sizeof(*t));
	assert_true(dr_name_set(&t->service, "orders"));
	assert_true(dr_name_set(&r->name, "dns"));
	r->kind = DR_ROUTE_DNS_RFC2136;
	(void)dr_copy_text(r->record, sizeof(r->record), record);
	(void)dr_copy_text(r->zone, sizeof(r->zone), DNS_ZONE);
	r->ttl_s = 5;
	(void)dr_copy_text(r->tsig_key, sizeof(r->tsig_key), DNS_KEY);
	r->tsig_algorithm = DR_TSIG_HMAC_SHA256;
	(void)snprintf(r->tsig_secret_file, sizeof(r->tsig_secret_file), "%s/secret", d->path);
	r->servers = servers;
	for (unsigned i = 0; i < servers; i++)
		r->server[i] = at[i];
}

static void read_all(const struct rig_dir *d, const char *name, char *out, size_t cap)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", d->path, name);
	out[0] = '\0';
	FILE *f = fopen(path, "r");
	if (f == NULL)
		return;
	size_t n = fread(out, 1, cap - 1, f);
	(void)fclose(f);
	while (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
	for (size_t i = 0; i < n; i++)
		out[i] = out[i] == '\n' ? ' ' : out[i];
}

void dns_dig(const struct rig_dir *d, const struct dr_address *at, const char *name, const char *type,
	     char *out, size_t cap)
{
	char program[128], server[DR_HOST_MAX + 1], port[8], path[256];
	assert_true(rig_find("dig", program, sizeof(program)));
	(void)snprintf(server, sizeof(server), "@%s", at->host);
	(void)snprintf(port, sizeof(port), "%u", at->port);
	(void)snprintf(path, sizeof(path), "%s/dig", d->path);
	(void)unlink(path);
	char *const argv[] = { program, "+short", "+norec", "+tcp",       "+time=2",    "+tries=1",
			       server,  "-p",     port,     (char *)name, (char *)type, NULL };
	if (rig_command(d, "dig", NULL, argv) != 0)
		out[0] = '\0';
	else
		read_all(d, "dig", out, cap);
}

int dns_nsupdate(const struct rig_dir *d, const struct dr_address *at, const char *lines)
{
	char program[128], script[128];
	assert_true(rig_find("nsupdate", program, sizeof(program)));
	rig_file(d, "nsupdate.in", "server %s %u\nzone " DNS_ZONE "\n%s\nsend\n", at->host, at->port, lines);
	(void)snprintf(script, sizeof(script), "%s/nsupdate.in", d->path);
	char *const argv[] = { program, "-v", "-t", "5", "-y", "hmac-sha256:" DNS_KEY ":" DNS_SECRET,
			       script,  NULL };
	return rig_command(d, "nsupdate.log", NULL, argv);
}
