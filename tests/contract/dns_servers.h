/* dns_servers.h -- real DNS servers for the tests: BIND's named and Knot's knotd, each primary of its own
 * copy of demo.example. on a port of its own on 127.0.0.1. */
#ifndef DR_TESTS_CONTRACT_DNS_SERVERS_H
#define DR_TESTS_CONTRACT_DNS_SERVERS_H

#include "rig.h"

#define DNS_ZONE "demo.example."
/* May update A, AAAA and TXT in the zone; DNS_KEY_512 only at sha512.demo.example. and its marker;
 * DNS_KEY_IDLE is known but may nothing. */
#define DNS_KEY "drcoord."
#define DNS_SECRET "Ll6M4zt1qJCV1gWICWcUoZ/GRGi6fE16LehChueOk84="
#define DNS_KEY_512 "drcoord512."
#define DNS_SECRET_512                                                                                       \
	"AS8z039UHDlGOf8rtkDDAOV7i3rasouhoPQgraxDHlVpAXntS3dz4kyGhDlGJVKQcAcagC8ZFtyEe45RaMfGhw=="
#define DNS_KEY_IDLE "idle."
#define DNS_SECRET_IDLE "aWRsZSBrZXkgdGhhdCBtYXkgbm90aGluZyBhdCBhbGw="

struct dns_server {
	struct rig_dir dir;
	pid_t pid;
	struct dr_address at;
};

/* False, with the reason printed, when the program is not installed. */
bool dns_named_start(struct dns_server *d);
bool dns_knotd_start(struct dns_server *d);
void dns_server_stop(struct dns_server *d);

/* The secrets as files below d: bare base64, and as tsig-keygen prints it.  A target for one record. */
void dns_target(struct dr_target *t, const struct rig_dir *d, const char *record, const struct dr_address *at,
		unsigned servers);
void dns_write_secrets(const struct rig_dir *d);

/* What `dig +short` says of name and type there, lines joined by a space. */
void dns_dig(const struct rig_dir *d, const struct dr_address *at, const char *name, const char *type,
	     char *out, size_t cap);
/* Feed nsupdate (or knsupdate) with lines; its exit code.  The server and zone lines are put in front. */
int dns_nsupdate(const struct rig_dir *d, const struct dr_address *at, const char *lines);

#endif
